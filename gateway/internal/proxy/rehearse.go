package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies"
)

// ExplainRequest is a request that is not made.
type ExplainRequest struct {
	Method   string      `json:"method"` // default GET
	URL      string      `json:"url"`    // http://host/path?query, or a path if Header has a Host
	Header   http.Header `json:"header,omitempty"`
	ClientIP string      `json:"client_ip,omitempty"` // whom it comes from; default 127.0.0.1. No listener trusts it
}

// Explain says what the server would do with a request now: it is checked and routed as any other, and the policy of its
// cluster is rehearsed as if each attempt ended by a reset. Nothing is sent, counted or remembered. A body is taken for
// as long as Content-Length says, and for replayable if it would be. An error means that req cannot be read as a request;
// one that would be refused is explained.
func (s *Server) Explain(req ExplainRequest) (e Explanation, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
			err = fmt.Errorf("explaining %s %s: panic: %v", req.Method, req.URL, r)
		}
	}()
	x, err := s.imagine(req)
	if err != nil {
		return Explanation{}, err
	}
	id := x.check()
	x.startExplaining()
	x.explain.Rehearsed = true
	if id == noProblem {
		id, err = x.rehearse()
	}
	e = x.explain.Explanation
	if id != noProblem {
		e.Problem, e.Status = problems[id].Name, problems[id].Status
		if status := x.rejectStatus(); id == rejected && status != 0 {
			e.Status = status
		}
	}
	return e, err
}

// imagine makes an exchange of a request that nobody sent.
func (s *Server) imagine(req ExplainRequest) (*exchange, error) {
	raw, err := req.raw()
	if err != nil {
		return nil, err
	}
	client := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if req.ClientIP != "" {
		if client, err = netip.ParseAddr(req.ClientIP); err != nil {
			return nil, fmt.Errorf("client address %q, want an IP address", req.ClientIP)
		}
		client = client.Unmap().WithZone("")
	}
	x := &exchange{}
	x.server, x.table, x.arrived = s, s.table.Load(), time.Now()
	x.conn = &conn{scheme: "http", server: s, addr: client, ip: []byte(client.String())}
	if err := x.read(bufio.NewReaderSize(bytes.NewReader(raw), len(raw))); err != nil {
		return nil, fmt.Errorf("not a request: %w", err)
	}
	x.body.length = x.head.length
	x.body.ended, x.body.lost = true, x.body.length > maxReplay
	return x, nil
}

// raw writes the request as a client would.
func (req *ExplainRequest) raw() ([]byte, error) {
	method, target := req.Method, req.URL
	if method == "" {
		method = http.MethodGet
	}
	header := maps.Clone(req.Header)
	host := header.Get("Host")
	if rest, ok := cutScheme([]byte(target)); ok {
		authority := rest
		if i := bytes.IndexAny(rest, "/?"); i >= 0 {
			authority = rest[:i]
		}
		target = string(rest[len(authority):])
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		if host == "" {
			host = string(authority)
		}
	} else if !strings.HasPrefix(target, "/") && target != "*" {
		return nil, fmt.Errorf("url %q, want http://host/path or /path", req.URL)
	}
	if host == "" {
		return nil, fmt.Errorf("url %q has no host, and there is no Host field", req.URL)
	}
	for _, part := range []string{method, target, host} {
		if strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("%q has a blank or a control character", part)
		}
	}
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	header.Del("Host")
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, v := range header[name] {
			if strings.ContainsAny(name+v, "\r\n\x00") {
				return nil, fmt.Errorf("header field %q: %q has a line break", name, v)
			}
			b = fmt.Appendf(b, "%s: %s\r\n", name, v)
		}
	}
	return append(b, "\r\n"...), nil
}

// rehearse takes the steps of serve and run up to where something would be sent.
func (x *exchange) rehearse() (problemID, error) {
	if x.route = x.table.route(x.host, x.path, &x.head); x.route == nil {
		return noRoute, nil
	}
	live := x.route.cluster
	apart := *x.route // counts on nobody's counters
	apart.cluster = &clusterState{name: live.name, nameBytes: live.nameBytes}
	x.route = &apart
	c := x.route.Cluster
	snap, end, err := c.Rehearse(c.Load())
	if err != nil {
		return noProblem, err
	}
	defer end()
	x.snap, x.timeout = snap, x.route.Timeout
	x.describe(false, c.Seq())
	defer x.explain.settle(x)
	if x.route.MaxRequests > 0 && live.active.Load() >= int64(x.route.MaxRequests) {
		return overloaded, nil
	}
	if id := x.rewrite(false); id != noProblem {
		return id, nil
	}
	i := x.pick()
	switch {
	case i == policies.Rejected:
		return rejected, nil
	case i < 0:
		return noEndpoint, nil
	}
	for {
		x.outcome = policies.Outcome{Endpoint: i, Class: policies.Reset, Sent: true, Load: -1}
		ep := x.snap.Endpoints[i]
		x.explain.Attempts = append(x.explain.Attempts, ExplainedAttempt{Endpoint: ep.ID, Address: ep.Address})
		x.req.MarkTried(uint32(i))
		x.req.Attempt++
		x.req.Last = x.outcome
		next, v, _ := x.next()
		x.explain.Attempts[len(x.explain.Attempts)-1].Verdict = verdictNames[v]
		if v != retryGranted {
			return noProblem, nil
		}
		i = next
	}
}
