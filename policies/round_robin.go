package policies

import "sync/atomic"

// RoundRobin gives each endpoint of the first usable tier its turn, in the order of the table, whatever its weight
// (nginx and HAProxy call this plain round robin). Endpoints of weight 0 have no turn. A pick that finds its turn's
// endpoint tried takes the next one.
type RoundRobin struct{}

// Build implements [Policy].
func (RoundRobin) Build(t *Table) (Picker, error) {
	p := new(roundRobin)
	p.turn.start(t)
	return p, nil
}

type roundRobin struct{ turn counter }

// Pick implements [Picker] in O(endpoints tried).
func (p *roundRobin) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	if candidates == nil {
		return None
	}
	k := int(p.turn.take() % uint64(len(candidates)))
	for r.HasTried(candidates[k]) {
		k++
		if k == len(candidates) {
			k = 0
		}
	}
	return int(candidates[k])
}

// counter numbers turns. All cores write it, so it has cache lines of its own.
type counter struct {
	_ [64]byte
	n atomic.Uint64
	_ [56]byte
}

// start begins at a place that differs from one generation of a table to the next, and from gateway to gateway: if each
// began at 0, a cluster that changes often would send most of its traffic to its first endpoints, and if all gateways began
// at one place they would come to an endpoint together.
func (c *counter) start(t *Table) {
	g := splitmix(t.Seed ^ uint64(t.Gen))
	c.n.Store(g.next() >> 1)
}

func (c *counter) take() uint64 { return c.n.Add(1) - 1 }
