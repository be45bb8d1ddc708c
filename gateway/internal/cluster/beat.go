package cluster

import (
	"context"
	"fmt"
	"time"
)

// maxAhead is how far the clock of an endpoint may be ahead of the gateway's.
const maxAhead = time.Second

// RefusedBeatError says why a beat was ignored.
type RefusedBeatError struct {
	Cluster, ID string
	Got, Want   string
}

func (e *RefusedBeatError) Error() string {
	return fmt.Sprintf("cluster %q: beat of %q: got %s, want %s", e.Cluster, e.ID, e.Got, e.Want)
}

// Beat takes a heartbeat of an endpoint. One that discovery has not reported yet is kept for a while; known tells. sent is
// when the endpoint sent it, by its own clock, or zero if it does not say. With it, beats from the future, old ones, and
// those that came before are ignored and counted: a [RefusedBeatError].
func (c *Cluster) Beat(id string, sent time.Time) (known bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases == nil || c.settings.Heartbeat <= 0 {
		return false, fmt.Errorf("cluster %q: heartbeats are off; set clusters.%s.heartbeat.ttl", c.name, c.name)
	}
	ttl, e, now := c.settings.Heartbeat, c.endpoints[id], time.Now()
	refuse := func(got, want string) (bool, error) {
		return e != nil, &RefusedBeatError{Cluster: c.name, ID: id, Got: got, Want: want}
	}
	if !sent.IsZero() {
		switch age := now.Sub(sent); {
		case age < -maxAhead:
			c.leases.future.Add(1)
			return refuse(fmt.Sprintf("one from %v ahead", -age), fmt.Sprintf("at most %v", maxAhead))
		case age > ttl:
			c.leases.replayed.Add(1)
			return refuse(fmt.Sprintf("one of %v ago", age), fmt.Sprintf("at most a time to live, %v", ttl))
		case e != nil && !sent.After(e.beatSent) && c.leases.State(e, ttl) == LeaseAlive:
			c.leases.replayed.Add(1)
			return refuse("one that is no newer than the last", "each once, in order")
		}
	}
	if e == nil {
		c.leases.Early(c.name, id, ttl)
		return false, nil
	}
	e.beatSent = sent
	c.beat(e)
	return true, nil
}

// beat takes a beat of e. The caller holds mu.
func (c *Cluster) beat(e *Endpoint) {
	c.leases.Beat(e, c.settings.Heartbeat)
	if a := c.settings.Accrual; a.Threshold > 0 {
		e.rhythm.beat(a, c.leases.now())
	}
	if e.suspect || e.effective != EffectiveUp { // else nothing changes, thousands of times a second
		c.publishView("heartbeat")
	}
}

// startPoll has e asked for beats, if the cluster does. An answer is a beat, and what is no answer is silence. The caller
// holds c.mu, or no one else knows the cluster yet.
func (c *Cluster) startPoll(e *Endpoint) {
	if c.settings.Poll == nil || c.leases == nil || c.closed {
		return
	}
	p := *c.settings.Poll
	t := p.transport(e.Address)
	t.DisableKeepAlives = false // several times a second, a connection each would be the greater part of it
	e.poll = c.checks.start(p.Interval, func(ctx context.Context) time.Duration {
		one, cancel := context.WithTimeout(ctx, p.Timeout)
		err := p.http(one, t, e.Address)
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && ctx.Err() == nil {
			c.beat(e)
		}
		return p.Interval
	})
	context.AfterFunc(e.poll.ctx, t.CloseIdleConnections)
}
