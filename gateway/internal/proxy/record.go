package proxy

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/policies"
)

// cutBy says who ended an exchange before the client had all of the answer.
type cutBy uint8

const (
	notCut cutBy = iota
	cutByClient
	cutByEndpoint
)

// loggedDigest is how much of a module's digest a line has.
const loggedDigest = 12

// log appends the exchange's line to the access log. Nothing in it is from a field that may hold a credential, and of the
// target it has the query only if that is wanted. broken: not all of the answer went out.
func (x *exchange) log(broken bool) {
	out := buffers.Get().(*buffer)
	out.b = x.appendLine(out.b[:0], broken)
	x.table.Access.Append(out.b)
	out.drop()
}

// appendLine appends the line.
func (x *exchange) appendLine(b []byte, broken bool) []byte {
	c := x.conn
	l := access.Begin(b, x.arrived)
	l = l.Text("listener", c.listener)
	l = x.logClient(l)
	if len(x.verb) > 0 {
		l = l.Bytes("method", x.verb)
	}
	l = x.logTarget(l)
	switch {
	case x.http2:
		l = l.Text("protocol", "HTTP/2")
	case x.proto != nil:
		l = l.Bytes("protocol", x.proto)
	}
	l = l.Int("status", int64(x.status)).Int("bytes_in", x.body.total+x.heard).Int("bytes_out", x.sent).Millis("ms", x.lasted())
	if x.route != nil {
		l = l.Raw(x.route.logged)
	}
	l = x.logAttempts(l)
	l = x.logNames(l)
	if c.tls != nil {
		l = l.Text("tls", c.version)
	}
	if x.problem != noProblem {
		l = l.Text("problem", problems[x.problem].Name)
	}
	switch {
	case x.cutBy == cutByEndpoint:
		l = l.Text("cut_by", "endpoint")
	case x.cutBy == cutByClient || broken && x.problem == noProblem:
		l = l.Text("cut_by", "client")
	}
	return l.End()
}

// logClient says who the request is from: whom trusted peers say it is from, if there are any.
func (x *exchange) logClient(l access.Line) access.Line {
	if t := x.table; x.proto != nil && len(t.Trusted) > 0 && t.trusts(x.conn.listener, x.conn.addr) {
		if a := x.clientAddr(true); a != x.conn.addr {
			x.client = a.AppendTo(x.client[:0])
			return l.Bytes("client", x.client)
		}
	}
	return l.Bytes("client", x.conn.ip)
}

// logTarget adds host, path and query as they came. What was refused before they were found has what looks like a path.
func (x *exchange) logTarget(l access.Line) access.Line {
	if len(x.host) > 0 {
		l = l.Bytes("host", x.host)
	}
	path, query := x.path, x.query
	if x.path == nil && x.proto != nil {
		path, query = pathIn(x.uri)
	}
	if len(path) > 0 {
		l = l.Bytes("path", path)
	}
	if x.table.AccessQuery && len(query) > 0 {
		l = l.Bytes("query", query)
	}
	return l
}

// pathIn finds path and query in a target that may be of any form. An authority, which may hold a password, is left out.
func pathIn(target []byte) (path, query []byte) {
	if _, rest, ok := bytes.Cut(target, []byte("://")); ok && target[0] != '/' {
		target = rest[min(len(rest), max(0, bytes.IndexAny(rest, "/?#"))):]
	}
	if len(target) > 0 && target[0] != '/' {
		target = nil
	}
	path, query, _ = bytes.Cut(target, questionMark)
	path, _, _ = bytes.Cut(path, []byte{'#'})
	return path, query
}

// logAttempts says what was tried, and who chose it.
func (x *exchange) logAttempts(l access.Line) access.Line {
	s := x.snap
	if s == nil {
		return l
	}
	if l = l.Int("attempts", int64(x.req.Attempt)); x.req.Attempt > 0 {
		o := &x.outcome
		if o.Endpoint >= 0 && o.Endpoint < len(s.Endpoints) {
			l = l.Text("endpoint", s.Endpoints[o.Endpoint].ID)
		}
		if o.FirstByte > 0 {
			l = l.Millis("endpoint_ms", o.FirstByte)
		}
		if o.Class != policies.OK {
			l = l.Text("outcome", o.Class.String())
		}
	}
	l = l.Text("policy", s.PolicyName)
	if d := s.PolicyDigest; d != "" {
		l = l.Text("digest", d[:min(len(d), loggedDigest)])
	}
	return l
}

// logNames adds what the request is known by elsewhere.
func (x *exchange) logNames(l access.Line) access.Line {
	h := &x.head
	hasID, hasTrace, hasAgent := x.id != 0, false, false
	if hasID {
		l = l.Hex("request_id", x.id)
	}
	for i := range h.lines[:h.n] {
		f := &h.lines[i]
		switch name := h.name(f); {
		case f.field == requestIDField && !hasID:
			hasID = true
			l = l.Bytes("request_id", h.value(f))
		case f.field != otherField:
		case !hasTrace && grammar.EqualFold(name, "traceparent"):
			hasTrace = true
			l = logTrace(l, h.value(f))
		case !hasAgent && grammar.EqualFold(name, "user-agent"):
			hasAgent = true
			l = l.Bytes("user_agent", h.value(f))
		}
	}
	return l
}

// logTrace adds the trace-id of a traceparent, version-traceid-parentid-flags (W3C Trace Context, section 3.2).
func logTrace(l access.Line, v []byte) access.Line {
	if len(v) >= 55 && v[2] == '-' && v[35] == '-' {
		return l.Bytes("trace", v[3:35])
	}
	return l
}

// guess notes method and target of a request that could not be read, as far as its first line has come.
func (x *exchange) guess(br *bufio.Reader) {
	if x.table.Access == nil {
		return
	}
	first, _ := br.Peek(br.Buffered())
	first, _, _ = bytes.Cut(bytes.TrimLeft(first, "\r\n"), []byte{'\n'})
	verb, rest, ok := bytes.Cut(first, []byte{' '})
	if !ok || len(verb) > maxVerb || strings.ContainsFunc(string(verb), func(r rune) bool { return r > '~' || !grammar.InToken[r] }) {
		return
	}
	target, _, _ := bytes.Cut(rest, []byte{' '})
	x.verb = verb
	x.path, x.query = pathIn(bytes.TrimRight(target, "\r"))
}

// maxVerb is how long what looks like a method may be to be taken for one.
const maxVerb = 32
