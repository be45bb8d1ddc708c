package policies

import (
	"cmp"
	"fmt"
)

// P2C draws two endpoints of the first usable tier by weight and takes the less loaded: the power of two choices
// (Mitzenmacher 2001; weights as in Finagle's and Linkerd's balancers). Load is (requests in flight + 1) / weight. It
// shares nothing but the endpoints' own counters, which is why it is the default.
//
// Draws go by weight. Drawn evenly, a minority of strong endpoints could never get more than 1-(1-f)^2 of the
// traffic, f being their share in number, and the others would drown.
type P2C struct {
	// Choices is how many endpoints are drawn, 2..MaxChoices; 0 is 2. From one choice to two is the great step, from two to
	// three a small one.
	Choices int
}

// MaxChoices bounds P2C.Choices.
const MaxChoices = 10

// Build implements [Policy].
func (p P2C) Build(t *Table) (Picker, error) {
	n := cmp.Or(p.Choices, 2)
	if n < 2 || n > MaxChoices {
		return nil, fmt.Errorf("p2c: %d choices, want 2..%d", n, MaxChoices)
	}
	if n > 2 {
		return &choices{newAliases(t), n - 2}, nil
	}
	return &p2c{newAliases(t)}, nil
}

// maxDraws bounds the draws that miss before a draw scans. Half of the weight being away, one in 256 scans.
const maxDraws = 8

type p2c struct{ tiers aliases }

// Pick implements [Picker] in O(1) while most of the tier's weight is there, O(candidates) at worst.
func (p *p2c) Pick(r *Request, v *View) int {
	g := splitmix(r.Rand)
	a, b := p.tiers.two(r, v, &g)
	if b != None && lighter(v.Table.Endpoints[b], v.Table.Endpoints[a]) {
		return b
	}
	return a
}

// choices is p2c with more than two.
type choices struct {
	tiers aliases
	more  int
}

// Pick implements [Picker] in O(choices) while most of the tier's weight is there, O(candidates) at worst. One that has lost
// may be drawn again.
func (p *choices) Pick(r *Request, v *View) int {
	g := splitmix(r.Rand)
	best, b := p.tiers.two(r, v, &g)
	if b == None {
		return best
	}
	candidates := v.Candidates(r)
	members := p.tiers[tierOf(v.Table.Endpoints[best])]
	for n := p.more; ; n-- {
		if b != None && lighter(v.Table.Endpoints[b], v.Table.Endpoints[best]) {
			best = b
		}
		if n == 0 {
			return best
		}
		b = draw(r, v, members, candidates, best, &g)
	}
}

// aliases are those of the tiers of a table.
type aliases [numTiers]alias

func newAliases(t *Table) (w aliases) {
	for tier, members := range byTier(t) {
		if len(members) > 0 {
			w[tier] = newAlias(t, members)
		}
	}
	return w
}

// two draws two endpoints of the first usable tier by weight. b is None if there is no other than a, and a if there is none.
func (w *aliases) two(r *Request, v *View, g *splitmix) (a, b int) {
	candidates := v.Candidates(r)
	switch len(candidates) {
	case 0:
		return None, None
	case 1:
		return int(candidates[0]), None
	}
	members := w[tierOf(v.Table.Endpoints[candidates[0]])]
	a = draw(r, v, members, candidates, None, g)
	return a, draw(r, v, members, candidates, a, g)
}

// draw returns a member that is usable, untried and not endpoint not, or None.
func draw(r *Request, v *View, members alias, candidates []uint32, not int, g *splitmix) int {
	for range maxDraws {
		if i := members.at(g.next()); int(i) != not && v.Usable(int(i)) && !r.HasTried(i) {
			return int(i)
		}
	}
	return scanWeighted(r, v, candidates, not, g)
}

// lighter reports whether a has less load for its weight than b.
func lighter(a, b *Endpoint) bool {
	return (uint64(a.Inflight())+1)*uint64(b.Weight) < (uint64(b.Inflight())+1)*uint64(a.Weight)
}
