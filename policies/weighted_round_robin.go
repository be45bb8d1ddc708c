package policies

// WeightedRoundRobin gives each endpoint of the first usable tier turns in proportion to its weight, spread evenly:
// weights 5, 1, 1 go a a b a c a a, not a a a a a b c (nginx, ngx_http_upstream_round_robin.c: smooth weighted round
// robin). The order is computed when the table is built, once for all tiers, so that a pick is one atomic addition. Where
// it would be longer than maxCycle, a static stride takes its place: the same shares, turns spread a little less evenly.
type WeightedRoundRobin struct{}

// maxCycle bounds the turns that are laid out per tier, sum of weights over their greatest common divisor: 16 KiB.
const maxCycle = 4096

// maxProbes bounds how many turns of absent endpoints one pick skips before it draws by weight among those that are
// there. Turns and draws have the same shares, so any mix of the two has.
const maxProbes = 64

// Build implements [Policy].
func (WeightedRoundRobin) Build(t *Table) (Picker, error) {
	p := new(weightedRoundRobin)
	for tier, members := range byTier(t) {
		if len(members) > 0 {
			p.tiers[tier].order = newOrder(t, members)
			p.tiers[tier].turn.start(t)
		}
	}
	return p, nil
}

type weightedRoundRobin struct {
	tiers [numTiers]struct {
		order order
		turn  counter
	}
}

// Pick implements [Picker] in O(1) while most of the tier's weight is there, O(candidates) at worst. It skips turns by
// taking further ones, never by handing them to a neighbour: that would double the neighbour's share.
func (p *weightedRoundRobin) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	switch len(candidates) {
	case 0:
		return None
	case 1:
		return int(candidates[0])
	}
	t := &p.tiers[tierOf(v.Table.Endpoints[candidates[0]])]
	for range maxProbes {
		if i := t.order.at(t.turn.take()); i != None && v.Usable(i) && !r.HasTried(uint32(i)) {
			return i
		}
	}
	g := splitmix(r.Rand)
	return scanWeighted(r, v, candidates, None, &g)
}

// order says whose turn is turn x, or None if that turn is nobody's.
type order interface{ at(x uint64) int }

// newOrder lays out the turns of members, whose weights are above 0.
func newOrder(t *Table, members []uint32) order {
	weights := make([]uint64, len(members))
	var d, sum uint64
	for k, i := range members {
		weights[k] = uint64(t.Endpoints[i].Weight)
		d = gcd(d, weights[k])
		sum += weights[k]
	}
	for k := range weights {
		weights[k] /= d
	}
	if sum/d <= maxCycle {
		return newCycle(members, weights)
	}
	return newStride(members, weights)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// cycle is one period of smooth weighted round robin. Each member has exactly as many turns in it as its weight.
type cycle []uint32

func newCycle(members []uint32, weights []uint64) cycle {
	current := make([]int64, len(members))
	var sum int64
	for _, w := range weights {
		sum += int64(w)
	}
	c := make(cycle, sum)
	for turn := range c {
		best := 0
		for k, w := range weights {
			current[k] += int64(w)
			if current[k] > current[best] {
				best = k
			}
		}
		current[best] -= sum
		c[turn] = members[best]
	}
	return c
}

func (c cycle) at(x uint64) int { return int(c[x%uint64(len(c))]) }

// stride offers the members their turn one after the other; each takes it in weight of max rounds, at even distances
// (the static stride scheduler of gRPC's weighted_round_robin). The modulus is the greatest weight itself, not a fixed
// scale, so nothing is rounded: over max rounds each member takes exactly its weight in turns. The residues weight*round
// mod max are the multiples of d = gcd(weight, max), each d times, and the interval that takes has a length, weight,
// which is itself a multiple of d.
type stride struct {
	max     uint64
	members []strideMember
}

type strideMember struct {
	index         uint32
	weight, phase uint64
}

func newStride(members []uint32, weights []uint64) *stride {
	s := &stride{members: make([]strideMember, len(members))}
	for _, w := range weights {
		s.max = max(s.max, w)
	}
	// Phases step by the golden section, so that members of equal weight do not all take and all pass in the same rounds.
	step := uint64(float64(s.max) * 0.6180339887498949)
	for k, i := range members {
		s.members[k] = strideMember{index: i, weight: weights[k], phase: uint64(k) * step % s.max}
	}
	return s
}

// at implements order. weight*round fits: it would take 2^48 rounds to overflow.
func (s *stride) at(x uint64) int {
	n := uint64(len(s.members))
	round := x / n
	m := &s.members[x-round*n]
	if (m.weight*round+m.phase)%s.max < s.max-m.weight {
		return None
	}
	return int(m.index)
}
