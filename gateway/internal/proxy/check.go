package proxy

import (
	"bytes"
	"math"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/policies"
)

// check cuts a request's head into lines and refuses what two parsers might read differently. fasthttp has parsed it
// before, more kindly: what it lets through and this does not is the list below. It returns noProblem if all is well.
func (x *exchange) check(h *fasthttp.RequestHeader) problemID {
	proto := h.Protocol()
	x.http10 = string(proto) == "HTTP/1.0"
	if !x.http10 && string(proto) != "HTTP/1.1" {
		return badVersion // 1.2, 2.0 and 3.0 are taken for 1.0 by the parser
	}
	if id := x.checkMethod(h.Method()); id != noProblem {
		return id
	}
	if id := x.head.parse(h.RawHeaders()); id != noProblem {
		return id
	}
	if id := x.checkFraming(); id != noProblem {
		return id
	}
	return x.checkTarget(h.RequestURI())
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
			if !isToken[b] {
				return badField
			}
			under = under || b == '_'
		}
		if under && isAlias(name) {
			return aliasField
		}
		l.field = classify(name)
		v := trim(raw[at+colon+1 : end])
		l.valueEnd = uint16(at + colon + 1 + len(raw[at+colon+1:end]))
		if len(v) > 0 {
			l.valueBegin = uint16(end - len(trimLeft(raw[at+colon+1:end])))
			l.valueEnd = l.valueBegin + uint16(len(v))
		} else {
			l.valueBegin = l.valueEnd
		}
		h.n++
		at += n + 1
	}
	return noProblem
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// checkFraming allows one way only to tell where the body ends (RFC 9112, section 6).
func (x *exchange) checkFraming() problemID {
	lengths, codings := 0, 0
	for i := range x.head.lines[:x.head.n] {
		l := &x.head.lines[i]
		switch l.field {
		case contentLengthField:
			lengths++
		case transferEncodingField:
			codings++
			if !equalFold(x.head.value(l), "chunked") {
				return unknownCoding
			}
		}
	}
	if lengths+codings > 1 {
		return twoFramings
	}
	return noProblem
}

// checkTarget finds host and path. The path is the bytes that are matched and the bytes that are forwarded.
func (x *exchange) checkTarget(uri []byte) problemID {
	x.host = nil
	hosts := 0
	for i := range x.head.lines[:x.head.n] {
		if l := &x.head.lines[i]; l.field == hostField {
			x.host = x.head.value(l)
			hosts++
		}
	}
	if hosts > 1 || hosts == 0 && !x.http10 {
		return badHost
	}
	switch {
	case len(uri) > 0 && uri[0] == '/':
		x.target = uri
	case len(uri) == 1 && uri[0] == '*' && x.method == policies.MethodOptions:
		x.target = uri
	default: // absolute-form: its authority overrides Host (RFC 9112, section 3.2.2)
		rest, ok := cutScheme(uri)
		if !ok {
			return badTarget
		}
		slash := bytes.IndexAny(rest, "/?")
		if slash < 0 {
			x.host, x.target = rest, slashPath
		} else {
			x.host, x.target = rest[:slash], rest[slash:]
		}
		if x.target[0] != '/' {
			return badTarget
		}
	}
	if !x.http10 || hosts > 0 {
		if !validHost(x.host) {
			return badHost
		}
	}
	if bytes.IndexByte(x.target, '#') >= 0 {
		return badTarget // a fragment is not for servers, and some cut it off
	}
	x.path, x.query, _ = bytes.Cut(x.target, questionMark)
	if climbs(x.path) || !wellEscaped(x.path) {
		return badTarget
	}
	return noProblem
}

// wellEscaped reports whether every % is followed by two hexadecimal digits (RFC 3986, section 2.1). Parsers do not agree
// on what anything else means.
func wellEscaped(p []byte) bool {
	for {
		i := bytes.IndexByte(p, '%')
		if i < 0 {
			return true
		}
		if len(p) < i+3 || !isHex[p[i+1]] || !isHex[p[i+2]] {
			return false
		}
		p = p[i+3:]
	}
}

var (
	slashPath    = []byte("/")
	questionMark = []byte("?")
)

func cutScheme(uri []byte) ([]byte, bool) {
	for _, s := range [...]string{"http://", "https://"} {
		if len(uri) > len(s) && equalFold(uri[:len(s)], s) {
			return uri[len(s):], true
		}
	}
	return nil, false
}

// validHost accepts what a Host field may hold here: a name, an IPv4 address or an IPv6 address in brackets, and
// perhaps a port. User information in it would become an Authorization field further on, and a list is nobody's name.
func validHost(h []byte) bool {
	if len(h) == 0 || len(h) > maxHost {
		return false
	}
	for _, b := range h {
		if !isHost[b] {
			return false
		}
	}
	return true
}

// climbs reports whether a path has a segment "..", in clear or encoded. Whoever resolves it after us would serve a path
// that we did not match.
func climbs(p []byte) bool {
	for i := 0; i < len(p); {
		if p[i] != '/' {
			i++
			continue
		}
		j, dots := i+1, 0
		for j < len(p) && dots < 3 {
			switch {
			case p[j] == '.':
				j++
			case j+2 < len(p) && p[j] == '%' && p[j+1] == '2' && p[j+2]|0x20 == 'e':
				j += 3
			default:
				goto counted
			}
			dots++
		}
	counted:
		if dots == 2 && (j == len(p) || p[j] == '/') {
			return true
		}
		i++
	}
	return false
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

var (
	isToken = byteSet("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	isHex   = byteSet("0123456789abcdefABCDEF")
	isHost  = byteSet("-._~:[]!$&'()*+;=%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
)

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}
