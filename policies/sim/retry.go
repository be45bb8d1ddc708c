package sim

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// end ends an attempt, and does with its request what follows.
func (w *World) end(n int32, o policies.Outcome) {
	i := w.attempts[n].request
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	other := r.beside
	if other == n {
		other = r.attempt
	}
	if o.Class == policies.OK && (o.Status < 400 || other >= 0 && other != n) {
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
	if g.view.Table == r.view.Table {
		r.view = g.view
	}
	v := g.failover.Next(q, r.view, o)
	r.rejected = v.Action == policies.Reject
	next := policies.None
	if v.Action == policies.Retry {
		next = v.Endpoint
	}
	if v.Action == policies.Retry && int(q.Attempt) < r.attempts && !q.NoRetry && !r.view.MayServe(q, next) {
		w.unmade(g, r, next)
		if next = w.pick(g, r); next == policies.None && len(r.view.Up) > 0 && r.view.Candidates(q) == nil {
			q.NTried = 0 // everyone failed once: better the same again than none
			v.After = max(v.After, roundPause/2+time.Duration(q.Rand%uint64(roundPause)))
			next = w.pick(g, r)
		}
		r.rejected = next == policies.Rejected
	}
	after := v.After
	if b := w.config.Backoff; b > 0 && next >= 0 {
		after += b/2 + time.Duration(w.chance.Int64N(int64(b/2)+1))
	}
	late := r.timeout > 0 && w.now-r.arrived+int64(after) >= int64(r.timeout)
	once := o.Sent && q.Flags&policies.Idempotent == 0 // it may have been done
	if next < 0 || int(q.Attempt) >= r.attempts || q.NoRetry || once || late || !w.mayRetry(g, r) {
		w.unmade(g, r, next)
		w.close(n, o, true, false)
		w.answer(i, o)
		return
	}
	w.close(n, o, false, false)
	if after <= 0 {
		w.retry(i, int32(next))
		return
	}
	r.next = int32(next)
	w.plan(event{at: w.now + int64(after), kind: again, who: i, gen: r.gen})
}

// roundPause is what passes before an endpoint that failed is asked again, for want of another.
const roundPause = 25 * time.Millisecond

// mayRetry takes a share of the retry budget.
func (w *World) mayRetry(g *gateway, r *request) bool {
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

func (w *World) retry(i, endpoint int32) {
	w.result.retries++
	w.start(i, endpoint)
}

// hedge starts a second attempt beside n.
func (w *World) hedge(n int32) {
	i := w.attempts[n].request
	r := &w.requests[i]
	g := w.gateways[r.gateway]
	if r.beside >= 0 || g.retrying >= w.retryLimit(g) {
		return
	}
	q := &r.ask
	q.MarkTried(uint32(w.attempts[n].endpoint))
	q.Attempt++
	e := w.pick(g, r)
	if e < 0 {
		return
	}
	g.retrying++
	r.spare = true
	r.beside = n
	w.result.hedges++
	w.start(i, int32(e))
}
