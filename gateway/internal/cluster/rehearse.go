package cluster

import (
	"fmt"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Seq returns the number that the next request will get.
func (c *Cluster) Seq() uint64 { return c.seq.Load() }

// Rehearse returns a snapshot whose picker and failover answer as those of s would, and change nothing that s, the
// policy or the endpoints know. It may take milliseconds. end lets go of it.
func (c *Cluster) Rehearse(s *Snapshot) (r *Snapshot, end func(), err error) {
	t, v, next := *s.Table, *s.View, *s
	t.Ejector = nil
	v.Table = &t
	v.Parts = make([]policies.Part, len(s.View.Parts))
	for i, part := range s.View.Parts {
		pv := *part.View
		pv.Table = &t
		v.Parts[i] = policies.Part{View: &pv, Upto: part.Upto}
	}
	next.Table, next.View, next.Observer = &t, &v, nil
	if p, ok := s.policy.(policies.Rehearser); ok {
		rehearsal, err := p.Rehearse(&t)
		if err != nil {
			return nil, nil, fmt.Errorf("cluster %q: %w", c.name, err)
		}
		next.Picker, next.Failover = rehearsal, rehearsal
		return &next, func() { _ = rehearsal.Close() }, nil
	}
	c.mu.Lock() // a policy builds one picker at a time
	defer c.mu.Unlock()
	if next.Picker, err = s.policy.Build(&t); err != nil {
		return nil, nil, fmt.Errorf("cluster %q: %w", c.name, err)
	}
	return &next, func() {}, nil
}

// Absent says, for each endpoint of s that gets no traffic in it, why: "weight 0", or "down", "draining" or "ejected",
// a colon, and what says so. It is "" for those that do.
func (c *Cluster) Absent(s *Snapshot) []string {
	why := make([]string, len(s.Endpoints))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range s.Endpoints {
		switch {
		case s.View.Usable(i):
		case s.Table.Endpoints[i].Weight == 0:
			why[i] = "weight 0"
		default:
			why[i] = c.absence(e)
		}
	}
	return why
}

// absence follows effective. The caller holds mu.
func (c *Cluster) absence(e *Endpoint) string {
	switch ev := e.evidence(c, time.Now()); {
	case ev.Override == ForceDown:
		return "down: operator"
	case ev.Override == ForceDrain:
		return "draining: operator"
	case ev.Status == discovery.Maintenance:
		return "draining: maintenance"
	case ev.Agent == AgentDrain, ev.Agent == AgentMaint:
		return "draining: agent"
	case ev.Status == discovery.Critical:
		return "down: critical"
	case ev.Probe == ProbeFailing:
		return "down: probe"
	case ev.Lease == LeaseDead:
		return "down: heartbeat"
	case ev.Agent == AgentDown:
		return "down: agent"
	case ev.Ejected:
		return "ejected: " + e.outlier.why.String()
	}
	return "down: until a moment ago"
}
