package cluster

import (
	"cmp"
	"slices"
	"time"
)

// Drain says how long what is under way at an endpoint may go on when that gets no new requests: since it is in maintenance,
// drained by an operator or its agent, of weight 0, or gone from discovery. 0 is as long as it likes.
type Drain struct {
	Requests time.Duration
	Tunnels  time.Duration // and calls of gRPC, and streams of events: what lasts as long as its ends like
}

// draining is how far an endpoint is with that, guarded by cluster.mu.
type draining struct {
	of                Drain
	since             time.Time   // zero: it does not drain
	timer             *time.Timer // nil: nothing is to come
	requests, tunnels int         // ended
}

// endAgain is when what was ended is looked at again, if it is still there.
const endAgain = 100 * time.Millisecond

// drain begins the draining of those endpoints of s that are to, and ends that of the others. The caller holds mu.
func (c *Cluster) drain(s *Snapshot, now time.Time) {
	for i, e := range s.Endpoints {
		// Weight 0 keeps sessions. Which of the tunnels are one's nobody can tell; without sessions they are none.
		empty := s.Table.Endpoints[i].Weight == 0 && s.Sticky == nil
		switch d := &e.draining; {
		case e.effective != EffectiveDraining && !empty:
			if !d.since.IsZero() {
				d.stop()
				*d = draining{}
				e.drains.Store(false)
			}
		case d.since.IsZero() || d.of != c.settings.Drain:
			c.drainSince(e, cmp.Or(d.since, now))
		}
	}
}

// leave sees to what a retired endpoint has under way. The caller holds mu.
func (c *Cluster) leave(e *Endpoint) {
	if e.Inflight() == 0 {
		e.draining.stop()
		return
	}
	c.leaving[e] = struct{}{}
	c.drainSince(e, cmp.Or(e.draining.since, time.Now()))
}

func (c *Cluster) drainSince(e *Endpoint, since time.Time) {
	d := &e.draining
	d.stop()
	d.of, d.since = c.settings.Drain, since
	e.drains.Store(true)
	d.timer = time.AfterFunc(0, func() { c.endOverdue(e) })
}

func (d *draining) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// endOverdue ends what e has had for too long, and comes again as long as there is something.
func (c *Cluster) endOverdue(e *Endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &e.draining
	if d.since.IsZero() {
		return
	}
	if e.Inflight() == 0 {
		delete(c.leaving, e)
	}
	var next time.Duration // 0: nothing is to come
	soon := func(wait time.Duration) {
		if next == 0 || wait < next {
			next = wait
		}
	}
	end := func(tunnels bool, after time.Duration, sum *int, what string) {
		if after == 0 {
			return
		}
		if wait := after - time.Since(d.since); wait > 0 {
			soon(wait)
			return
		}
		ended, left := e.Transport.End(tunnels)
		if left > 0 {
			soon(endAgain)
		}
		if ended == 0 {
			return
		}
		*sum += ended
		if *sum == ended {
			c.log.Warn("what was under way at an endpoint that drains was ended: its time is up",
				"endpoint", e.ID, "what", what, "number", ended, "after", after)
		}
	}
	requests, tunnels := d.requests, d.tunnels
	end(false, d.of.Requests, &d.requests, "requests")
	end(true, d.of.Tunnels, &d.tunnels, "tunnels")
	c.endedRequests.Add(uint64(d.requests - requests))
	c.endedTunnels.Add(uint64(d.tunnels - tunnels))
	if _, leaving := c.leaving[e]; leaving {
		soon(time.Second) // until it has nothing under way
	}
	if next > 0 {
		d.timer.Reset(next)
	}
}

func (d *draining) status() *DrainStatus {
	if d.since.IsZero() {
		return nil
	}
	out := &DrainStatus{Since: d.since, EndedRequests: d.requests, EndedTunnels: d.tunnels}
	if d.of.Requests > 0 {
		out.RequestsUntil = d.since.Add(d.of.Requests)
	}
	if d.of.Tunnels > 0 {
		out.TunnelsUntil = d.since.Add(d.of.Tunnels)
	}
	return out
}

// leavingStatus describes the endpoints that are gone, by ID. The caller holds mu.
func (c *Cluster) leavingStatus() (out []LeavingStatus) {
	for e := range c.leaving {
		if n := e.Inflight(); n > 0 {
			out = append(out, LeavingStatus{ID: e.ID, Address: e.Address, Inflight: n, Draining: e.draining.status()})
		}
	}
	slices.SortFunc(out, func(a, b LeavingStatus) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
