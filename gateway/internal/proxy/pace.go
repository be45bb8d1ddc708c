package proxy

import (
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Hedge has the first attempt of a request get company when it is slow, where the policy does not say when.
type Hedge struct {
	After  time.Duration // 0: when it is slower than 95 % of those before it
	Budget int           // such attempts, the policy's among them, as a percentage of the cluster's requests
}

// A hedge costs hedgePrice; each request brings Hedge.Budget, and what is not spent is kept for so many at most.
const (
	hedgePrice = 100
	hedgesKept = 10
)

// earn adds what a request brings.
func (cs *clusterState) earn(budget int) {
	if n := cs.hedgeCredit.Add(int64(budget)); n > hedgesKept*hedgePrice {
		cs.hedgeCredit.Add(-int64(budget))
	}
}

// spend takes the price of a hedge, if it is there.
func (cs *clusterState) spend() bool {
	if cs.hedgeCredit.Add(-hedgePrice) >= 0 {
		return true
	}
	cs.hedgeCredit.Add(hedgePrice)
	return false
}

// pace follows the time that 95 % of first attempts take at most: up a step with each that is slower, down a nineteenth of
// a step with each that is not. That rests where one in twenty is slower. Updates that race are lost, which it can bear.
type pace struct {
	p95  atomic.Int64 // nanoseconds; 0: nothing was seen
	seen atomic.Uint32
	_    [48]byte
}

const (
	paceKnown = 200 // attempts, before which it is not known
	paceStep  = 64  // as a part of the time
	leastPace = int64(time.Millisecond) / 10
)

// after returns the time, or 0 if it is not known yet.
func (p *pace) after() time.Duration {
	if p.seen.Load() < paceKnown {
		return 0
	}
	return time.Duration(p.p95.Load())
}

// took notes an attempt: how long it took to the first byte, or that it was slow enough to get company.
func (p *pace) took(d time.Duration, hedged bool) {
	was := p.p95.Load()
	step := was / paceStep
	if p.seen.Load() < paceKnown {
		p.seen.Add(1)
		step *= 8
	}
	next := was - step/19
	switch {
	case was == 0:
		next = int64(d)
	case hedged || int64(d) > was:
		next = was + step
	}
	p.p95.Store(max(next, leastPace))
}

// wantHedge says when the attempt that comes gets company, if the policy has not said so.
func (x *exchange) wantHedge() {
	h, r := x.route.Hedge, &x.req
	if h == nil || r.Attempt > 0 || r.Hedge > 0 || r.NoRetry || r.Flags&policies.Idempotent == 0 {
		return
	}
	if r.Hedge = h.After; h.After == 0 {
		r.Hedge = x.route.cluster.pace.after()
	}
}

// tookPace notes how long a first attempt took that brought an answer, or got company.
func (x *exchange) tookPace() {
	if x.route.Hedge != nil && x.req.Attempt == 0 && x.outcome.FirstByte > 0 {
		x.route.cluster.pace.took(x.outcome.FirstByte, x.hedged)
	}
}
