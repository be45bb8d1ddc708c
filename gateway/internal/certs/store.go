// Package certs keeps the certificates of listeners and clusters and makes configurations of crypto/tls from them, which
// change with the files while connections come and go. What a file holds replaces what serves only if it is good: a
// certificate that cannot be read, belongs to another key, or has expired, is told, and the one before serves on.
//
// A handshake reads an atomic pointer, and takes no lock of this package.
package certs

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store is the certificates that serve. One goroutine at a time may change it; anybody may read it meanwhile.
type Store struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows; no handshake takes it
	groups map[key]*group
}

// key is a side, listener or cluster, and a name.
type key struct{ side, name string }

// Sides of the gateway.
const (
	listenerSide = "listener"
	clusterSide  = "cluster"
)

// New returns a store of nothing. The clock is what certificates and tickets are judged by.
func New(now func() time.Time) *Store { return &Store{now: now, groups: map[key]*group{}} }

// Next is what a configuration makes of a store, beside what serves.
type Next struct {
	groups map[key]*group
	news   []News
}

// Prepare reads what spec names and s has not. Every mistake in that comes back, and everything else that is worth a
// look; certificates that are Untimely may be committed nevertheless. A file that serves under the same listener or
// cluster already and is bad now is no mistake but news: what serves stays.
func (s *Store) Prepare(spec Spec) (*Next, []*Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &Next{groups: map[key]*group{}}
	for name, l := range spec.Listeners {
		g := &group{key: key{listenerSide, name}, listenerSpec: l}
		for _, p := range l.Pairs {
			g.slots = append(g.slots, pairSlot(p))
		}
		if l.ClientCA != "" {
			g.slots = append(g.slots, caSlot(l.Path+".client_ca", l.ClientCA))
		}
		n.groups[g.key] = g
	}
	for name, c := range spec.Clusters {
		g := &group{key: key{clusterSide, name}, clusterSpec: c}
		if c.Pair.Cert != "" {
			g.slots = append(g.slots, pairSlot(c.Pair))
		}
		if c.CA != "" {
			g.slots = append(g.slots, caSlot(c.Path+".ca", c.CA))
		}
		n.groups[g.key] = g
	}
	var problems []*Problem
	for _, k := range sorted(n.groups) {
		problems = append(problems, n.groups[k].prepare(s.groups[k], s.now, &n.news)...)
	}
	return n, problems
}

func sorted(groups map[key]*group) []key {
	return slices.SortedFunc(maps.Keys(groups), func(a, b key) int {
		if a.side != b.side {
			return strings.Compare(b.side, a.side) // listeners come first
		}
		return strings.Compare(a.name, b.name)
	})
}

// Cluster returns the TLS of a cluster's endpoints, nil if they have none. It can be used before Commit.
func (n *Next) Cluster(name string) *Cluster {
	if g := n.groups[key{clusterSide, name}]; g != nil {
		return g.cluster
	}
	return nil
}

// Listener returns the TLS of a listener, nil if it has none. Before Commit it is for comparing alone.
func (n *Next) Listener(name string) *Listener {
	if g := n.groups[key{listenerSide, name}]; g != nil {
		return g.listener
	}
	return nil
}

// Commit makes n what serves, and returns what it met. There must have been no Mistake.
func (s *Store) Commit(n *Next) []News {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = n.groups
	for _, g := range s.groups {
		g.publish(s.now)
	}
	return n.news
}

// Refresh takes the files that have changed, rotates the keys of session tickets, and reminds of certificates that are
// about to expire. It is to be called when files may have changed, and every few seconds besides.
func (s *Store) Refresh() (news []News) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, k := range sorted(s.groups) {
		g := s.groups[k]
		if g.refresh(now, &news) {
			g.publish(s.now)
		} else if g.listener != nil {
			g.listener.rotate(now)
		}
	}
	return news
}

// Listener returns the TLS of a listener, nil if it has none.
func (s *Store) Listener(name string) *Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[key{listenerSide, name}]; g != nil {
		return g.listener
	}
	return nil
}

// Serving returns what was committed.
func (s *Store) Serving() *Next {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Next{groups: s.groups}
}

// Status describes what serves: listeners by name, then clusters.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Status{}
	now := s.now()
	for _, k := range sorted(s.groups) {
		for _, sl := range s.groups[k].slots {
			all = append(all, sl.status(k.side, k.name, now))
		}
	}
	return all
}
