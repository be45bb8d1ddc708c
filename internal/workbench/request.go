package workbench

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
)

// text is the text of a request.
type text struct {
	send  *Send
	query string
	path  string
}

// Attr implements policies.Attrs.
func (t *text) Attr(a policies.Attr) []byte {
	switch a {
	case policies.AttrPath:
		return []byte(t.path)
	case policies.AttrQuery:
		return []byte(t.query)
	case policies.AttrHost:
		return []byte(t.send.Host)
	case policies.AttrMethod:
		return []byte(t.send.Method)
	case policies.AttrRoute:
		return []byte("test")
	case policies.AttrClientIP:
		return []byte(t.send.ClientIP)
	case policies.AttrSNI:
		return []byte(t.send.SNI)
	case policies.AttrClientIdentity:
		return []byte(t.send.ClientIdentity)
	}
	return nil
}

// Header implements policies.Attrs.
func (t *text) Header(name string) ([]byte, bool) {
	for k, v := range t.send.Headers {
		if strings.EqualFold(k, name) {
			return []byte(v), true
		}
	}
	return nil, false
}

// Cookie implements policies.Attrs.
func (t *text) Cookie(name string) ([]byte, bool) {
	v, ok := t.send.Cookies[name]
	return []byte(v), ok
}

var methods = map[string]policies.Method{
	"GET": policies.MethodGet, "HEAD": policies.MethodHead, "POST": policies.MethodPost, "PUT": policies.MethodPut,
	"DELETE": policies.MethodDelete, "CONNECT": policies.MethodConnect, "OPTIONS": policies.MethodOptions,
	"TRACE": policies.MethodTrace, "PATCH": policies.MethodPatch,
}

// numbered puts i where s has {i}.
func numbered(s string, i int) string { return strings.ReplaceAll(s, "{i}", strconv.Itoa(i)) }

// arrive lets request i of a send come, now.
func (s *stage) arrive(send *Send, i int, open *int) *request {
	path, query, _ := strings.Cut(send.Path, "?")
	method := methods[send.Method]
	ip, _ := netip.ParseAddr(send.ClientIP)
	q := &request{stage: s, session: numbered(send.Session, i), arrived: s.Now(), open: open}
	*open++
	r := policies.Request{
		Method: method, Flags: policies.Replayable, ClientIP: ip.As16(), ClientPort: uint16(40000 + s.seq%20000),
		PathHash: xxhash.Sum64String(path), HostHash: xxhash.Sum64String(send.Host), StickyEP: policies.None,
		Attrs: &text{send, query, path},
	}
	s.seq++
	if method.Idempotent() {
		r.Flags |= policies.Idempotent
	}
	if send.Key != "" {
		r.Flags |= policies.HasKey
		r.KeyHash = xxhash.Sum64String(numbered(send.Key, i))
	}
	if name, ok := s.jar[q.session]; ok && q.session != "" {
		r.StickyEP = s.Endpoint(name)
	}
	s.Send(sim.Call{Ask: r, Attempts: send.Attempts, Timeout: send.Deadline, Witness: q})
	return q
}
