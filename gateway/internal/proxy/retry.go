package proxy

import (
	"math/rand/v2"
	"time"

	"github.com/weir-lb/weir/policies"
)

// minRetries is how many retries a cluster may always have in flight, however few its requests are.
const minRetries = 3

// roundPause is what passes before an endpoint that failed is asked again, for want of another.
const roundPause = 25 * time.Millisecond

// verdict says why there was another attempt, or none.
type verdict uint8

const (
	retryGranted   verdict = iota
	stoppedPolicy          // the policy did not want one
	stoppedReject          // the policy refuses the request
	stoppedCap             // the route's attempts are used up
	stoppedUnsafe          // the request may have been executed, or its body is gone
	stoppedTime            // the deadline is too near
	stoppedBudget          // the cluster has all the retries it may have
	stoppedNowhere         // no endpoint can take it
	numVerdicts
)

var verdictNames = [numVerdicts]string{
	"granted", "policy", "rejected", "attempts", "unsafe", "deadline", "budget", "no_endpoint",
}

// run is the one retry loop of the gateway.
func (x *exchange) run() {
	if h := x.route.Hedge; h != nil {
		x.route.cluster.earn(h.Budget)
	}
	i := x.pick()
	switch {
	case i == policies.Rejected:
		x.refuse(rejected, x.rejectStatus())
		return
	case i < 0:
		x.refuse(noEndpoint, 0)
		return
	}
	for {
		x.wantHedge()
		x.try(i, x.perTry())
		x.tookPace()
		o := &x.outcome
		x.req.MarkTried(uint32(i))
		x.req.Attempt++
		x.req.Last = *o
		if o.Class == policies.OK && o.Status < 400 {
			x.leaveBudget()
			x.respond()
			return
		}
		x.hearRetryAfter()
		next, v, after := x.next()
		if o.Class != policies.OK || v == retryGranted { // else it is a 404 or so, which nobody thought of repeating
			x.route.cluster.retries[v].Add(1)
			if x.explain != nil {
				x.explain.decided(&x.attempt, v)
			}
		}
		switch {
		case v == retryGranted:
		case v == stoppedReject:
			x.refuse(rejected, x.rejectStatus())
			return
		case o.Status != 0:
			x.leaveBudget()
			x.respond()
			return
		default:
			x.fail()
			return
		}
		x.leave()
		x.report(&x.attempt, false)
		if after > 0 {
			time.Sleep(after)
		}
		i = next
	}
}

// next asks what follows the outcome in hand, and refuses what would be wrong: the policy proposes, the gateway disposes.
func (x *exchange) next() (endpoint int, v verdict, after time.Duration) {
	o := &x.outcome
	if o.Class == policies.Cancelled || x.snap.Failover == nil {
		return 0, stoppedPolicy, 0
	}
	x.renew()
	x.refresh()
	x.widenIfUsedUp()
	want := x.snap.Failover.Next(&x.req, x.view, *o)
	r := &x.req
	endpoint = policies.None
	if want.Action == policies.Retry {
		endpoint = want.Endpoint
	}
	defer func() {
		if v != retryGranted && v != stoppedReject {
			x.unmade(endpoint)
			endpoint = 0
		}
	}()
	switch {
	case want.Action == policies.Reject:
		return endpoint, stoppedReject, 0
	case want.Action != policies.Retry && o.Sent && o.Class != policies.BadStatus && r.Flags&policies.Idempotent == 0:
		return endpoint, stoppedUnsafe, 0
	case want.Action != policies.Retry || r.NoRetry:
		return endpoint, stoppedPolicy, 0
	case int(r.Attempt) >= x.route.Attempts:
		return endpoint, stoppedCap, 0
	case x.upload != nil || x.body.lost || o.Sent && r.Flags&policies.Idempotent == 0:
		return endpoint, stoppedUnsafe, 0
	}
	after = max(want.After, 0)
	if !x.mayTry(endpoint) || x.rests(endpoint) {
		x.unmade(endpoint)
		if endpoint = x.pickRested(); endpoint == policies.None && len(x.view.Up) > 0 && x.view.Candidates(r) == nil {
			r.NTried = 0 // everyone failed once: better the same again than none
			after = max(after, roundPause/2+time.Duration(r.Rand%uint64(roundPause)))
			endpoint = x.pickRested()
		}
	}
	switch {
	case endpoint == policies.Rejected:
		return endpoint, stoppedReject, 0
	case endpoint < 0:
		return endpoint, stoppedNowhere, 0
	case time.Since(x.arrived)+after >= x.timeout:
		return endpoint, stoppedTime, 0
	case !x.withinBudget():
		return endpoint, stoppedBudget, 0
	}
	return endpoint, retryGranted, after
}

// pick asks the policy for an endpoint and believes no answer unchecked.
func (x *exchange) pick() int {
	x.widenIfUsedUp()
	i := x.ask()
	if i == policies.None && x.widen("the policy found none in the part") {
		i = x.ask()
	}
	if i == policies.None || i == policies.Rejected || x.mayTry(i) {
		return i
	}
	x.route.cluster.badPicks.Add(1)
	x.unmade(i)
	for _, c := range x.view.Candidates(&x.req) {
		if !x.req.HasTried(c) {
			return int(c)
		}
	}
	return policies.None
}

// ask asks the policy about the view that the request has.
func (x *exchange) ask() int {
	x.req.ResetAnswers()
	x.refresh()
	if x.explain != nil {
		return x.explain.pick(x)
	}
	return x.snap.Picker.Pick(&x.req, x.view)
}

func (x *exchange) mayTry(i int) bool {
	return x.view.MayServe(&x.req, i)
}

// perTry returns how long the coming attempt may take.
func (x *exchange) perTry() time.Duration {
	d := x.timeout - x.now().Sub(x.arrived)
	left := x.route.Attempts - int(x.req.Attempt)
	switch r := &x.req; {
	case x.route.PerTryTimeout > 0:
		d = min(d, x.route.PerTryTimeout)
	case left > 1 && r.Flags&policies.Idempotent != 0 && x.body.whole() && max(len(x.view.Up), len(x.snap.View.Up)) > 1:
		d /= time.Duration(left) // an endpoint that hangs leaves the others their share
	}
	if t := x.req.Timeout; t > 0 {
		d = min(d, t)
	}
	return max(d, time.Millisecond)
}

// A retry that finds the budget spent waits for its turn, rather than fail a request that could be saved: the budget
// bounds how many retries load the cluster at a time, not how many there are.
const (
	budgetPause   = 2 * time.Millisecond
	maxBudgetWait = time.Second
)

// withinBudget takes a share of the cluster's retry budget, until the head of the response is there: without it,
// retries multiply the load on endpoints that fail because of load.
func (x *exchange) withinBudget() bool {
	if x.retried {
		return true
	}
	cs := x.route.cluster
	for waited := time.Duration(0); ; {
		if cs.retrying.Add(1) <= x.retryLimit() {
			x.retried = true
			return true
		}
		cs.retrying.Add(-1)
		pause := budgetPause/2 + rand.N(budgetPause)
		if waited += pause; waited > maxBudgetWait || time.Since(x.arrived)+pause >= x.timeout {
			return false
		}
		time.Sleep(pause)
	}
}

// retryLimit is how many retries and hedges the cluster may have in flight now.
func (x *exchange) retryLimit() int64 {
	return max(minRetries, x.route.cluster.active.Load()*int64(x.route.Budget)/100)
}

// leaveBudget gives the share back.
func (x *exchange) leaveBudget() {
	if x.retried {
		x.retried = false
		x.route.cluster.retrying.Add(-1)
	}
}

// leave gives up the response in hand, if there is one, for another attempt.
func (x *exchange) leave() {
	if x.up != nil {
		x.up.Skip()
		x.release()
	}
	x.end(&x.attempt)
}

// fail answers a request whose last attempt brought no response.
func (x *exchange) fail() {
	if x.gone {
		x.down.abort()
		x.status, x.cutBy = statusClientGone, cutByClient
		x.dropAttempt()
		x.finish()
		return
	}
	id := classProblems[x.outcome.Class]
	if x.outcome.Class == policies.Cancelled {
		id = x.badBody()
	}
	x.refuse(id, 0)
}

// statusClientGone is what nginx made customary: nobody was there to be answered.
const statusClientGone = 499

// badBody is the problem with a body that could not be read.
func (x *exchange) badBody() problemID {
	switch {
	case x.body.err == errLarge:
		return largeBody
	case isTimeout(x.body.err):
		return headTimeout
	}
	return badBody
}

func (x *exchange) rejectStatus() int {
	if s := x.req.RejectStatus; s >= 400 && s <= 599 {
		return s
	}
	return 0
}
