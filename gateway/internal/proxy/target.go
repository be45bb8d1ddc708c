package proxy

import (
	"bytes"

	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/policies"
)

// checkTarget finds host and path. The path is the bytes that are matched and the bytes that are forwarded.
func (x *exchange) checkTarget(uri []byte) problemID {
	x.host, x.https = nil, false
	hosts := x.head.hosts
	if l := x.head.first(hostField); l != nil {
		x.host = x.head.value(l)
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
		if hosts > 0 && !validHost(x.host) {
			return badHost // although it is overridden (RFC 9112, section 3.2)
		}
		x.https = len(uri)-len(rest) == len("https://")
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
	if (!x.http10 || len(x.host) > 0 || hosts > 0) && !validHost(x.host) {
		return badHost
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
		if len(uri) > len(s) && grammar.EqualFold(uri[:len(s)], s) {
			return uri[len(s):], true
		}
	}
	return nil, false
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

var isHex = byteSet("0123456789abcdefABCDEF")
