package proxy

import (
	"bytes"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// field names the header fields that the gateway itself cares about.
type field uint8

const (
	otherField field = iota
	hostField
	connectionField
	contentLengthField
	transferEncodingField
	expectField
	upgradeField
	teField
	maxForwardsField
	viaField
	cookieField
	requestIDField
	forwardedField
	forwardedForField
	forwardedProtoField
	forwardedHostField
	untrustedField // claims about the client that only a trusted peer may make
	explainField   // asks for an explanation; not for endpoints either
	hopField       // about one connection, or not for endpoints
)

// fields is a set.
type fields uint32

func (s fields) has(f field) bool { return s>>f&1 != 0 }

// maxFields bounds the lines of a request's header block.
const maxFields = 128

// line is one header field. Offsets are into head.text.
type line struct {
	nameBegin, nameEnd, valueBegin, valueEnd uint16
	field                                    field
	drop                                     bool
}

// head is the head of a request as it came, without the empty line, cut into lines.
type head struct {
	text  []byte
	lines [maxFields]line
	n     int
	facts
}

func (h *head) name(l *line) []byte  { return h.text[l.nameBegin:l.nameEnd] }
func (h *head) value(l *line) []byte { return h.text[l.valueBegin:l.valueEnd] }

// first returns the first line of a field that the gateway knows, or nil.
func (h *head) first(f field) *line {
	for i := range h.lines[:h.n] {
		if h.lines[i].field == f {
			return &h.lines[i]
		}
	}
	return nil
}

// find returns the first line with that name, in any case, or nil.
func (h *head) find(name string) *line {
	for i := range h.lines[:h.n] {
		if l := &h.lines[i]; grammar.EqualFold(h.name(l), name) {
			return l
		}
	}
	return nil
}

// cookie returns the value of the first cookie of that name (RFC 6265, section 5.4).
func (h *head) cookie(name string) ([]byte, bool) {
	for i := range h.lines[:h.n] {
		if h.lines[i].field != cookieField {
			continue
		}
		for rest := h.value(&h.lines[i]); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			k, v, ok := bytes.Cut(grammar.Trim(pair), []byte{'='})
			if ok && string(k) == name {
				return bytes.Trim(v, `"`), true
			}
		}
	}
	return nil, false
}

var names = grammar.NewNames(map[string]field{
	"host": hostField, "connection": connectionField, "content-length": contentLengthField, "transfer-encoding": transferEncodingField,
	"expect": expectField, "upgrade": upgradeField, "te": teField, "max-forwards": maxForwardsField, "via": viaField, "cookie": cookieField,
	"x-request-id": requestIDField, "forwarded": forwardedField, "x-forwarded-for": forwardedForField, "x-forwarded-proto": forwardedProtoField,
	"x-forwarded-host": forwardedHostField, "weir-explain": explainField,
	"x-forwarded-port": untrustedField, "x-forwarded-server": untrustedField, "x-forwarded-prefix": untrustedField, "x-real-ip": untrustedField,
	"keep-alive": hopField, "proxy-connection": hopField, "trailer": hopField, "proxy-authorization": hopField, "proxy-authenticate": hopField,
	"proxy-authentication-info": hopField, "http2-settings": hopField, "client-cert": hopField, "client-cert-chain": hopField,
})
