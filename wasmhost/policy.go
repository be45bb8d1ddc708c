package wasmhost

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Policy is a module at work for one cluster. It implements policies.Policy, policies.Failover and io.Closer.
//
// There is one instance, behind a lock that is held for the length of a call. It outlives tables. Where it cannot
// answer (it failed and is made again, it is in quarantine, it has another table than the request) a native picker,
// built beside it for the same table, does.
type Policy struct {
	module   *Module
	cluster  string
	fallback policies.Policy
	failover policies.Failover

	settling atomic.Int32  // lb_endpoints runs: do not wait for the lock
	busy     atomic.Uint64 // picks that did not wait
	_        [64]byte      // what follows is written with each pick

	mu         sync.Mutex // guards the instance and all below
	in         *instance  // nil: not made yet, being made again, or closed
	table      *policies.Table
	quarantine quarantine
	stats      Stats
	asked      uint64
	recreating bool
	closed     bool

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup // recreate
}

// picker answers for one table.
type picker struct {
	policy *Policy
	native policies.Picker
}

// Build implements policies.Policy. The guest's fault is no reason to do without a table: if the guest cannot serve
// it, the native picker does until it can.
func (p *Policy) Build(t *policies.Table) (policies.Picker, error) {
	native, err := p.fallback.Build(t)
	if err != nil {
		return nil, err
	}
	pk := &picker{policy: p, native: native}

	p.settling.Add(1)
	defer p.settling.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.table == nil
	p.table = t
	switch {
	case p.closed || p.recreating: // recreate takes the table that it finds
	case p.in == nil && first:
		in, err := p.module.newInstance(p.cluster, p.module.shared)
		if err != nil {
			p.failed(FailInit, err)
			p.replace()
			break
		}
		p.in = in
		fallthrough
	default:
		if err := p.in.setTable(t); err != nil {
			p.failed(FailEndpoints, err)
			p.replace()
		}
	}
	return pk, nil
}

// Pick implements policies.Picker.
func (pk *picker) Pick(r *policies.Request, v *policies.View) int {
	p := pk.policy
	r.ResetAnswers()
	r.NList = 0
	switch result, i := p.ask(r, v, nil); result {
	case Chosen, Listed:
		return i
	case Refused:
		return policies.Rejected
	case Trapped, OutOfFuel:
		if p.module.options.OnError == Reject {
			r.RejectStatus = http.StatusServiceUnavailable
			return policies.Rejected
		}
	}
	return pk.native.Pick(r, v)
}

// Next implements policies.Failover. What is left of a list comes first, then the guest's lb_retry, then the cluster's
// own failover. A request that must not be sent again is not: the guest is not asked.
func (p *Policy) Next(r *policies.Request, v *policies.View, o policies.Outcome) policies.Verdict {
	native := p.failover.Next(r, v, o)
	wanted := native.Action == policies.Retry
	if r.NoRetry || o.Class == policies.Cancelled || !wanted && o.Class == policies.OK ||
		o.Sent && r.Flags&(policies.Idempotent|policies.Replayable) != policies.Idempotent|policies.Replayable {
		return native
	}
	if wanted {
		if i := nextListed(r, v); i != policies.None {
			return policies.Verdict{Action: policies.Retry, Endpoint: i}
		}
	}
	if !p.module.info.Retry {
		return native
	}
	r.ResetAnswers()
	switch result, i := p.ask(r, v, &o); result {
	case Chosen, Listed:
		return policies.Verdict{Action: policies.Retry, Endpoint: i}
	case Refused:
		return policies.Verdict{Action: policies.Reject}
	case Stopped:
		return policies.Verdict{Action: policies.Stop}
	case Trapped, OutOfFuel:
		if p.module.options.OnError == Reject {
			r.RejectStatus = http.StatusServiceUnavailable
			return policies.Verdict{Action: policies.Reject}
		}
	}
	return native
}

// latencySample: one call in so many is timed. A clock costs as much as a pick.
const latencySample = 64

// ask calls lb_retry if o is not nil, else lb_pick, and checks the answer.
func (p *Policy) ask(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	if !p.mu.TryLock() {
		if p.settling.Load() > 0 {
			p.busy.Add(1)
			return Busy, policies.None
		}
		p.mu.Lock()
	}
	result, i := p.askLocked(r, v, o)
	p.stats.Picks[result]++
	p.mu.Unlock()
	return result, i
}

func (p *Policy) askLocked(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	in := p.in
	if p.quarantine.active() && !p.quarantine.admits(p.module.options.Now()) {
		return Quarantined, policies.None
	}
	if in == nil && !p.closed {
		return Recreating, policies.None
	}
	if in == nil || in.table != v.Table {
		return Outdated, policies.None
	}
	f, last := in.pick, &r.Last
	if o != nil {
		f, last = in.retry, o
	}
	p.asked++
	sampled := p.asked%latencySample == 0
	var start time.Time
	if sampled {
		start = time.Now()
	}
	answer, used, err := in.ask(f, r, v, last)
	if err != nil {
		if errors.Is(err, errFuel) {
			p.failed(FailFuel, err)
			p.replace()
			return OutOfFuel, policies.None
		}
		p.failed(FailTrap, err)
		p.replace()
		return Trapped, policies.None
	}
	result, i := settle(answer, in.req.view, r, v, o != nil)
	switch result {
	case BadIndex:
		p.failed(FailBadIndex, nil)
	case BadReturn:
		p.failed(FailBadReturn, nil)
	default:
		if p.quarantine.active() && p.quarantine.succeeded() {
			p.module.shared.log.Info("policy healed", "cluster", p.cluster)
		}
	}
	if sampled {
		p.stats.Nanoseconds.observe(uint64(time.Since(start)))
	}
	p.stats.Fuel.observe(uint64(used))
	return result, i
}

// Stats returns what the policy counted so far. It waits for a call that is under way.
func (p *Policy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Picks[Busy] += p.busy.Load()
	s.Quarantined = p.quarantine.active()
	if p.in != nil {
		s.Instances = 1
	}
	return s
}

// Close ends the instance. Requests that still hold a picker of the policy are answered natively.
func (p *Policy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.stop()
	if p.in != nil {
		p.in.close()
		p.in = nil
	}
	p.mu.Unlock()
	p.done.Wait()
	return p.module.retire(p)
}
