package sim

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// request is one request on its way through a gateway.
type request struct {
	gen      uint32
	gateway  int32
	attempt  int32 // the newest that is under way; -1 is none
	beside   int32 // the one that it was hedged from, while both are; -1 is none
	next     int32 // the endpoint of the retry that is planned
	number   int   // of arrival
	arrived  int64
	ask      policies.Request
	retrying bool
	spare    bool // a hedge counts as a retry in flight
}

// attempt is one try of a request at an endpoint.
type attempt struct {
	gen      uint32
	request  int32
	endpoint int32
	start    int64
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
}

func (w *world) newRequest() int32 {
	if n := len(w.freeR); n > 0 {
		i := w.freeR[n-1]
		w.freeR = w.freeR[:n-1]
		return i
	}
	w.requests = append(w.requests, request{})
	return int32(len(w.requests) - 1)
}

func (w *world) newAttempt() int32 {
	if n := len(w.freeA); n > 0 {
		i := w.freeA[n-1]
		w.freeA = w.freeA[:n-1]
		return i
	}
	w.attempts = append(w.attempts, attempt{})
	return int32(len(w.attempts) - 1)
}

func (w *world) freeAttempt(a int32) {
	w.attempts[a].gen++
	w.freeA = append(w.freeA, a)
}

// arrive takes the next request.
func (w *world) arrive() {
	i := w.newRequest()
	r := &w.requests[i]
	r.gateway = int32(w.arrived % len(w.gateways))
	r.attempt, r.beside, r.retrying, r.spare = -1, -1, false, false
	r.number, r.arrived = w.arrived, w.now
	w.arrived++
	w.open++
	g := w.gateways[r.gateway]
	g.active++
	instance := r.ask.Instance
	r.ask = policies.Request{
		Seq: g.seq, Method: policies.MethodGet, Flags: policies.Idempotent | policies.Replayable,
		StickyEP: policies.None, Instance: instance, Last: policies.Outcome{Endpoint: policies.None},
	}
	g.seq++
	if w.config.Keys != nil {
		r.ask.KeyHash = w.config.Keys.Draw(w.chance)
		r.ask.Flags |= policies.HasKey
	}
	if w.config.Timeout > 0 {
		w.plan(event{at: w.now + int64(w.config.Timeout), kind: expiry, who: ^i, gen: r.gen})
	}
	w.refresh(r)
	if e := g.picker.Pick(&r.ask, g.view); e >= 0 {
		w.start(i, int32(e))
	} else {
		w.answer(i, policies.Outcome{Class: policies.PoolExhausted, Status: 503})
	}
	w.planArrival()
}

// refresh brings up to date what changes between calls of the policy.
func (w *world) refresh(r *request) {
	q := &r.ask
	q.Now, q.Rand, q.Elapsed = w.now, w.dice.Uint64(), time.Duration(w.now-r.arrived)
	if w.config.Timeout > 0 {
		q.Deadline = max(w.config.Timeout-q.Elapsed, 1)
	}
	if int(q.Attempt)+1 >= w.config.Attempts {
		q.Flags |= policies.LastTry
	}
}

// start sends a request to an endpoint.
func (w *world) start(i, endpoint int32) {
	r := &w.requests[i]
	n := w.newAttempt()
	a := &w.attempts[n]
	*a = attempt{
		gen: a.gen, request: i, endpoint: endpoint, start: w.now, number: r.ask.Attempt,
		tag: r.ask.Tag, shadow: r.ask.ShadowTag, instance: r.ask.Instance,
	}
	r.attempt = n
	w.gateways[r.gateway].table.Endpoints[endpoint].AddInflight(1)
	w.result.attempts++
	if d := r.ask.Hedge; d > 0 && int(r.ask.Attempt)+1 < w.config.Attempts {
		w.plan(event{at: w.now + int64(d), kind: company, who: n, gen: a.gen})
	}
	s := &w.servers[endpoint]
	switch s.mode {
	case refusing:
		a.class = policies.Refused
		w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
	case failing:
		a.class, a.status = policies.BadStatus, 500
		w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
	case serving:
		a.there = true
		if !w.admit(s, n, s.Service.Draw(w.chance)) {
			a.there = false
			a.class, a.status = policies.BadStatus, 503
			w.plan(event{at: w.now + int64(refuseAfter), kind: failure, who: n, gen: a.gen})
		}
	}
	if w.config.PerTry > 0 {
		w.planExpiry(n)
	}
}

// refuseAfter is how long it takes to learn that nobody listens, or to get an error that costs no work.
const refuseAfter = 200 * time.Microsecond

func (w *world) planExpiry(n int32) {
	if w.config.PerTry > 0 {
		a := &w.attempts[n]
		w.plan(event{at: a.start + int64(w.config.PerTry), kind: expiry, who: n, gen: a.gen})
	}
}

// depart ends what a server is done with.
func (w *world) depart(e event) {
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
func (w *world) served(n int32) {
	a := &w.attempts[n]
	s := &w.servers[a.endpoint]
	s.served++
	if a.over { // nobody waited for it any more
		w.leave(s, n)
		w.freeAttempt(n)
		return
	}
	w.end(n, policies.Outcome{Class: policies.OK, Status: 200, Sent: true})
}

// expire ends an attempt, or a request, whose time is up.
func (w *world) expire(e event) {
	if e.who >= 0 {
		if w.attempts[e.who].gen == e.gen {
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
func (w *world) close(n int32, o policies.Outcome, final, loser bool) {
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
	e := g.table.Endpoints[a.endpoint]
	ended(e, &o)
	if g.observer != nil {
		g.observer.Observe(g.view, policies.Feedback{
			Outcome: o, Now: w.now, Num: e.Num, Tag: a.tag, Shadow: a.shadow, Instance: a.instance, Attempt: a.number, Final: final, Loser: loser,
		})
	}
	a.over = true
	if o.Class == policies.OK || !a.there {
		if a.there {
			w.leave(&w.servers[a.endpoint], n)
		}
		w.freeAttempt(n)
		return
	}
	s := &w.servers[a.endpoint]
	if s.mode != serving || w.config.Abandon {
		if s.mode != serving {
			w.freeAttempt(n) // the server has forgotten it
		}
		return // it will be served, for nobody
	}
	waited := a.waits
	w.leave(s, n)
	if !waited {
		w.freeAttempt(n)
	}
}

// end ends an attempt, and does with its request what follows.
func (w *world) end(n int32, o policies.Outcome) {
	i := w.attempts[n].request
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	other := r.beside
	if other == n {
		other = r.attempt
	}
	if o.Class == policies.OK {
		if other >= 0 && other != n {
			w.close(other, policies.Outcome{Sent: true}, false, true)
		}
		w.close(n, o, true, false)
		w.answer(i, o)
		return
	}
	if other >= 0 && other != n { // the other may still do it
		r.ask.MarkTried(uint32(w.attempts[n].endpoint))
		w.close(n, o, false, false)
		r.attempt, r.beside = other, -1
		return
	}
	o.Endpoint = int(w.attempts[n].endpoint)
	q := &r.ask
	q.MarkTried(uint32(o.Endpoint))
	q.Attempt++
	q.Last = o
	w.refresh(r)
	v := g.failover.Next(q, g.view, o)
	next := policies.None
	if v.Action == policies.Retry && int(q.Attempt) < w.config.Attempts && !q.NoRetry {
		if next = v.Endpoint; next < 0 || !g.view.MayServe(q, next) {
			next = g.picker.Pick(q, g.view)
		}
	}
	if next < 0 || !w.mayRetry(g, r) {
		w.close(n, o, true, false)
		w.answer(i, o)
		return
	}
	w.close(n, o, false, false)
	after := v.After
	if b := w.config.Backoff; b > 0 {
		after += b/2 + time.Duration(w.chance.Int64N(int64(b/2)+1))
	}
	if after <= 0 {
		w.retry(i, int32(next))
		return
	}
	r.next = int32(next)
	w.plan(event{at: w.now + int64(after), kind: again, who: i, gen: r.gen})
}

// mayRetry takes a share of the retry budget.
func (w *world) mayRetry(g *gateway, r *request) bool {
	if r.retrying {
		return true
	}
	if g.retrying >= w.retryLimit(g) {
		w.result.denied++
		return false
	}
	g.retrying++
	r.retrying = true
	return true
}

func (w *world) retry(i, endpoint int32) {
	w.result.retries++
	w.start(i, endpoint)
}

// hedge starts a second attempt beside n.
func (w *world) hedge(n int32) {
	i := w.attempts[n].request
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	if r.beside >= 0 || g.retrying >= w.retryLimit(g) {
		return
	}
	q := &r.ask
	q.MarkTried(uint32(w.attempts[n].endpoint))
	q.Attempt++
	w.refresh(r)
	e := g.picker.Pick(q, g.view)
	if e < 0 {
		return
	}
	g.retrying++
	r.spare = true
	r.beside = n
	w.result.hedges++
	w.start(i, int32(e))
}

// answer ends a request.
func (w *world) answer(i int32, o policies.Outcome) {
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	g.active--
	if r.retrying {
		g.retrying--
	}
	if r.spare {
		g.retrying--
	}
	w.result.answered(w, r, o)
	r.gen++
	w.open--
	w.freeR = append(w.freeR, i)
}
