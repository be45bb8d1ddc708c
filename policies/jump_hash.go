package policies

// JumpHash numbers the endpoints of a tier in the order of their IDs and computes a key's number (Lamping and Veach, "A Fast,
// Minimal Memory, Consistent Hash Algorithm", arXiv:1406.2294). It keeps no table and divides keys evenly, whatever the weight.
// When an endpoint comes at the end, or the last one goes, as shards do, no key moves but to or from it; a change anywhere
// else renumbers those behind it. While an endpoint is down, or was tried, its keys alone go elsewhere. A request without a key
// gets an endpoint by chance.
type JumpHash struct{}

// Build implements [Policy].
func (JumpHash) Build(t *Table) (Picker, error) {
	p := new(jump)
	for i, e := range t.Endpoints {
		p.tiers[tierOf(e)] = append(p.tiers[tierOf(e)], uint32(i))
	}
	return p, nil
}

type jump struct {
	tiers [numTiers][]uint32 // those of weight 0 too: they keep their numbers
}

// jumpTries is how many numbers of a key are computed before all candidates are looked at.
const jumpTries = 8

// Pick implements [Picker] in O(log endpoints), and in O(candidates) if nearly all of a tier are down.
func (p *jump) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	if len(candidates) == 0 {
		return None
	}
	numbered := p.tiers[tierOf(v.Table.Endpoints[candidates[0]])]
	key := keyOf(r)
	for again, n := splitmix(key), 0; n < jumpTries; n++ {
		if i := numbered[jumpNumber(key, len(numbered))]; v.Usable(int(i)) && !r.HasTried(i) {
			return int(i)
		}
		key = again.next()
	}
	return highest(r, v, candidates, key)
}

// jumpNumber returns the number of key among n of them, 0..n-1. n is at least 1.
func jumpNumber(key uint64, n int) int {
	number, next := int64(-1), int64(0)
	for next < int64(n) {
		number = next
		key = key*2862933555777941757 + 1
		next = int64(float64(number+1) * (float64(1<<31) / float64(key>>33+1)))
	}
	return int(number)
}
