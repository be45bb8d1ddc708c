package cluster

import (
	"context"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Prober bounds how many checks are under way at a time, over all clusters that share it: what hangs everywhere at once
// must not cost a socket and a thread of thought for each endpoint. nil bounds nothing.
type Prober struct{ slots chan struct{} }

// NewProber returns a prober of that many checks at a time.
func NewProber(checks int) *Prober { return &Prober{slots: make(chan struct{}, checks)} }

// enter waits for a slot, which leave gives back. It reports false if ctx ended first.
func (p *Prober) enter(ctx context.Context) bool {
	if p == nil {
		return true
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Prober) leave() {
	if p != nil {
		<-p.slots
	}
}

// With an adaptive probe, an endpoint in doubt is checked four times as often, and one that has answered requests since the
// last check, and failed none, half as often.
const (
	doubtful  = 4
	confident = 2
	soonest   = 50 * time.Millisecond // between two checks of an endpoint in doubt, or the interval if that is less
)

// probeEvery is the time until the next check of e.
func (c *Cluster) probeEvery(p Probe, e *Endpoint) time.Duration {
	if !p.Adaptive {
		return p.Interval
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &e.probe
	answered, failed := e.attempts.Load()-uint64(e.Inflight()), e.failures.Load()
	proved := answered > s.answered && failed == s.failed
	s.answered, s.failed = answered, failed
	switch {
	case e.suspect, s.state == ProbePassing && !s.lastGood, s.state == ProbeFailing && s.lastGood, e.State.Load(policies.ColConsecutiveFail) > 0:
		return min(max(p.Interval/doubtful, soonest), p.Interval)
	case s.state == ProbePassing && proved:
		return confident * p.Interval
	}
	return p.Interval
}
