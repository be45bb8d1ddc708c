package proxy

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/policies"
)

// rewrite writes the head that endpoints get into x.out. It is the same for every attempt.
//
// What belongs to the client's connection goes first, with everything that any Connection field names (RFC 9110,
// section 7.6.1). Our own fields come after that, so that nobody can name them away.
func (x *exchange) rewrite(trusted bool) problemID {
	h := &x.head
	if id := x.dropHopByHop(); id != noProblem {
		return id
	}
	if v := h.first(viaField); v != nil && x.hasLooped() {
		return loop
	}
	b := append(x.out[:0], x.verb...)
	b = append(b, ' ')
	b = x.route.forwarded(b, x.target)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if len(x.host) > 0 {
		b = append(b, x.host...)
	} else {
		b = append(b, x.conn.local...) // an HTTP/1.0 client without Host means whom it talks to
	}
	b = append(b, "\r\n"...)
	b, passed := x.appendLines(b, trusted)
	b = x.appendForwarded(b, trusted, passed)
	b = x.appendList(append(b, "Via: "...), viaField, true)
	b = append(append(b, x.version()...), ' ')
	b = append(append(b, x.table.Via...), "\r\n"...)
	if !passed.has(requestIDField) {
		x.id = rand.Uint64()
		b = append(b, "X-Request-Id: "...)
		b = appendHex(b, x.id)
		b = append(b, "\r\n"...)
	}
	if cert := x.conn.clientCert; len(cert) > 0 {
		b = append(append(append(b, "Client-Cert: "...), cert...), "\r\n"...)
	}
	switch {
	case x.upgrade != nil:
		b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), x.upgrade...), "\r\n"...)
	case x.trailers:
		b = append(b, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if x.expects {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	x.out = append(x.appendFraming(b), "\r\n"...)
	return noProblem
}

// appendLines appends what is passed on as it came, and tells which fields that were.
func (x *exchange) appendLines(b []byte, trusted bool) (_ []byte, passed fields) {
	h := &x.head
	const none = -1
	from := none
	for i := range h.lines[:h.n] {
		l := &h.lines[i]
		if x.passes(l, trusted) {
			passed |= 1 << l.field
			if from == none {
				from = int(l.nameBegin)
			}
			continue
		}
		if from != none {
			b, from = append(b, h.text[from:l.nameBegin]...), none
		}
		if n, ok := x.maxForwards(l); ok && !l.drop {
			b = append(strconv.AppendInt(append(b, "Max-Forwards: "...), n-1, 10), "\r\n"...)
		}
	}
	if from != none {
		b = append(b, h.text[from:]...)
	}
	return b, passed
}

// passes reports whether a line goes to endpoints as it came. What we write ourselves does not.
func (x *exchange) passes(l *line, trusted bool) bool {
	switch l.field {
	case hostField, viaField, contentLengthField, transferEncodingField, forwardedField, forwardedForField:
		return false
	case forwardedProtoField, forwardedHostField, untrustedField:
		return trusted && !l.drop
	case maxForwardsField:
		_, ok := x.maxForwards(l)
		return !ok && !l.drop
	}
	return !l.drop
}

// version is that of the protocol that the request came in, as Via has it.
func (x *exchange) version() string {
	switch {
	case x.http10:
		return "1.0"
	case x.http2:
		return "2"
	}
	return "1.1"
}

// dropHopByHop marks the lines that end here.
func (x *exchange) dropHopByHop() problemID {
	h := &x.head
	upgrade := false
	for i := range h.lines[:h.n] {
		switch l := &h.lines[i]; l.field {
		case connectionField:
			l.drop = true
			for rest := h.value(l); len(rest) > 0; {
				var name []byte
				name, rest = grammar.NextElement(rest)
				upgrade = upgrade || grammar.EqualFold(name, "upgrade")
				x.dropNamed(name)
			}
		case teField:
			l.drop = true
			x.trailers = x.trailers || hasToken(h.value(l), "trailers")
		case hopField, expectField, upgradeField, explainField:
			l.drop = true
		}
	}
	if l := h.first(upgradeField); upgrade && l != nil && !x.http10 && !x.http2 && x.body.ended && grammar.EqualFold(h.value(l), "websocket") {
		x.upgrade = h.value(l)
		x.req.Flags |= policies.Upgrade
	}
	return noProblem
}

// maxForwards returns how often an OPTIONS may still be forwarded; of other methods the field says nothing (RFC 9110,
// section 7.6.2).
func (x *exchange) maxForwards(l *line) (n int64, ok bool) {
	if l.field != maxForwardsField || x.method != policies.MethodOptions {
		return 0, false
	}
	v := x.head.value(l)
	for _, b := range v {
		if b < '0' || b > '9' || n > 1<<32 {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, len(v) > 0
}

// hasToken reports whether a list has an element of that name, parameters aside.
func hasToken(list []byte, name string) bool {
	for len(list) > 0 {
		var token []byte
		token, list = grammar.NextElement(list)
		token, _, _ = bytes.Cut(token, []byte{';'})
		if grammar.EqualFold(grammar.Trim(token), name) {
			return true
		}
	}
	return false
}

// dropNamed marks the fields of one name. Framing and Host are not the client's to take away.
func (x *exchange) dropNamed(name []byte) {
	for i := range x.head.lines[:x.head.n] {
		l := &x.head.lines[i]
		if grammar.EqualFold(x.head.name(l), name) {
			l.drop = true
		}
	}
}

// hasLooped reports whether a Via field names this gateway.
func (x *exchange) hasLooped() bool {
	h := &x.head
	for i := range h.lines[:h.n] {
		if h.lines[i].field != viaField {
			continue
		}
		for rest := h.value(&h.lines[i]); len(rest) > 0; {
			var hop []byte
			hop, rest = grammar.NextElement(rest)
			_, by, _ := bytes.Cut(hop, []byte{' '})
			by, _, _ = bytes.Cut(grammar.Trim(by), []byte{' '}) // a comment may follow
			if string(by) == x.table.Via {
				return true
			}
		}
	}
	return false
}

// appendList appends the values of all lines of a field, with a comma and a blank after each.
func (x *exchange) appendList(b []byte, f field, trusted bool) []byte {
	for i := range x.head.lines[:x.head.n] {
		if l := &x.head.lines[i]; trusted && l.field == f && !l.drop && l.valueEnd > l.valueBegin {
			b = append(b, x.head.value(l)...)
			b = append(b, ", "...)
		}
	}
	return b
}

// appendForwarded says who the client is (RFC 7239, and what was there before it).
func (x *exchange) appendForwarded(b []byte, trusted bool, passed fields) []byte {
	b = x.appendList(append(b, "Forwarded: "...), forwardedField, trusted)
	b = append(b, x.conn.forwarded...)
	if len(x.host) > 0 {
		b = append(b, `;host="`...)
		b = append(b, x.host...)
		b = append(b, '"')
	}
	b = x.appendList(append(b, "\r\nX-Forwarded-For: "...), forwardedForField, trusted)
	b = append(b, x.conn.ip...)
	if !passed.has(forwardedProtoField) {
		b = append(append(b, "\r\nX-Forwarded-Proto: "...), x.conn.scheme...)
	}
	if !passed.has(forwardedHostField) && len(x.host) > 0 {
		b = append(b, "\r\nX-Forwarded-Host: "...)
		b = append(b, x.host...)
	}
	return append(b, "\r\n"...)
}

// appendFraming says how long the body is. A method that gives a body a meaning says so even if there is none.
func (x *exchange) appendFraming(b []byte) []byte {
	switch n := x.body.length; {
	case n < 0:
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	case n > 0 || x.head.first(contentLengthField) != nil || x.expectsBody():
		b = strconv.AppendInt(append(b, "Content-Length: "...), n, 10)
		return append(b, "\r\n"...)
	}
	return b
}

func (x *exchange) expectsBody() bool {
	m := string(x.verb)
	return m == "POST" || m == "PUT" || m == "PATCH"
}

func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}

// trusts reports whether a is in one of the networks that a listener trusts.
func (t *table) trusts(listener string, a netip.Addr) bool { return contains(t.Trusted[listener], a) }

// clientAddr returns who the request is from: the peer, or if that is trusted, the last one in X-Forwarded-For that is
// not.
func (x *exchange) clientAddr(trusted bool) netip.Addr {
	a := x.conn.addr
	if !trusted {
		return a
	}
	for i := x.head.n - 1; i >= 0; i-- {
		l := &x.head.lines[i]
		if l.field != forwardedForField {
			continue
		}
		for list := x.head.value(l); len(list) > 0; {
			comma := bytes.LastIndexByte(list, ',')
			last := grammar.Trim(list[comma+1:])
			list = list[:max(comma, 0)]
			next, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(last), len(last))) // not kept
			if err != nil {
				return a
			}
			if a = next.Unmap(); !x.table.trusts(x.conn.listener, a) {
				return a
			}
		}
	}
	return a
}

const contentLengthName = "Content-Length"
