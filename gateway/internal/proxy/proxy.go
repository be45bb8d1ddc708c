// Package proxy is the data plane: it takes requests from clients, lets the policy of their cluster choose endpoints,
// and streams responses back. With package upstream it is the only home of fasthttp.
//
// A request passes ten steps, in this order: accept and check (read.go, check.go), route (route.go), admit, load one view of the
// cluster (exchange.go), pick (retry.go), rewrite the head (headers.go), attempt (attempt.go), classify, decide about a
// retry (retry.go), stream the response and count (response.go). Nothing on that way allocates in steady state, takes a
// lock that all requests share, or logs.
package proxy

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/policies"
)

// Config is what a [Server] serves. It is not to be changed after [Server.Update].
type Config struct {
	Routes []Route
	// ProxyProtocol says, by name of listener, from whom PROXY headers are read; without an entry from nobody.
	ProxyProtocol map[string]*ProxyProtocol
	// Trusted are, by name of listener, the networks whose X-Forwarded-* and Forwarded fields are believed and added
	// to. From anybody else they are replaced.
	Trusted map[string][]netip.Prefix
	// Via is the name of this gateway in Via fields. A request that carries it already has come in a circle and is
	// answered 508. Default "weir".
	Via string
	// ExplainToken is what a Weir-Explain field has to hold for the request to be explained. "" explains none.
	ExplainToken string

	Access      *access.Log // gets a line of each request; nil: there is none
	AccessQuery bool        // the line has the query

	// TLS holds, by name, how the listeners that end TLS do so. The protocols that are offered are up to it: "h2", "http/1.1".
	TLS             map[string]*tls.Config
	H2C             bool  // clients may speak HTTP/2 without TLS, by prior knowledge (RFC 9113, section 3.3)
	MaxBody         int64 // of a request, in bytes; 0 is no limit
	MaxConnRequests int   // on one connection, which is then closed in good order; 0 is no limit
	MaxClientConns  int   // of one client, which is an IPv4 address or an IPv6 network of 64 bits; 0 is no limit

	HeaderTimeout time.Duration // from the first byte of a request to the end of its head; default 10 s
	IdleTimeout   time.Duration // between requests on a connection; default 60 s
	// TunnelTimeout is without anything from either side of a tunnel (WebSocket), a call of gRPC or a stream of events; default 1 h.
	TunnelTimeout time.Duration
	// HalfClose: clients that close their side of a connection still want their answer. Otherwise they are gone, and what
	// they asked for is given up.
	HalfClose bool

	BodyTimeout time.Duration // without progress of any other body, either way; default 60 s
}

// Route sends the requests it matches to a cluster. Of the routes that match, the one with the most specific host wins,
// then the longest path, then the most header fields, then the first.
type Route struct {
	Name    string
	Host    string  // exact, or *.suffix, or "" for any; without port
	Path    string  // prefix that ends at a segment: /api matches /api and /api/x, not /apis; "" is /
	Headers []Match // all of them must match
	// StripPrefix is taken off the path before it is forwarded, if it is there and ends at a segment.
	StripPrefix string

	Cluster *cluster.Cluster
	// Timeout is how long a request may take until the head of its response, retries included, not counting the time a
	// large body takes to arrive. Default 30 s.
	Timeout time.Duration
	// PerTryTimeout is the same for one attempt. 0 is an equal share of what is left for each attempt that is left, if the
	// request may be repeated and there is another endpoint, and all that is left otherwise.
	PerTryTimeout time.Duration
	Attempts      int    // the first one counts; 1..policies.MaxTried, default 3
	Budget        int    // retries in flight, as a percentage of the cluster's requests in flight; at least 3 always; default 20
	Hedge         *Hedge // nil: only as policies ask for it, within Budget
	Affinity      Affinity
	PassLoad      bool // clients get the endpoints' endpoint-load-metrics fields
	MaxRequests   int  // requests in flight of the whole cluster above which new ones get 503; 0 is no limit
}

// Match requires a header field: with that value, or with any if Value is "".
type Match struct{ Name, Value string }

// Source is where an affinity key comes from.
type Source uint8

// Sources of affinity keys.
const (
	NoKey Source = iota
	HeaderKey
	CookieKey
	ClientIPKey
	ClientIdentityKey // whom the client's certificate is for
	PathKey
	QueryKey // the whole query string, or one parameter of it if Affinity.Name is set
)

// Affinity says which part of a request decides what it sticks to.
type Affinity struct {
	Source Source
	Name   string // of the header field, the cookie or the query parameter
}

func (c *Config) withDefaults() *Config {
	d := *c
	def(&d.HeaderTimeout, 10*time.Second)
	def(&d.IdleTimeout, 60*time.Second)
	def(&d.BodyTimeout, 60*time.Second)
	def(&d.TunnelTimeout, time.Hour)
	if d.Via == "" {
		d.Via = "weir"
	}
	d.Routes = make([]Route, len(c.Routes))
	for i, r := range c.Routes {
		def(&r.Timeout, 30*time.Second)
		if r.Attempts == 0 {
			r.Attempts = 3
		}
		r.Attempts = min(r.Attempts, policies.MaxTried)
		if r.Budget == 0 {
			r.Budget = 20
		}
		d.Routes[i] = r
	}
	return &d
}

func def(d *time.Duration, x time.Duration) {
	if *d == 0 {
		*d = x
	}
}
