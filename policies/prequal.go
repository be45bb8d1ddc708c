package policies

import (
	"math"
	"sync/atomic"
)

// Prequal draws sixteen endpoints of the first usable tier by weight and chooses by the hot-cold lexicographic rule: an
// endpoint is hot if it has more requests in flight than 84 % of those that were drawn of late; of the cold ones that
// were drawn the fastest is taken, and if all are hot, the one with the fewest requests in flight (Wydrowski et al.: Load is
// not what you should balance: introducing Prequal, NSDI 2024). So response times decide while nobody is overloaded, and
// requests in flight as soon as somebody is.
//
// In the paper clients probe servers and keep a pool of sixteen answers, to hide the time that asking takes. A gateway that
// sees all of the traffic asks its own counters, which takes no time, so that every draw is a fresh probe. Where several gateways
// share endpoints, its counters show a part; endpoints that report their load (column load_ppm) are judged by that.
//
// The response time is that to expect with as many requests in flight as the endpoint has now, from those that found as many.
// That of all would say of an endpoint which was busy that it is slow, now that it is idle: with a queue at each of 20 endpoints
// and 90 % load, all went to one after the other, and queues grew without bound.
//
// A failed attempt counts as slow, as in [PeakEWMA]. With fewer than eight endpoints in a tier the rule has too little to
// choose from and did worse than round robin in others' measurements: [P2C] decides there.
type Prequal struct{}

const (
	prequalProbes  = 16
	prequalMinimum = 8
	prequalHot     = 0.84 // 2^-0.25: the quantile of requests in flight above which an endpoint is hot
	prequalStep    = 0.05 // how far the estimate of that quantile moves at a draw, as a part of it
)

// Build implements [Policy].
func (Prequal) Build(t *Table) (Picker, error) {
	return &prequal{small: p2c{newAliases(t)}}, nil
}

// Observe implements [Observer].
func (Prequal) Observe(v *View, f Feedback) {
	if took, ok := responseTime(&f); ok {
		v.Table.Endpoints[f.Endpoint].pace.observe(f.Now, f.Inflight, took)
	}
}

type prequal struct {
	small p2c // decides in a small fleet
	tiers [numTiers]struct {
		hot  threshold // for requests in flight, for a weight of 1
		busy threshold // for reported load
	}
}

// Pick implements [Picker] in O(1) while most of the tier's weight is there, O(candidates) at worst.
func (p *prequal) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	if len(candidates) < prequalMinimum {
		return p.small.Pick(r, v)
	}
	tier := tierOf(v.Table.Endpoints[candidates[0]])
	t, members := &p.tiers[tier], p.small.tiers[tier]
	g := splitmix(r.Rand)
	a := draw(r, v, members, candidates, None, &g)
	var best probe
	best.take(t.hot.at(), t.busy.at(), v.Table.Endpoints[a], r.Now, a)
	t.hot.observe(best.inflight)
	if best.reports {
		t.busy.observe(best.load)
	}
	for range min(prequalProbes, len(candidates)) - 1 {
		i := draw(r, v, members, candidates, best.index, &g)
		if i == None {
			break
		}
		var q probe
		if q.take(t.hot.at(), t.busy.at(), v.Table.Endpoints[i], r.Now, i); q.better(&best) {
			best = q
		}
	}
	return best.index
}

// probe is what is known of an endpoint at a draw.
type probe struct {
	index    int
	inflight float64 // for a weight of 1
	load     float64 // as it reports
	reports  bool
	hot      bool
	cost     float64 // expected response time, ns; 0 is unknown
}

func (q *probe) take(hot, busy float64, e *Endpoint, now int64, i int) {
	inflight := e.Inflight()
	q.index, q.inflight, q.cost = i, float64(inflight)/float64(e.Weight), e.pace.at(now, inflight)
	load := e.State.Load(ColLoadPPM)
	if q.reports = load != Unknown; q.reports {
		q.load = float64(load)
		q.hot = q.load > busy
	} else {
		q.hot = q.inflight > hot
	}
}

// better is the hot-cold lexicographic rule.
func (q *probe) better(o *probe) bool {
	switch {
	case q.hot != o.hot:
		return o.hot
	case !q.hot:
		return q.cost < o.cost
	case q.reports && o.reports:
		return q.load < o.load
	}
	return q.inflight < o.inflight
}

// threshold estimates a quantile of what it observes: it goes up a little at what is above it and down at what is not,
// so that it comes to rest where the two are as frequent as the quantile says. Racing calls may lose one.
type threshold struct{ bits atomic.Uint64 }

func (t *threshold) at() float64 { return math.Float64frombits(t.bits.Load()) }

func (t *threshold) observe(x float64) {
	q := t.at()
	step := prequalStep * max(q, 1)
	if x > q {
		q += step * prequalHot
	} else {
		q = max(q-step*(1-prequalHot), 0)
	}
	t.bits.Store(math.Float64bits(q))
}
