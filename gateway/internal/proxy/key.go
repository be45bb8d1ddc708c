package proxy

import (
	"bytes"
	"net/netip"

	"github.com/weir-lb/weir/policies"
)

// key returns the bytes that the request sticks by.
func (x *exchange) key(clientIP []byte) ([]byte, bool) {
	a := &x.route.Affinity
	switch a.Source {
	case HeaderKey:
		if l := x.head.find(a.Name); l != nil {
			return x.head.value(l), true
		}
	case CookieKey:
		return x.head.cookie(a.Name)
	case ClientIPKey:
		return clientIP, true
	case ClientIdentityKey:
		return x.conn.identity, len(x.conn.identity) > 0
	case PathKey:
		return x.path, true
	case QueryKey:
		if a.Name == "" {
			return x.query, len(x.query) > 0
		}
		return parameter(x.query, a.Name)
	}
	return nil, false
}

// parameter returns the first value of a query parameter, as it is on the wire.
func parameter(query []byte, name string) ([]byte, bool) {
	for rest := query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		k, v, _ := bytes.Cut(pair, []byte{'='})
		if string(k) == name {
			return v, true
		}
	}
	return nil, false
}

// attrs is the exchange as policies see it.
type attrs exchange

// Attr implements policies.Attrs.
func (a *attrs) Attr(n policies.Attr) []byte {
	switch n {
	case policies.AttrPath:
		return a.path
	case policies.AttrQuery:
		return a.query
	case policies.AttrHost:
		return a.host
	case policies.AttrMethod:
		return a.verb
	case policies.AttrSNI:
		return a.conn.sni
	case policies.AttrClientIdentity:
		return a.conn.identity
	case policies.AttrRoute:
		return a.route.stats.name
	case policies.AttrCluster:
		return a.route.cluster.nameBytes
	case policies.AttrClientIP:
		a.client = netip.AddrFrom16(a.req.ClientIP).Unmap().AppendTo(a.client[:0]) // not the peer, if that is trusted
		return a.client
	}
	return nil
}

// Header implements policies.Attrs.
func (a *attrs) Header(name string) ([]byte, bool) {
	l := a.head.find(name)
	if l == nil {
		return nil, false
	}
	return a.head.value(l), true
}

// Cookie implements policies.Attrs.
func (a *attrs) Cookie(name string) ([]byte, bool) { return a.head.cookie(name) }
