package policies

import (
	"math"
	"time"
)

// PeakEWMA draws two endpoints of the first usable tier by weight and takes the one for which response time times
// (requests in flight + 1) / weight is less (Finagle's PeakEwma; Linkerd has the same). The response time is an
// exponentially weighted moving average that jumps up to each peak at once and comes down slowly, so that an endpoint
// that turns slow is left alone after its first slow answer.
//
// Three things keep it from the known ends of such policies. An attempt that fails counts as slow, or a fast-failing
// endpoint would draw the traffic. What is not asked is forgotten, so that a slow endpoint gets another chance. And one
// pick in 128 goes to the first draw whatever it costs: no endpoint starves over a difference that is noise.
//
// The time is that to the response head, where there is one: how long a body streams says little of the endpoint.
type PeakEWMA struct{}

const (
	peakDecay   = 10 * time.Second // after which what was seen counts 1/e
	peakExplore = 128              // one pick in so many does not look
	failCost    = time.Second      // an attempt that fails takes as long as it did, and at least this
)

// Build implements [Policy].
func (PeakEWMA) Build(t *Table) (Picker, error) { return &peakEWMA{newAliases(t)}, nil }

// Observe implements [Observer].
func (PeakEWMA) Observe(v *View, f Feedback) {
	if took, ok := responseTime(&f); ok {
		v.Table.Endpoints[f.Endpoint].peak.observe(f.Now, took)
	}
}

// responseTime returns what an attempt says of how fast its endpoint is, if it says anything.
func responseTime(f *Feedback) (took time.Duration, ok bool) {
	switch {
	case f.Class == Cancelled || f.Class == PoolExhausted:
		return 0, false // neither is the endpoint's
	case f.Class.EndpointFault():
		return max(f.Total, failCost), true
	case f.FirstByte > 0:
		return f.FirstByte, true
	}
	return f.Total, true
}

type peakEWMA struct{ tiers aliases }

// Pick implements [Picker] in O(1) while most of the tier's weight is there, O(candidates) at worst.
func (p *peakEWMA) Pick(r *Request, v *View) int {
	g := splitmix(r.Rand)
	a, b := p.tiers.two(r, v, &g)
	if b != None && g.below(peakExplore) != 0 && cheaper(v.Table.Endpoints[b], v.Table.Endpoints[a], r.Now) {
		return b
	}
	return a
}

// cheaper reports whether a costs less than b. One of which nothing is known costs least, until it has a request in
// flight: then it costs most, so that not all of the traffic tries it out at once.
func cheaper(a, b *Endpoint, now int64) bool { return peakLoad(a, now) < peakLoad(b, now) }

func peakLoad(e *Endpoint, now int64) float64 {
	cost, pending := e.peak.at(now), float64(e.Inflight())
	if cost == 0 && pending > 0 {
		return math.MaxFloat64 / 1e9 * pending / float64(e.Weight)
	}
	return cost * (pending + 1) / float64(e.Weight)
}
