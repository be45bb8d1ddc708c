package wasmhost

import "github.com/weir-lb/weir/policies"

// rehearsal is a policy of its own, on which nothing depends.
type rehearsal struct {
	policies.Picker
	*Policy
}

// Rehearse implements policies.Rehearser. The rehearsal has an instance and copies of counters and key-value store of its
// own; the guest's state it has as far as the guest saves it.
func (p *Policy) Rehearse(t *policies.Table) (policies.Rehearsal, error) {
	q := p.module.newPolicy(p.cluster, p.fallback, p.failover, 1)
	q.shared = p.shared.copy()
	q.inert = true
	q.ward.quarantine = p.ward.copy()
	q.ward.on.Store(q.ward.quarantine.active())
	pk, err := q.build(t)
	if err != nil {
		_ = q.Close()
		return nil, err
	}
	if s := p.shards[0]; p.module.info.Save && p.module.info.Restore {
		s.settling.Add(1) // picks do not wait for it
		s.mu.Lock()
		var state []byte
		if s.in != nil {
			// What lb_save would change beside, it changes in the rehearsal.
			s.in.shared, s.in.inert = q.shared, true
			state, err = s.in.save()
			s.in.shared, s.in.inert = p.shared, p.inert
			if s.in.broken {
				s.failed(FailTrap, err)
				s.replace()
			}
		}
		s.mu.Unlock()
		s.settling.Add(-1)
		if len(state) > 0 {
			_ = q.shards[0].restore(state) // without it, it is a guest that has just begun
		}
	}
	return rehearsal{pk, q}, nil
}
