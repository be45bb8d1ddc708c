package proxy

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"slices"
	"strings"

	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// maxHost is the longest Host that is accepted: a name of 253 bytes and a port, or so.
const maxHost = 264

// table is a compiled Config. It is immutable: an update makes another.
type table struct {
	*Config
	exact  map[string]paths // by host
	suffix map[string]paths // by what follows the star of *.example.com, dot included
	any    paths
	via    []byte                 // what is added to responses
	tls    map[string]*tls.Config // as TLS, by listener
}

// paths holds the routes of one host by their path, without the slash at its end.
type paths map[string][]*route

// route is a Route that requests are counted on.
type route struct {
	*Route
	index   uint32
	strip   string // StripPrefix without the slash at its end
	cluster *clusterState
	stats   *routeCounters
	logged  []byte // what the access log has of it
}

// compile makes a table of c, whose defaults are filled in. Counters come from the caller, since they outlive tables.
func compile(c *Config, counters func(r *Route) (*clusterState, *routeCounters)) *table {
	t := &table{Config: c, exact: map[string]paths{}, suffix: map[string]paths{}, any: paths{}, via: []byte("1.1 " + c.Via), tls: map[string]*tls.Config{}}
	for listener, config := range c.TLS {
		t.tls[listener] = noting(config)
	}
	for i := range c.Routes {
		r := &route{Route: &c.Routes[i], index: uint32(i), strip: strings.TrimRight(c.Routes[i].StripPrefix, "/")}
		r.cluster, r.stats = counters(r.Route)
		r.logged = access.Line(nil).Text("route", r.Name).Text("cluster", r.cluster.name).Fields()
		byHost, host := t.exact, strings.ToLower(r.Host)
		p := t.any
		if host != "" {
			if strings.HasPrefix(host, "*.") {
				byHost, host = t.suffix, host[1:]
			}
			if byHost[host] == nil {
				byHost[host] = paths{}
			}
			p = byHost[host]
		}
		path := strings.TrimRight(r.Path, "/")
		p[path] = append(p[path], r)
	}
	for _, group := range []map[string]paths{t.exact, t.suffix, {"": t.any}} {
		for _, p := range group {
			for _, rs := range p {
				slices.SortStableFunc(rs, func(a, b *route) int { return cmp.Compare(len(b.Headers), len(a.Headers)) })
			}
		}
	}
	return t
}

// route finds the route of a request, or nil.
func (t *table) route(host, path []byte, h *head) *route {
	if len(t.exact)+len(t.suffix) > 0 {
		var buf [maxHost]byte
		host = canonicalHost(buf[:0], host)
		if r := t.exact[string(host)].route(path, h); r != nil {
			return r
		}
		if len(t.suffix) > 0 {
			for {
				dot := bytes.IndexByte(host, '.')
				if dot < 0 {
					break
				}
				if r := t.suffix[string(host[dot:])].route(path, h); r != nil {
					return r
				}
				host = host[dot+1:]
			}
		}
	}
	return t.any.route(path, h)
}

// route finds the route with the longest path that path begins with, segment by segment.
func (p paths) route(path []byte, h *head) *route {
	if len(p) == 0 {
		return nil
	}
	for {
		for _, r := range p[string(path)] {
			if r.matches(h) {
				return r
			}
		}
		slash := bytes.LastIndexByte(path, '/')
		if slash < 0 {
			if len(path) == 0 {
				return nil
			}
			slash = 0 // the target *
		}
		path = path[:slash]
	}
}

func (r *route) matches(h *head) bool {
	for i := range r.Headers {
		m := &r.Headers[i]
		l := h.find(m.Name)
		if l == nil || m.Value != "" && string(h.value(l)) != m.Value {
			return false
		}
	}
	return true
}

// forwarded returns the target without the route's prefix.
func (r *route) forwarded(dst, target []byte) []byte {
	if n := len(r.strip); n > 0 && len(target) >= n && string(target[:n]) == r.strip {
		switch rest := target[n:]; {
		case len(rest) == 0:
			return append(dst, '/')
		case rest[0] == '/':
			return append(dst, rest...)
		case rest[0] == '?':
			return append(append(dst, '/'), rest...)
		}
	}
	return append(dst, target...)
}

// canonicalHost appends a host in lower case, without port and without the root's dot.
func canonicalHost(dst, host []byte) []byte {
	for _, b := range bytes.TrimSuffix(withoutPort(host), []byte{'.'}) {
		dst = append(dst, grammar.Lower(b))
	}
	return dst
}

func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}
