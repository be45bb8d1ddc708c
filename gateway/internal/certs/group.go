package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// group is what a listener or a cluster has. Exactly one of listener and cluster is set once it is prepared.
type group struct {
	key
	slots []*slot

	listener     *Listener
	listenerSpec ListenerSpec
	cluster      *Cluster
	clusterSpec  ClusterSpec
}

// prepare fills the slots, from those of old if it has the same files, which it does not change.
func (g *group) prepare(old *group, clock func() time.Time, news *[]News) (problems []*Problem) {
	now := clock()
	for _, s := range g.slots {
		if old == nil {
			break
		}
		if i := slices.IndexFunc(old.slots, s.same); i >= 0 {
			s.adopt(old.slots[i])
		}
	}
	for _, s := range g.slots {
		known := s.serving != nil
		kind, p := s.look(now, func(m *material) *Problem { return g.clash(s, m) })
		switch {
		case known:
			g.tell(news, s, kind, p)
		case p != nil:
			problems = append(problems, p)
		}
		if !known {
			problems = append(problems, s.warnings(now)...)
		}
	}
	switch {
	case g.side == listenerSide && old != nil:
		g.listener = old.listener
	case g.side == listenerSide:
		g.listener = new(Listener)
	case old != nil:
		g.cluster = old.cluster
	default:
		g.cluster = new(Cluster)
		g.publish(clock) // its first connections may come before the commit
	}
	return problems
}

// refresh looks at the files and reports whether something else serves now.
func (g *group) refresh(now time.Time, news *[]News) (changed bool) {
	for _, s := range g.slots {
		kind, p := s.look(now, func(m *material) *Problem { return g.clash(s, m) })
		g.tell(news, s, kind, p)
		changed = changed || kind == Taken
		for _, p := range s.open() {
			g.tell(news, s, Look, p)
		}
		if state := s.serving.state(now); state != Valid && (state != s.told || now.Sub(s.toldAt) >= remindEvery) {
			s.told, s.toldAt = state, now
			g.tell(news, s, Remind, nil)
		}
	}
	return changed
}

func (g *group) tell(news *[]News, s *slot, kind Kind, p *Problem) {
	if kind != Nothing {
		*news = append(*news, News{
			Kind: kind, Side: g.side, Of: g.name, Part: s.part, Title: s.serving.title(), State: s.told, Until: s.serving.notAfter, Problem: p,
		})
	}
}

// clash says why m cannot be chosen among what the other slots of a listener have.
func (g *group) clash(s *slot, m *material) *Problem {
	if g.side != listenerSide || s.part != partCertificate {
		return nil
	}
	p := &Problem{Path: s.files[0].path, Want: "each name once for each kind of key"}
	for _, o := range g.slots {
		if o == s || o.part != partCertificate || o.serving == nil || o.serving.key != m.key {
			continue
		}
		for _, name := range m.names {
			if slices.Contains(o.serving.names, name) {
				p.Got = fmt.Sprintf("%s, for %s with a key of the kind %s, as %s", s.files[0].name, name, m.key, o.path)
				return p
			}
		}
	}
	if s != g.slots[0] && len(m.names) == 0 {
		p.Got, p.Want = s.files[0].name+", for no name of a host", "one for a name, since only the first serves others"
		return p
	}
	return nil
}

// publish makes the configurations for handshakes that begin from now on.
func (g *group) publish(clock func() time.Time) {
	var pairs []*material
	var ca *material
	for _, s := range g.slots {
		switch {
		case s.serving == nil: // a mistake, and not committed
		case s.part == partCA:
			ca = s.serving
		default:
			pairs = append(pairs, s.serving)
		}
	}
	if g.listener != nil {
		g.listener.publish(g.listenerSpec, pairs, ca, clock)
	} else {
		g.cluster.publish(g.clusterSpec, pairs, ca, clock)
	}
}

// CipherSuites are those of TLS 1.2 that can be spoken, by IANA name: all with forward secrecy and authenticated encryption
// (RFC 9325, section 4.2). Those of 1.3 are all of that kind, and have no choice.
var CipherSuites = func() map[string]uint16 {
	all := map[string]uint16{}
	for _, s := range tls.CipherSuites() {
		if strings.Contains(s.Name, "_ECDHE_") && (strings.Contains(s.Name, "_GCM_") || strings.Contains(s.Name, "_CHACHA20_")) {
			all[s.Name] = s.ID
		}
	}
	return all
}()

// suites returns the cipher suites of those names, or all if there are none.
func suites(names []string) (ids []uint16) {
	if len(names) == 0 {
		return slices.Collect(maps.Values(CipherSuites)) // crypto/tls has an order of its own
	}
	for _, n := range names {
		ids = append(ids, CipherSuites[n])
	}
	return ids
}

// poolOf returns nil, which stands for none or for the system's, without authorities.
func poolOf(ca *material) *x509.CertPool {
	if ca == nil {
		return nil
	}
	return ca.pool
}
