package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// What came of a policy's wish for a hedge.
const (
	hedgeStarted = iota
	hedgeWon
	hedgeDenied
	numHedged
)

// Values of hedge.won.
const (
	undecided uint32 = iota
	firstWon
	secondWon
)

// hedge is a second attempt that runs beside the one in hand, in a goroutine of its own, because that is slow. The first
// good head wins, and the other attempt is given up, which speaks against nobody.
type hedge struct {
	attempt
	x      *exchange
	d      time.Duration // it ends with the first attempt's time
	ctx    context.Context
	cancel context.CancelFunc
	header response.Head

	won  atomic.Uint32
	conn atomic.Pointer[upstream.Conn] // for whoever gives it up

	// Of the goroutine, until over is closed.
	err  error
	lost bool // it was given up, or came second
	over chan struct{}
}

// mayHedge reports whether the attempt in hand, whose body is all here, may get company.
func (x *exchange) mayHedge(d time.Duration) bool {
	r := &x.req
	return r.Hedge < d && r.Flags&policies.Idempotent != 0 && int(r.Attempt)+1 < x.route.Attempts
}

// hedge reads the head of the response to the attempt in hand. If it does not begin in the time that the policy named, a
// second attempt starts, and the one that answers first becomes the one in hand.
func (x *exchange) hedge(d time.Duration) error {
	came, err := x.up.Await(x.req.Hedge)
	if err != nil {
		return err
	}
	if d -= time.Since(x.began); !came && d > 0 {
		if h := x.newHedge(d); h != nil {
			return h.race()
		}
	}
	return x.up.ReadHead(&x.resp, x.asked())
}

// newHedge begins a second attempt, if the retry budget has room for it, and there is an endpoint.
func (x *exchange) newHedge(d time.Duration) *hedge {
	cs, r := x.route.cluster, &x.req
	if cs.retrying.Add(1) > x.retryLimit() {
		cs.retrying.Add(-1)
		cs.hedges[hedgeDenied].Add(1)
		return nil
	}
	bounded := x.route.Hedge != nil
	if bounded && !cs.spend() {
		cs.retrying.Add(-1)
		cs.hedges[hedgeDenied].Add(1)
		return nil
	}
	was, began := *r, false
	defer func() {
		if !began { // there is no endpoint, or the policy panicked
			*r = was
			cs.retrying.Add(-1)
			if bounded {
				cs.hedgeCredit.Add(hedgePrice)
			}
		}
	}()
	r.MarkTried(uint32(x.outcome.Endpoint))
	r.Attempt++
	i := x.second()
	if i < 0 {
		return nil
	}
	began = true
	r.MarkTried(uint32(i))
	r.NoRetry = r.NoRetry || was.NoRetry
	cs.hedges[hedgeStarted].Add(1)
	h := &hedge{x: x, d: d, over: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	x.begin(&h.attempt, i)
	x.hedged, h.hedged = true, true
	return h
}

// second asks where a hedge goes: the rest of the policy's list comes before another pick.
func (x *exchange) second() int {
	for r := &x.req; r.NList > 0; {
		i := int(r.List[0])
		copy(r.List[:], r.List[1:r.NList])
		r.NList--
		if x.mayTry(i) {
			return i
		}
	}
	return x.pick()
}

// race waits for both attempts, and leaves the better one in hand.
func (h *hedge) race() error {
	x := h.x
	settled := false
	defer func() {
		if !settled { // a panic
			h.giveUp()
			x.drop(&h.attempt, nil, true)
		}
		h.cancel()
		x.route.cluster.retrying.Add(-1)
	}()
	go h.run()
	header := &x.resp
	err := x.up.ReadHead(header, upstream.Asked{Head: x.method == policies.MethodHead})
	x.outcome.FirstByte = firstByte(&x.attempt, err)
	if err == nil && classOf(header.Status) == policies.OK && h.won.CompareAndSwap(undecided, firstWon) {
		h.giveUp()
		settled = true
		h.settle()
		return nil
	}
	lost := h.won.Load() == secondWon
	<-h.over
	settled = true
	if h.won.Load() != secondWon && err == nil && h.err != nil { // a bad answer is more than none
		h.settle()
		return nil
	}
	if err == nil {
		x.outcome.Status = header.Status
	}
	x.drop(&x.attempt, err, lost)
	x.attempt = h.attempt
	if h.err == nil {
		*header = h.header
	}
	if h.won.Load() == secondWon {
		x.route.cluster.hedges[hedgeWon].Add(1)
	}
	return h.err
}

// settle ends the second attempt, which is not the one in hand.
func (h *hedge) settle() {
	if h.err == nil {
		h.outcome.Status = h.header.Status
	}
	h.x.drop(&h.attempt, h.err, h.lost)
}

// run makes the attempt. What is left to do with its connection is the request's.
func (h *hedge) run() {
	defer close(h.over)
	defer func() {
		if r := recover(); r != nil {
			h.x.server.panicked(r)
			h.err = errPanicked
		}
	}()
	pool := h.endpoint.Transport.(*upstream.Pool)
	h.err = h.send(pool, false)
	if h.err != nil && h.x.wasStale(h.up, h.err) && h.won.Load() == undecided {
		h.x.route.cluster.stale.Add(1)
		h.up.Abort()
		h.up = nil
		h.err = h.send(pool, true)
	}
	h.outcome.FirstByte = firstByte(&h.attempt, h.err)
	if h.err != nil || classOf(h.header.Status) != policies.OK {
		h.lost = h.won.Load() == firstWon
	} else if h.won.CompareAndSwap(undecided, secondWon) {
		h.x.up.Interrupt()
	} else {
		h.lost = true
	}
}

func (h *hedge) send(pool *upstream.Pool, fresh bool) error {
	c, err := h.x.take(h.ctx, pool, max(h.d-time.Since(h.began), time.Millisecond), fresh)
	if err != nil {
		return err
	}
	h.up = c
	h.conn.Store(c)
	if h.won.Load() != undecided { // giveUp may have come too early to see the connection
		return context.Canceled
	}
	if err := h.x.write(&h.attempt, c); err != nil {
		return err
	}
	return c.ReadHead(&h.header, upstream.Asked{Head: h.x.method == policies.MethodHead})
}

// giveUp ends the second attempt, wherever it is, and waits for its goroutine.
func (h *hedge) giveUp() {
	h.won.CompareAndSwap(undecided, firstWon)
	h.cancel()
	if c := h.conn.Load(); c != nil {
		c.Interrupt()
	}
	<-h.over
}

// drop ends an attempt that had company and is not the one in hand any more. lost tells that it was given up for the
// other; otherwise it failed, by err or by its status.
func (x *exchange) drop(a *attempt, err error, lost bool) {
	o := &a.outcome
	switch {
	case lost:
		o.Class, o.Status = policies.Cancelled, 0
		a.feedback.Loser = true
	case err != nil:
		o.Class = upstream.ClassOf(err)
	default:
		o.Class = classOf(o.Status)
	}
	if a.up != nil {
		o.Sent = a.up.Sent()
		a.up.Abort()
		a.up = nil
	}
	x.end(a)
	x.report(a, false)
}

func firstByte(a *attempt, err error) time.Duration {
	if err != nil {
		return 0
	}
	return time.Since(a.began)
}
