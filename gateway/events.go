package gateway

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Event is a change of state that somebody may want to know of.
type Event struct {
	ID       uint64    `json:"id"` // increases
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	Policy   string    `json:"policy,omitempty"`
	Cluster  string    `json:"cluster,omitempty"`
	Endpoint string    `json:"endpoint,omitempty"`
	Listener string    `json:"listener,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}

// Kinds of events that the gateway tells itself. The others are those of wasmhost.Event.
const (
	kindLoaded      = "loaded"
	kindSwapped     = "swapped"
	kindRolledBack  = "rolled-back"
	kindPromoted    = "promoted"
	kindRefused     = "refused"
	kindMissing     = "file-missing"
	kindReloaded    = "reloaded"
	kindDraining    = "draining"
	kindEndpoint    = "endpoint"    // an endpoint's effective state changed
	kindRedundancy  = "redundancy"  // others serve a cluster than before
	kindPanic       = "panic"       // a cluster's health begins to be ignored, or counts again
	kindCertificate = "certificate" // taken, refused, about to expire
	kindAccessLog   = "access-log"  // lines cannot be written, or can be again
)

// Bounds of what events hold on to.
const (
	keptEvents     = 32 // a policy
	subscriberRoom = 64 // events that a subscriber may be behind
	maxSubscribers = 64
)

// eventKey is what events are counted by.
type eventKey struct{ policy, kind string }

// events keeps the last events of each policy, counts them, and passes them on. It never waits for a subscriber.
type events struct {
	mu          sync.Mutex
	last        uint64
	kept        map[string][]Event // by policy, oldest first
	counts      map[eventKey]uint64
	subscribers map[*subscriber]struct{}
	dropped     uint64
	closed      bool
}

// subscriber gets events until its channel is closed.
type subscriber struct {
	ch     chan Event
	missed uint64 // since it was last told; guarded by events.mu
}

func newEvents() *events {
	return &events{kept: map[string][]Event{}, counts: map[eventKey]uint64{}, subscribers: map[*subscriber]struct{}{}}
}

// add takes an event in. It blocks for no longer than its lock is held.
func (e *events) add(v Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	v.ID = e.last
	if v.Time.IsZero() {
		v.Time = time.Now()
	}
	if v.Policy != "" {
		kept := e.kept[v.Policy]
		if len(kept) == keptEvents {
			kept = slices.Delete(kept, 0, 1)
		}
		e.kept[v.Policy] = append(kept, v)
		e.counts[eventKey{v.Policy, v.Kind}]++
	}
	for s := range e.subscribers {
		select {
		case s.ch <- v:
		default:
			s.missed++
			e.dropped++
		}
	}
}

// of returns the last events of a policy, oldest first.
func (e *events) of(policy string) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.kept[policy])
}

// forget drops what is kept and counted of policies that are no longer there.
func (e *events) forget(there func(policy string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.kept {
		if !there(name) {
			delete(e.kept, name)
		}
	}
	for key := range e.counts {
		if !there(key.policy) {
			delete(e.counts, key)
		}
	}
}

// subscribe returns a subscriber of what happens from now on, or nil if there are too many, or no more events.
func (e *events) subscribe() *subscriber {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.subscribers) == maxSubscribers {
		return nil
	}
	s := &subscriber{ch: make(chan Event, subscriberRoom)}
	e.subscribers[s] = struct{}{}
	return s
}

// leave ends a subscription.
func (e *events) leave(s *subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subscribers, s)
}

// takeMissed returns how many events did not fit since it was last asked.
func (e *events) takeMissed(s *subscriber) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := s.missed
	s.missed = 0
	return n
}

// close ends all subscriptions.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	for s := range e.subscribers {
		close(s.ch)
	}
	clear(e.subscribers)
}

// tally returns the counts, and how many events subscribers missed.
func (e *events) tally() (counts map[eventKey]uint64, dropped uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts), e.dropped
}

// tell adds an event and logs it.
func (g *Gateway) tell(v Event) {
	level := slog.LevelInfo
	switch v.Kind {
	case kindRefused:
		level = slog.LevelError
	case kindMissing:
		level = slog.LevelWarn
	}
	g.log.Log(context.Background(), level, "policy "+v.Kind, "policy", v.Policy, "sha256", short(v.Digest), "detail", v.Detail)
	g.events.add(v)
}
