package wasmhost

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/weir-lb/weir/policies"
)

// Policy is a module at work for one cluster. It implements policies.Policy, policies.Failover, policies.Observer,
// policies.Rehearser and io.Closer.
//
// There is one instance, or one a processor if the guest says that it is REPLICABLE, each behind a lock that is held for
// the length of a call. Instances outlive tables. Where the guest cannot answer (it failed and is made again, it is in
// quarantine, it has another table than the request) a native picker, built beside it for the same table, does.
type Policy struct {
	module        *Module
	cluster       string
	shared        *shared
	fallback      policies.Policy
	failover      policies.Failover
	fallbackHears policies.Observer // nil if the fallback does not want to know how attempts end

	from  *Policy // whose state the first Build takes over; nil afterwards
	inert bool    // it acts on nothing: a shadow or a rehearsal

	line *atomic.Pointer[Policy] // the last of those that took over from one another: p, as a rule

	shards []*shard
	ward   ward
	closed atomic.Bool

	begin sync.Once // run
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup // run, and the shards' recreate
}

func (m *Module) newPolicy(cluster string, fallback policies.Policy, failover policies.Failover, instances int) *Policy {
	p := &Policy{module: m, cluster: cluster, shared: m.shared, fallback: fallback, failover: failover}
	p.fallbackHears, _ = fallback.(policies.Observer)
	p.line = new(atomic.Pointer[Policy])
	p.line.Store(p)
	p.ctx, p.stop = context.WithCancel(context.Background())
	for i := range instances {
		p.shards = append(p.shards, &shard{policy: p, index: uint32(i)})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	return p
}

// instances is how many a policy of the module has.
func (m *Module) instances() int {
	if m.info.Replicable && !m.options.Manual {
		return runtime.GOMAXPROCS(0)
	}
	return 1
}

// Succeed makes p go on where old is when p is first built: what the guest of old answers to lb_save, the one of p gets by
// lb_restore. From that moment on old is answered for by its fallback. It is to be called before the first Build.
func (p *Policy) Succeed(old *Policy) { p.from = old }

// heir returns who took over from p in the end, nil if nobody did. It holds no version in between.
func (p *Policy) heir() *Policy {
	if last := p.line.Load(); last != p {
		return last
	}
	return nil
}

// picker answers for one table.
type picker struct {
	policy *Policy
	native policies.Picker
}

// Build implements policies.Policy. The guest's fault is no reason to do without a table: if the guest cannot serve
// it, the native picker does until it can.
func (p *Policy) Build(t *policies.Table) (policies.Picker, error) {
	pk, err := p.build(t)
	if err == nil && !p.module.options.Manual && (p.module.info.Feedback || p.module.info.Tick) {
		p.begin.Do(func() { p.done.Go(p.run) })
	}
	return pk, err
}

func (p *Policy) build(t *policies.Table) (policies.Picker, error) {
	native, err := p.fallback.Build(t)
	if err != nil {
		return nil, err
	}
	for _, s := range p.shards {
		s.build(t)
	}
	if p.from != nil {
		p.takeOver(p.from)
		p.from = nil
	}
	return &picker{policy: p, native: native}, nil
}

// Pick implements policies.Picker.
func (pk *picker) Pick(r *policies.Request, v *policies.View) int {
	p := pk.policy
	r.ResetAnswers()
	r.NList = 0
	result, i := p.ask(r, v, nil)
	switch result {
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
	i = pk.native.Pick(r, v)
	if r.Trace != nil {
		p.traceFallback(r.Trace, result, i)
	}
	return i
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
	result, i := p.ask(r, v, &o)
	switch result {
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
	if r.Trace != nil {
		p.traceFallback(r.Trace, result, native.Endpoint)
	}
	return native
}

// ask calls lb_retry if o is not nil, else lb_pick, and checks the answer. A retry goes to the instance that picked. A
// pick goes to the one that r was at before, or to another that is free and has the table: instances seldom wait for each
// other, and those who reuse a request seldom meet.
func (p *Policy) ask(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	n := uint32(len(p.shards))
	if n == 1 {
		return p.shards[0].ask(r, v, o)
	}
	own := r.Instance
	if own >= n {
		own %= n // of a policy that has more
	}
	if o != nil {
		return p.shards[own].ask(r, v, o)
	}
	for k := own; ; {
		if s := p.shards[k]; s.mu.TryLock() {
			if s.in != nil && s.in.table == v.Table {
				return s.answer(r, v, nil)
			}
			s.mu.Unlock()
		}
		if k++; k == n {
			k = 0
		}
		if k == own {
			break
		}
	}
	return p.shards[own].ask(r, v, nil)
}

// Quarantined reports whether the guest is kept from the traffic, or on trial. It waits for nobody.
func (p *Policy) Quarantined() bool { return p.ward.active() }

// Stats returns what the policy counted so far. It waits for calls that are under way.
func (p *Policy) Stats() Stats {
	var s Stats
	for _, sh := range p.shards {
		s.Add(sh.count())
	}
	s.Quarantined = p.ward.active()
	s.LastFailure = p.ward.last()
	return s
}

// Close ends the instances. Requests that still hold a picker of the policy are answered natively.
func (p *Policy) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	p.stop()
	for _, s := range p.shards {
		s.close()
	}
	p.done.Wait()
	return p.module.retire(p)
}
