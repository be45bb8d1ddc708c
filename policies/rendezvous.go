package policies

import "math"

// Rendezvous gives each key the endpoint of the first usable tier for which hash(key, endpoint) is highest (highest random
// weight: Thaler and Ravishankar, IEEE/ACM Trans. Netw. 6(1), 1998). When an endpoint leaves, its keys alone move, each to
// the next in its own order; retries follow that order. Weights are honoured exactly: score -weight/ln(u), u being the
// hash as a number in (0, 1) (Schindelhauer and Schomaker, SPAA 2005). It needs no table and looks at every
// candidate: above some 20 endpoints maglev and ring_hash are cheaper. A request without a key
// gets an endpoint by chance.
type Rendezvous struct{}

// Build implements [Policy].
func (Rendezvous) Build(*Table) (Picker, error) { return rendezvous{}, nil }

type rendezvous struct{}

// Pick implements [Picker] in O(candidates).
func (rendezvous) Pick(r *Request, v *View) int { return highest(r, v, v.Candidates(r), keyOf(r)) }

// keyOf returns what a request is hashed by.
func keyOf(r *Request) uint64 {
	if r.Flags&HasKey != 0 {
		return r.KeyHash
	}
	return r.Rand
}

// pairHash mixes a key with an endpoint's identity, or any two numbers. Neither may be guessed from the other's place.
func pairHash(key, id uint64) uint64 {
	g := splitmix(key ^ id*0x9e3779b97f4a7c15)
	return g.next()
}

// highest returns the untried candidate with the highest score for key, or None.
func highest(r *Request, v *View, candidates []uint32, key uint64) int {
	best, top := None, math.Inf(-1)
	for _, i := range candidates {
		e := v.Table.Endpoints[i]
		// 52 bits and a half, which a float64 holds exactly: u is neither 0 nor 1, and ln is finite and below 0.
		u := (float64(pairHash(key, e.IDHash)>>12) + 0.5) / (1 << 52)
		w := float64(e.Weight)
		if w <= top*(1-u) {
			continue // -ln(u) is at least 1-u: the score is no higher, and no logarithm is needed to know it
		}
		if score := -w / math.Log(u); score > top && !r.HasTried(i) {
			best, top = int(i), score
		}
	}
	return best
}
