package wasmhost

import "time"

// newInstance makes an instance of the policy, without a table.
func (p *Policy) newInstance() (*instance, error) {
	in, err := p.module.newInstance(p.cluster, p.shared)
	if err == nil {
		in.inert = p.inert
	}
	return in, err
}

// failed counts a failure. The caller holds mu.
func (s *shard) failed(f Failure, err error) {
	s.stats.Failures[f]++
	s.policy.failed(f, err, false)
}

// replace discards the instance, which a trap leaves in an undefined state, and has another made: in the background, or
// by the next Advance of a manual policy. The caller holds mu.
func (s *shard) replace() {
	if s.in != nil {
		s.in.close()
		s.in = nil
	}
	s.pending.clear()
	if s.recreating || s.closed || s.moved {
		return
	}
	s.recreating = true
	if !s.policy.module.options.Manual {
		s.policy.done.Go(s.recreate)
	}
}

// recreate makes an instance with the present table and puts it in place. It ends when that is done, or with Close.
// A guest in quarantine is not made again before it is asked again.
func (s *shard) recreate() {
	p := s.policy
	for p.sleep(p.ward.wait(p.module.options.Now())) && !s.remake() {
	}
}

// remake makes an instance once. It answers false if that failed.
func (s *shard) remake() (done bool) {
	p := s.policy
	s.mu.Lock()
	t := s.table
	s.mu.Unlock()
	in, class, err := (*instance)(nil), FailInit, error(nil)
	if in, err = p.newInstance(); err == nil {
		class, err = FailEndpoints, in.setTable(t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := !s.closed && !s.moved
	if err == nil && wanted && s.table != t {
		s.settling.Add(1)
		err = in.setTable(s.table)
		s.settling.Add(-1)
	}
	if err == nil && wanted {
		s.in = in
		s.recreating = false
		s.stats.Recreated++
		p.shared.log.Info("policy instance made again after a failure", "cluster", p.cluster)
		p.tell(EventRecreated, "")
		return true
	}
	if in != nil {
		in.close()
	}
	if !wanted {
		s.recreating = false
		return true
	}
	// Without an instance the guest cannot get better: back off from the first failure on.
	s.stats.Failures[class]++
	p.failed(class, err, true)
	return false
}

// sleep waits for d, and reports false if the policy was closed by then.
func (p *Policy) sleep(d time.Duration) bool {
	if d <= 0 {
		return p.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}
