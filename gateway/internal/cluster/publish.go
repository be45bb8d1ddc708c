package cluster

import (
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// publishView publishes the present table with the endpoints' present health, if that changed. The caller holds mu.
func (c *Cluster) publishView(why string) {
	c.publish(c.current.Load(), why)
}

// publish computes every endpoint's effective state and stores the snapshot if anything differs from what is out.
func (c *Cluster) publish(s *Snapshot, why string) {
	now := time.Now()
	old := c.current.Load()
	changed := old == nil || old.Table != s.Table
	var lost, came []*Endpoint
	for _, e := range s.Endpoints {
		ev := e.evidence(c, now)
		if suspect := ev.Lease == LeaseSuspect; suspect != e.suspect {
			e.suspect = suspect
			if suspect {
				e.probe.check.now()
			}
			c.weighAt = now
		}
		was, is := e.effective, effective(ev)
		if was == is && e.announced {
			continue
		}
		e.effective = is
		if is.Health() != policies.Down && (was.Health() == policies.Down || !e.announced) {
			came = append(came, e)
			e.load = policies.LoadWeight{} // what it reported before says nothing of what it can bear now
			e.outlier.back = now
		}
		e.Store(policies.ColHealth, uint32(is.Health()))
		if e.announced {
			c.log.Info("endpoint", "endpoint", e.ID, "from", was, "to", is, "why", why)
			if c.settings.Changed != nil {
				c.settings.Changed(e.ID, was.String(), is.String(), why)
			}
		}
		if e.announced && is == EffectiveDown {
			lost = append(lost, e)
		}
		e.announced = true
		changed = true
	}
	if c.ramp(s, came, now) || !c.weighAt.IsZero() && !now.Before(c.weighAt) {
		if next := c.reweigh(s, now); next != nil {
			s, changed = next, true
		}
	}
	changed = c.stand(s, now) || changed
	if !changed {
		return
	}
	next := *s
	next.View = policies.NewView(s.Table, c.nextView(), false, func(i int) bool {
		return s.Endpoints[i].effective.Health() != policies.Down
	})
	split := c.divide(s)
	split.Apply(next.View, c.nextView)
	c.tellShares(&next, split)
	c.current.Store(&next)
	c.drain(&next, now)
	c.tellPanic(old, &next)
	if len(next.View.Up) == 0 {
		return // there is nowhere to rescue anything to
	}
	for _, e := range lost { // after the view without them is out
		e.Transport.Rescue()
	}
}

func (c *Cluster) nextView() uint32 {
	c.viewGen++
	return c.viewGen
}

// Panic reports whether health is ignored for some or all of the requests, since so little is up.
func (s *Snapshot) Panic() bool {
	return s.View.Panic || slices.ContainsFunc(s.View.Parts, func(p policies.Part) bool { return p.View.Panic })
}

// tellPanic tells when panic begins and ends.
func (c *Cluster) tellPanic(old, s *Snapshot) {
	up, of := len(s.View.Up), len(s.Endpoints)
	switch was := old != nil && old.Panic(); {
	case s.Panic() == was:
		return
	case was:
		c.log.Info("panic is over", "up", up, "of", of)
	default:
		c.log.Warn("panic: so little is up that health is ignored", "up", up, "of", of)
	}
	if c.settings.Panicked != nil {
		c.settings.Panicked(s.Panic(), up, of)
	}
}
