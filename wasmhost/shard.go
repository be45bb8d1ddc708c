package wasmhost

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// shard is the seat of one instance of a policy.
type shard struct {
	policy *Policy
	index  uint32

	settling atomic.Int32  // lb_endpoints or lb_save runs: do not wait for the lock
	busy     atomic.Uint64 // picks that did not wait
	pending  pending
	_        [64]byte // what follows is written with each pick

	mu         sync.Mutex // guards the instance and all below
	in         *instance  // nil: not made yet, being made again, moved or closed
	table      *policies.Table
	stats      Stats
	asked      uint64
	recreating bool
	moved      bool // its state is another policy's now
	closed     bool
	_          [64]byte
}

// build gives the instance table t, and makes the instance if it is the first table.
func (s *shard) build(t *policies.Table) {
	s.settling.Add(1)
	defer s.settling.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.table == nil
	s.table = t
	switch {
	case s.closed || s.moved || s.recreating: // recreate takes the table that it finds
	case s.in == nil && first:
		in, err := s.policy.newInstance()
		if err != nil {
			s.failed(FailInit, err)
			s.replace()
			break
		}
		s.in = in
		fallthrough
	default:
		if err := s.in.setTable(t); err != nil {
			s.failed(FailEndpoints, err)
			s.replace()
		}
	}
}

// latencySample: one call in so many is timed. A clock costs as much as a pick.
const latencySample = 64

// ask waits for the instance, but not while it takes a table.
func (s *shard) ask(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	if !s.mu.TryLock() {
		if s.settling.Load() > 0 {
			s.busy.Add(1)
			if r.Trace != nil {
				s.policy.trace(r, o, Busy, policies.None, nil, 0)
			}
			return Busy, policies.None
		}
		s.mu.Lock()
	}
	return s.answer(r, v, o)
}

// answer asks the guest, and lets go of the lock that the caller took.
func (s *shard) answer(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	var start time.Time
	if r.Trace != nil {
		start = time.Now()
	}
	result, i := s.call(r, v, o)
	s.stats.Picks[result]++
	if r.Trace != nil {
		s.policy.trace(r, o, result, i, s.in, time.Since(start))
	}
	s.mu.Unlock()
	return result, i
}

// call asks the guest. The caller holds mu.
func (s *shard) call(r *policies.Request, v *policies.View, o *policies.Outcome) (Result, int) {
	p, in := s.policy, s.in
	if p.ward.active() && !p.admitted() {
		return Quarantined, policies.None
	}
	if in == nil && !s.closed && !s.moved {
		return Recreating, policies.None
	}
	if in == nil || in.table != v.Table {
		return Outdated, policies.None
	}
	r.Instance = s.index
	f, last := in.pick, &r.Last
	if o != nil {
		f, last = in.retry, o
	}
	s.asked++
	sampled := s.asked%latencySample == 0
	var start time.Time
	if sampled {
		start = time.Now()
	}
	err := in.ask(f, r, v, last)
	if err != nil {
		if errors.Is(err, errFuel) {
			s.failed(FailFuel, err)
			s.replace()
			return OutOfFuel, policies.None
		}
		s.failed(FailTrap, err)
		s.replace()
		return Trapped, policies.None
	}
	result, i := settle(in.answer, in.req.view, r, v, o != nil)
	switch result {
	case BadIndex:
		s.failed(FailBadIndex, nil)
	case BadReturn:
		s.failed(FailBadReturn, nil)
	case Stale:
		if in.feedback != nil { // what it names it may have counted
			s.pending.add(in.unmade(r))
		}
	default:
		if p.ward.active() {
			p.clean()
		}
	}
	if sampled {
		s.stats.Nanoseconds.observe(uint64(time.Since(start)))
	}
	s.stats.Fuel.observe(uint64(in.used))
	return result, i
}

// count returns the shard's counts.
func (s *shard) count() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.stats
	c.Picks[Busy] += s.busy.Load()
	c.Unheard = s.pending.dropped()
	if s.in != nil {
		c.Instances = 1
	}
	return c
}

func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.in != nil {
		s.in.close()
		s.in = nil
	}
}
