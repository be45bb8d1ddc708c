package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/proxyproto"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// attempt is one attempt at an endpoint.
type attempt struct {
	endpoint *cluster.Endpoint // Begin was called, End was not
	up       *upstream.Conn
	began    time.Time
	outcome  policies.Outcome
	feedback policies.Feedback // the rest of what the policy is told
	owed     bool              // the policy was not told yet
	sticky   bool              // the policy wants the client bound to the endpoint
	hedged   bool              // it ran beside another
}

// begin counts an attempt at endpoint i, which the policy has just chosen.
func (x *exchange) begin(a *attempt, i int) {
	r, e := &x.req, x.snap.Table.Endpoints[i]
	*a = attempt{
		endpoint: x.snap.Endpoints[i],
		began:    x.now(),
		sticky:   r.SetSticky,
		outcome:  policies.Outcome{Endpoint: i, Class: policies.Reset, Load: -1},
		feedback: policies.Feedback{
			Num: e.Num, Tag: r.Tag, Shadow: r.ShadowTag, Instance: r.Instance, Inflight: e.Inflight(), Attempt: r.Attempt,
		},
	}
	a.endpoint.Begin()
	if x.explain != nil {
		x.explain.begun(x, a)
	}
}

// now returns the time. Before the first attempt that is when the policy was asked: nothing was waited for since.
func (x *exchange) now() time.Time {
	if x.req.Attempt == 0 {
		return x.looked
	}
	return time.Now()
}

// end tells the endpoint what came of an attempt, if it has not been told.
func (x *exchange) end(a *attempt) {
	ep := a.endpoint
	if ep == nil {
		return
	}
	a.endpoint = nil
	x.ended = time.Now()
	a.outcome.Total = x.ended.Sub(a.began)
	a.feedback.Now = x.ended.UnixNano()
	a.owed = x.snap.Observer != nil
	x.route.cluster.attempts[a.outcome.Class].Add(1)
	ep.End(a.outcome)
	if x.explain != nil {
		x.explain.note(a)
	}
}

// report tells the policy what came of an attempt that has ended, if it wants to know and has not been told. That waits
// until it is known whether another attempt follows.
func (x *exchange) report(a *attempt, final bool) {
	if !a.owed {
		return
	}
	a.owed = false
	a.feedback.Outcome, a.feedback.Final = a.outcome, final
	x.snap.Observer.Observe(x.snap.View, a.feedback)
}

// unmade tells the policy that nothing comes of its answer i, if that named an endpoint.
func (x *exchange) unmade(i int) {
	if x.snap.Observer == nil || i < 0 || i >= len(x.snap.Endpoints) {
		return
	}
	r := &x.req
	x.snap.Observer.Observe(x.snap.View, policies.Feedback{
		Outcome: policies.Outcome{Endpoint: i, Class: policies.Cancelled, Load: -1}, Now: time.Now().UnixNano(),
		Num: x.snap.Table.Endpoints[i].Num, Tag: r.Tag, Shadow: r.ShadowTag, Instance: r.Instance, Attempt: r.Attempt, Unmade: true,
	})
}

var errOtherProtocol = errors.New("101 to a protocol that was not asked for")

// try makes one attempt at endpoint i, within d. If there is a response, its head is in the context's, its body on
// x.up, and the attempt is not over; otherwise it is.
func (x *exchange) try(i int, d time.Duration) {
	x.begin(&x.attempt, i)
	o := &x.outcome
	pool := x.endpoint.Transport.(*upstream.Pool)
	err := x.send(pool, d, false)
	if err != nil && !x.hedged && x.wasStale(x.up, err) {
		x.route.cluster.stale.Add(1)
		o.Sent = x.up.Sent()
		x.abort()
		err = x.send(pool, max(d-time.Since(x.began), time.Millisecond), true)
	}
	if err == nil && x.resp.Status == fasthttp.StatusSwitchingProtocols && !bytes.EqualFold(x.resp.Value("Upgrade"), x.upgrade) {
		err = &upstream.Error{Class: policies.Malformed, Err: errOtherProtocol}
	}
	if err == nil {
		o.Status = x.resp.Status
		o.Class = classOf(o.Status)
		x.grpcOutcome(o)
		if !x.hedged {
			o.FirstByte = time.Since(x.began)
		}
		o.Sent = true
		x.hearLoad(&x.resp)
		return
	}
	o.Class = upstream.ClassOf(err)
	if x.up != nil {
		o.Sent = o.Sent || x.up.Sent()
		x.abort()
	}
	if x.body.err != nil || x.gone {
		o.Class = policies.Cancelled
	}
	x.end(&x.attempt)
}

// send writes the request and reads the head of the response. After an error no other goroutine uses x.up or x.body.
func (x *exchange) send(pool *upstream.Pool, d time.Duration, fresh bool) error {
	c, err := x.take(context.Background(), pool, d, fresh)
	if err != nil {
		return err
	}
	x.up = c
	if x.grpc {
		c.Lasts()
	}
	if !x.body.whole() {
		x.startUpload(d)
	} else {
		if err := x.write(&x.attempt, c); err != nil {
			return err
		}
		if x.req.Hedge > 0 && x.mayHedge(d) {
			return x.hedge(d)
		}
	}
	if x.upload == nil { // else the end of the body tells
		x.down.watch(c)
	}
	err = c.ReadHead(&x.resp, x.asked())
	if x.upload != nil {
		if err == nil {
			x.upload.answered()
		} else {
			c.Interrupt()
			x.joinUpload()
		}
	}
	return err
}

// take takes a connection to an endpoint, a fresh one or, if that is in order, one that was used.
func (x *exchange) take(ctx context.Context, pool *upstream.Pool, d time.Duration, fresh bool) (*upstream.Conn, error) {
	if v := pool.ProxyProtocol(); v != 0 {
		c := x.conn
		return pool.TakeFor(ctx, d, proxyproto.Append(nil, v, netip.AddrPortFrom(c.addr, c.port), c.destination))
	}
	if fresh {
		return pool.TakeFreshContext(ctx, d)
	}
	return pool.TakeContext(ctx, d)
}

// asked says how the response in hand is to be read.
func (x *exchange) asked() upstream.Asked {
	return upstream.Asked{Head: x.method == policies.MethodHead, Upgrade: x.upgrade != nil, Interim: (*interim)(x)}
}

// interim passes interim responses on.
type interim exchange

// Interim implements [upstream.Interim].
func (x *interim) Interim(h *response.Head) {
	u := x.upload
	if u != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
	}
	if h.Status == fasthttp.StatusContinue {
		if u != nil {
			u.proceed()
		}
		if !x.expects || x.continued {
			return // nobody asked for it
		}
		x.continued = true
	}
	h.RemoveHops(false)
	h.Add("Via", x.table.via)
	x.down.interim(h)
}

// abort closes the connection of the attempt in hand.
func (x *exchange) abort() {
	x.gone = x.down.unwatch() || x.gone
	x.up.Abort()
	x.up = nil
}

// release gives the connection of the attempt in hand back.
func (x *exchange) release() {
	if x.gone = x.down.unwatch() || x.gone; x.gone {
		x.up.Abort()
	} else {
		x.up.Release()
	}
	x.up = nil
}

// write sends a request whose body is all here.
func (x *exchange) write(a *attempt, c *upstream.Conn) error {
	again := int(x.req.Attempt)+1 < x.route.Attempts
	if again && x.wentDown(a) {
		return errWentDown
	}
	n := len(x.out)
	x.out = append(x.out, x.body.framed()...)
	err := c.Ask(x.out)
	x.out = x.out[:n]
	if err != nil {
		return err
	}
	if again && x.method.Idempotent() {
		c.MayBeRescued()
		if x.wentDown(a) {
			return errWentDown
		}
	}
	return nil
}

var errWentDown = &upstream.Error{Class: policies.HeaderTimeout, Err: errors.New("the endpoint went down while it was being asked")}

// wentDown reports whether the endpoint of an attempt was found to be down since it was picked, and somebody else is up. Who finds
// that publishes it first, and then rescues the requests that wait: those that come too late to be found look here.
func (x *exchange) wentDown(a *attempt) bool {
	s, i := x.route.Cluster.Load(), a.outcome.Endpoint
	return s != x.snap && s.Table == x.snap.Table && !s.View.Usable(i) && !s.View.Keeps(i) && len(s.View.Up) > 0
}

// wasStale reports whether an attempt failed only because the endpoint had closed an idle connection in the moment of its
// reuse, and may be repeated on a new one without anybody noticing (RFC 9112, section 9.3.1).
func (x *exchange) wasStale(c *upstream.Conn, err error) bool {
	if c == nil || !c.Reused() || c.Answered() || x.body.err != nil || upstream.ClassOf(err) != policies.Reset {
		return false
	}
	return !x.body.lost && (!c.Sent() || x.method.Idempotent())
}

// classOf tells whether a status counts as a failure of the endpoint: the 5xx do, but 501 is a property of the request.
func classOf(status int) policies.Class {
	if status >= 500 && status != fasthttp.StatusNotImplemented {
		return policies.BadStatus
	}
	return policies.OK
}
