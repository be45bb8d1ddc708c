package proxy

import (
	"bytes"
	"math"

	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/policies"
)

// check cuts a request's head into lines and refuses what two parsers might read differently. fasthttp has parsed it
// before, more kindly: what it lets through and this does not is the list below. It returns noProblem if all is well.
func (x *exchange) check() problemID {
	x.http10 = string(x.proto) == "HTTP/1.0"
	if !x.http10 && string(x.proto) != "HTTP/1.1" {
		return badVersion // 1.2, 2.0 and 3.0 are taken for 1.0 by the parser
	}
	if id := x.checkMethod(x.verb); id != noProblem {
		return id
	}
	if id := x.head.parse(x.head.raw); id != noProblem {
		return id
	}
	if id := x.checkFraming(); id != noProblem {
		return id
	}
	return x.checkTarget(x.uri)
}

func (x *exchange) checkMethod(m []byte) problemID {
	x.method = methodOf(m)
	switch x.method {
	case policies.MethodConnect, policies.MethodTrace:
		return methodNotAllowed
	case policies.MethodOther:
		for _, b := range m {
			if 'a' <= b && b <= 'z' { // methods are case-sensitive (RFC 9110, section 9.1), and some parsers are not
				return unknownMethod
			}
		}
	}
	return noProblem
}

func methodOf(m []byte) policies.Method {
	switch string(m) {
	case "GET":
		return policies.MethodGet
	case "HEAD":
		return policies.MethodHead
	case "POST":
		return policies.MethodPost
	case "PUT":
		return policies.MethodPut
	case "DELETE":
		return policies.MethodDelete
	case "CONNECT":
		return policies.MethodConnect
	case "OPTIONS":
		return policies.MethodOptions
	case "TRACE":
		return policies.MethodTrace
	case "PATCH":
		return policies.MethodPatch
	}
	return policies.MethodOther
}

// parse cuts raw, which ends with an empty line, into lines.
func (h *head) parse(raw []byte) problemID {
	h.raw, h.n = raw, 0
	if len(raw) > math.MaxUint16 {
		return tooManyFields
	}
	for at := 0; at < len(raw); {
		n := bytes.IndexByte(raw[at:], '\n')
		if n <= 0 || raw[at+n-1] != '\r' {
			return bareLF
		}
		end := at + n - 1
		if end == at {
			break // the empty line
		}
		if raw[at] == ' ' || raw[at] == '\t' {
			return folded
		}
		if h.n == maxFields {
			return tooManyFields
		}
		colon := bytes.IndexByte(raw[at:end], ':')
		if colon <= 0 {
			return badField
		}
		l := &h.lines[h.n]
		*l = line{nameBegin: uint16(at), nameEnd: uint16(at + colon)}
		name := h.name(l)
		under := false
		for _, b := range name {
			if !grammar.InToken[b] {
				return badField
			}
			under = under || b == '_'
		}
		if under && isAlias(name) {
			return aliasField
		}
		l.field = classify(name)
		v := grammar.Trim(raw[at+colon+1 : end])
		l.valueEnd = uint16(at + colon + 1 + len(raw[at+colon+1:end]))
		if len(v) > 0 {
			l.valueBegin = uint16(end - len(grammar.TrimLeft(raw[at+colon+1:end])))
			l.valueEnd = l.valueBegin + uint16(len(v))
		} else {
			l.valueBegin = l.valueEnd
		}
		h.n++
		at += n + 1
	}
	return noProblem
}

// checkFraming allows one way only to tell where the body ends (RFC 9112, section 6).
func (x *exchange) checkFraming() problemID {
	lengths, codings := 0, 0
	for i := range x.head.lines[:x.head.n] {
		l := &x.head.lines[i]
		switch l.field {
		case contentLengthField:
			lengths++
		case expectField:
			if !grammar.EqualFold(x.head.value(l), "100-continue") {
				return expectationFailed
			}
			x.expects = !x.http10 && !x.body.ended
		case transferEncodingField:
			codings++
			if !grammar.EqualFold(x.head.value(l), "chunked") {
				return unknownCoding
			}
		}
	}
	if lengths+codings > 1 {
		return twoFramings
	}
	return noProblem
}

// isAlias reports whether a name with underscores reads, to software that takes them for hyphens (CGI and its heirs),
// as a field that decides about framing, routing or trust.
func isAlias(name []byte) bool {
	if len(name) > maxName {
		return false
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	for i, b := range name {
		if b == '_' {
			b = '-'
		}
		lower[i] = b
	}
	return classify(lower) != otherField
}

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}
