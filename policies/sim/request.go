package sim

import (
	"cmp"
	"time"

	"github.com/weir-lb/weir/policies"
)

// request is one request on its way through a gateway.
type request struct {
	gen      uint32
	gateway  int32
	attempt  int32          // the newest that is under way; -1 is none
	beside   int32          // the one that it was hedged from, while both are; -1 is none
	next     int32          // the endpoint of the retry that is planned
	view     *policies.View // of its table; each retry takes the newest one
	picker   policies.Picker
	attempts int // at most
	timeout  time.Duration
	witness  Witness // nil: nobody
	rejected bool
	group    int32 // that it is a part of
	left     int32 // of a group, in its first: parts that are not answered
	number   int   // of arrival
	arrived  int64
	worst    policies.Outcome // of a group, in its first
	ask      policies.Request
	retrying bool
	spare    bool // a hedge counts as a retry in flight
}

// attempt is one try of a request at an endpoint.
type attempt struct {
	gen      uint32
	request  int32
	endpoint int32 // in the request's view
	server   int32
	start    int64
	limit    int64 // when its time is up; 0 is never
	until    int64 // when the worker that serves it will be done
	work     time.Duration
	waits    bool // in the queue of a server
	there    bool // a server has it
	over     bool
	class    policies.Class // of the failure that is planned
	status   int
	number   uint8
	tag      uint64
	shadow   uint64
	instance uint32
	inflight uint32 // at the endpoint when it began
}

func (w *World) newRequest() int32 {
	if n := len(w.freeR); n > 0 {
		i := w.freeR[n-1]
		w.freeR = w.freeR[:n-1]
		return i
	}
	w.requests = append(w.requests, request{})
	return int32(len(w.requests) - 1)
}

func (w *World) newAttempt() int32 {
	if n := len(w.freeA); n > 0 {
		i := w.freeA[n-1]
		w.freeA = w.freeA[:n-1]
		return i
	}
	w.attempts = append(w.attempts, attempt{})
	return int32(len(w.attempts) - 1)
}

func (w *World) freeAttempt(a int32) {
	w.attempts[a].gen++
	w.attempts[a].there = false
	w.freeA = append(w.freeA, a)
}

// arrive takes the next request, or the next group of them.
func (w *World) arrive() {
	w.result.came(w)
	gateway := 0
	if n := len(w.gateways); n > 1 {
		gateway = w.chance.IntN(n)
	}
	number, first := w.arrived, int32(-1)
	w.arrived++
	ask := policies.Request{Method: policies.MethodGet, Flags: policies.Idempotent | policies.Replayable, StickyEP: policies.None}
	for range w.config.Fan {
		i := w.newRequest()
		if first < 0 {
			first = i
			w.requests[i].left, w.requests[i].worst = int32(w.config.Fan), policies.Outcome{}
		}
		if w.config.Keys != nil {
			ask.KeyHash = w.config.Keys.Draw(w.chance)
			ask.Flags |= policies.HasKey
		}
		r := &w.requests[i]
		r.gateway, r.group, r.number = int32(gateway), first, number
		r.attempts, r.timeout, r.witness = w.config.Attempts, w.config.Timeout, nil
		w.enter(i, ask)
	}
	w.planArrival()
}

// enter lets request i come to its gateway, and ask that.
func (w *World) enter(i int32, ask policies.Request) {
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	r.attempt, r.beside, r.retrying, r.spare, r.rejected = -1, -1, false, false, false
	r.arrived, r.view, r.picker = w.now, g.view, g.picker
	w.open++
	g.active++
	instance := r.ask.Instance
	r.ask = ask
	r.ask.Seq, r.ask.Instance, r.ask.Last.Endpoint = g.seq, instance, policies.None
	g.seq++
	if r.timeout > 0 {
		w.plan(event{at: w.now + int64(r.timeout), kind: expiry, who: ^i, gen: r.gen})
	}
	e := w.pick(g, r)
	if e >= 0 {
		w.start(i, int32(e))
		return
	}
	r.rejected = e == policies.Rejected
	w.answer(i, policies.Outcome{Class: policies.PoolExhausted, Status: 503})
}

// pick asks the policy where the next attempt of r goes. What it may not name is not believed.
func (w *World) pick(g *gateway, r *request) int {
	r.ask.ResetAnswers()
	w.refresh(r)
	e := r.picker.Pick(&r.ask, r.view)
	if e < 0 || r.view.MayServe(&r.ask, e) {
		return e
	}
	w.result.misled++
	w.unmade(g, r, e)
	for _, c := range r.view.Candidates(&r.ask) {
		if !r.ask.HasTried(c) {
			return int(c)
		}
	}
	return policies.None
}

// unmade tells the policy that nothing comes of its answer e, if that named an endpoint.
func (w *World) unmade(g *gateway, r *request, e int) {
	if g.observer == nil || e < 0 || e >= len(r.view.Table.Endpoints) {
		return
	}
	g.observer.Observe(r.view, policies.Feedback{
		Outcome: policies.Outcome{Endpoint: e, Class: policies.Cancelled, Load: -1}, Now: w.clock(), Num: r.view.Table.Endpoints[e].Num,
		Tag: r.ask.Tag, Shadow: r.ask.ShadowTag, Instance: r.ask.Instance, Attempt: r.ask.Attempt, Unmade: true,
	})
}

// refresh brings up to date what changes between calls of the policy.
func (w *World) refresh(r *request) {
	q := &r.ask
	q.Now, q.Rand, q.Elapsed = w.clock(), w.dice.Uint64(), time.Duration(w.now-r.arrived)
	if r.timeout > 0 {
		q.Deadline = max(r.timeout-q.Elapsed, 1)
	}
	if int(q.Attempt)+1 >= r.attempts {
		q.Flags |= policies.LastTry
	}
}

// start sends a request to an endpoint.
func (w *World) start(i, endpoint int32) {
	r := &w.requests[i]
	n := w.newAttempt()
	a, e := &w.attempts[n], r.view.Table.Endpoints[endpoint]
	*a = attempt{
		gen: a.gen, request: i, endpoint: endpoint, server: int32(e.Num - 1), start: w.now, number: r.ask.Attempt,
		tag: r.ask.Tag, shadow: r.ask.ShadowTag, instance: r.ask.Instance, inflight: e.Inflight(),
	}
	r.attempt = n
	w.gateways[r.gateway].began(w, e)
	if r.witness != nil {
		r.witness.Began(&r.ask, e)
	}
	if d := cmp.Or(r.ask.Hedge, w.config.Hedge); d > 0 && int(r.ask.Attempt)+1 < r.attempts {
		w.plan(event{at: w.now + int64(d), kind: company, who: n, gen: a.gen})
	}
	if d := w.perTry(r); d > 0 {
		a.limit = w.now + int64(d)
		w.planExpiry(n)
	}
	s := &w.servers[a.server]
	if w.gateways[r.gateway].cut[a.server] {
		return
	}
	mode := s.mode
	if s.gone {
		mode = refusing
	}
	switch mode {
	case refusing:
		a.class = policies.Refused
		w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
	case failing:
		a.class, a.status = policies.BadStatus, 500
		w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
	case serving, pausing:
		a.there = true
		if !w.admit(s, n, s.Service.Draw(w.chance)) {
			a.there = false
			a.class, a.status = policies.BadStatus, 503
			w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
		}
	}
}

// perTry returns how long the coming attempt of r may take, as a gateway has it; 0 is without end.
func (w *World) perTry(r *request) time.Duration {
	d := w.config.PerTry
	if left := r.attempts - int(r.ask.Attempt); d == 0 && r.timeout > 0 && left > 1 && r.ask.Flags&policies.Idempotent != 0 {
		d = (r.timeout - time.Duration(w.now-r.arrived)) / time.Duration(left)
	}
	if t := r.ask.Timeout; t > 0 && (d == 0 || t < d) {
		d = t
	}
	return d
}

// refuseAfter is how long it takes to learn that nobody listens, or to get an error that costs no work.
const refuseAfter = 200 * time.Microsecond

func (w *World) planExpiry(n int32) {
	if a := &w.attempts[n]; a.limit > 0 {
		w.plan(event{at: a.limit, kind: expiry, who: n, gen: a.gen})
	}
}

// depart ends what a server is done with.
func (w *World) depart(e event) {
	if e.who >= 0 {
		if w.attempts[e.who].gen == e.gen {
			w.served(e.who)
		}
		return
	}
	s := &w.servers[^e.who]
	if s.gen != e.gen {
		return
	}
	s.settle(w.now)
	for len(s.jobs) > 0 && s.jobs[0].until <= s.attained+1 {
		w.served(s.jobs[0].attempt)
	}
	if s.gen == e.gen {
		w.replan(s)
	}
}

// served ends attempt n well.
func (w *World) served(n int32) {
	a := &w.attempts[n]
	s := &w.servers[a.server]
	s.served++
	if a.over { // nobody waited for it any more
		w.leave(s, n)
		w.freeAttempt(n)
		return
	}
	o := s.Answer.outcome()
	if o.Class != policies.OK {
		w.leave(s, n) // it is done with it, whatever the gateway makes of the answer
		a.there = false
	}
	w.end(n, o)
}

// expire ends an attempt, or a request, whose time is up.
func (w *World) expire(e event) {
	if e.who >= 0 {
		// One that is over may still stand in a queue.
		if a := &w.attempts[e.who]; a.gen == e.gen && !a.over {
			w.end(e.who, policies.Outcome{Class: policies.HeaderTimeout, Sent: true})
		}
		return
	}
	i := ^e.who
	if w.requests[i].gen != e.gen {
		return
	}
	out := policies.Outcome{Class: policies.HeaderTimeout, Sent: true}
	for _, n := range []int32{w.requests[i].attempt, w.requests[i].beside} {
		if n >= 0 {
			w.close(n, out, true, false)
		}
	}
	w.answer(i, out)
}

// close ends attempt n for the gateway, and for the server unless that does not notice.
func (w *World) close(n int32, o policies.Outcome, final, loser bool) {
	a := &w.attempts[n]
	r := &w.requests[a.request]
	g := w.gateways[r.gateway]
	if r.attempt == n {
		r.attempt = -1
	}
	if r.beside == n {
		r.beside = -1
	}
	o.Endpoint, o.Total, o.Load = int(a.endpoint), time.Duration(w.now-a.start), -1
	if o.Status != 0 {
		o.FirstByte = o.Total
	}
	if loser {
		o.Class = policies.Cancelled
	}
	e := r.view.Table.Endpoints[a.endpoint]
	ended(e, &o)
	g.inflight--
	if r.witness != nil {
		r.witness.Ended(int(a.number), o)
	}
	if g.observer != nil {
		g.observer.Observe(r.view, policies.Feedback{
			Outcome: o, Now: w.clock(), Num: e.Num, Tag: a.tag, Shadow: a.shadow, Instance: a.instance, Inflight: a.inflight,
			Attempt: a.number, Final: final, Loser: loser,
		})
	}
	a.over = true
	if o.Class == policies.OK || !a.there {
		if a.there {
			w.leave(&w.servers[a.server], n)
		}
		w.freeAttempt(n)
		return
	}
	if w.config.Abandon {
		return // it will be served, for nobody
	}
	s := &w.servers[a.server]
	waited := a.waits
	w.leave(s, n)
	if !waited {
		w.freeAttempt(n)
	}
}

// answer ends a request.
func (w *World) answer(i int32, o policies.Outcome) {
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	g.active--
	if r.retrying {
		g.retrying--
	}
	if r.spare {
		g.retrying--
	}
	if first := &w.requests[r.group]; o.Class != policies.OK || first.left == 1 && first.worst.Class == policies.OK {
		first.worst = o
	}
	if first := &w.requests[r.group]; first.left == 1 {
		w.result.answered(w, first, first.worst)
		first.left = 0
		w.release(r.group)
	} else {
		first.left--
	}
	r.gen++
	w.open--
	if r.witness != nil {
		r.witness.Answered(&r.ask, r.rejected)
		r.witness = nil
	}
	if r.group != i {
		w.release(i)
	}
}

// release forgets request i.
func (w *World) release(i int32) { w.freeR = append(w.freeR, i) }
