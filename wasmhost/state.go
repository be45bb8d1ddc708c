package wasmhost

import "fmt"

// maxState is what lb_save may write at most, in bytes.
const maxState = 256 << 10

// takeOver moves the state of old, instance by instance, where both sides have a say in it. From then on old's guest is
// not asked: whatever it would decide, nobody would remember. The old one has no veto over its removal, so a failure of
// either side is told and leaves the new one without state. So does having fewer instances than the old one had.
func (p *Policy) takeOver(old *Policy) {
	for i, from := range old.shards {
		wanted := i < len(p.shards) && p.module.info.Restore
		state, err := from.move(wanted)
		if !wanted || err == nil && len(state) == 0 {
			continue
		}
		if err == nil {
			err = p.shards[i].restore(state)
		}
		if err != nil {
			p.shared.log.Warn("a new version of the policy begins without the state of the old", "cluster", p.cluster, "err", err)
			p.tell(EventRestoreRefused, err.Error())
			continue
		}
		p.tell(EventRestored, fmt.Sprintf("%d bytes", len(state)))
	}
	p.line = old.line
	p.line.Store(p)
	old.handOn(p)
}

// handOn gives heir the outcomes that p's guest did not hear of: those of requests that began with the version before.
func (p *Policy) handOn(heir *Policy) {
	var batch [maxRecords]record
	for i, s := range p.shards {
		to := heir.shards[i%len(heir.shards)]
		for n := s.pending.take(&batch); n > 0; n = s.pending.take(&batch) {
			for _, r := range batch[:n] {
				to.pending.add(r)
			}
		}
	}
}

// move ends the instance and returns what it saves, if that is wanted; nil if that is nothing. Picks do not wait for it.
func (s *shard) move(wanted bool) (state []byte, err error) {
	s.settling.Add(1)
	defer s.settling.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
	if s.in == nil {
		return nil, nil
	}
	s.flush(s.policy.module.options.Now())
	if s.in == nil {
		return nil, nil
	}
	if wanted {
		if state, err = s.in.save(); err != nil {
			err = fmt.Errorf("the old version: %w", err)
		}
	}
	s.in.close()
	s.in = nil
	return state, err
}

// restore hands the guest a state. A guest that traps over it is made anew.
func (s *shard) restore(state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		return fmt.Errorf("there is no instance to restore to")
	}
	fault := s.in.restore(state)
	if !s.in.broken {
		return fault
	}
	s.in.close()
	in, err := s.policy.newInstance()
	if s.in = in; err == nil {
		err = in.setTable(s.table)
	}
	if err != nil {
		s.failed(FailInit, err)
		s.replace()
	}
	return fault
}

// save returns what the guest wants its successor to know, nil if that is nothing.
func (in *instance) save() ([]byte, error) {
	f := in.mod.ExportedFunction("lb_save")
	if f == nil {
		return nil, nil
	}
	if in.state.size < maxState {
		if err := in.allocate(allocState, maxState, &in.state); err != nil {
			return nil, err
		}
	}
	in.stack[0], in.stack[1] = uint64(in.state.at), uint64(in.state.size)
	if err := in.invoke(f, inState, stateFuel); err != nil {
		return nil, fmt.Errorf("lb_save: %w", err)
	}
	n := int32(in.stack[0])
	switch {
	case n <= 0:
		return nil, nil
	case uint32(n) > in.state.size:
		return nil, fmt.Errorf("lb_save answered %d, want at most %d bytes", n, in.state.size)
	}
	return append([]byte(nil), in.state.view[:n]...), nil
}

// restore hands the guest a state. It may refuse it, and is as good as before.
func (in *instance) restore(state []byte) error {
	if len(state) > int(in.state.size) {
		if err := in.allocate(allocState, len(state), &in.state); err != nil {
			return err
		}
	}
	copy(in.state.view, state)
	in.stack[0], in.stack[1] = uint64(in.state.at), uint64(len(state))
	if err := in.invoke(in.mod.ExportedFunction("lb_restore"), inState, stateFuel); err != nil {
		return fmt.Errorf("lb_restore: %w", err)
	}
	if code := int32(in.stack[0]); code < 0 {
		return fmt.Errorf("lb_restore refuses a state of %d bytes: it answered %d", len(state), code)
	}
	return nil
}
