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

// maxFields bounds the lines of a request's header block.
const maxFields = 128

// maxName is the length of the longest name that classify knows.
const maxName = 32

// line is one header field. Offsets are into head.raw.
type line struct {
	nameBegin, nameEnd, valueBegin, valueEnd uint16
	field                                    field
	drop                                     bool
}

// head is the header block of a request as it came, cut into lines.
type head struct {
	raw   []byte
	lines [maxFields]line
	n     int
}

func (h *head) name(l *line) []byte  { return h.raw[l.nameBegin:l.nameEnd] }
func (h *head) value(l *line) []byte { return h.raw[l.valueBegin:l.valueEnd] }

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

// classify tells which field a name is.
func classify(name []byte) field {
	if len(name) > maxName {
		return otherField
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	for i, b := range name {
		lower[i] = grammar.Lower(b)
	}
	switch string(lower) {
	case "host":
		return hostField
	case "connection":
		return connectionField
	case "content-length":
		return contentLengthField
	case "transfer-encoding":
		return transferEncodingField
	case "expect":
		return expectField
	case "upgrade":
		return upgradeField
	case "te":
		return teField
	case "max-forwards":
		return maxForwardsField
	case "via":
		return viaField
	case "cookie":
		return cookieField
	case "x-request-id":
		return requestIDField
	case "forwarded":
		return forwardedField
	case "x-forwarded-for":
		return forwardedForField
	case "x-forwarded-proto":
		return forwardedProtoField
	case "x-forwarded-host":
		return forwardedHostField
	case "x-forwarded-port", "x-forwarded-server", "x-forwarded-prefix", "x-real-ip":
		return untrustedField
	case "keep-alive", "proxy-connection", "trailer", "proxy-authorization", "proxy-authenticate",
		"proxy-authentication-info", "http2-settings", "client-cert", "client-cert-chain":
		return hopField
	case "weir-explain":
		return explainField
	}
	return otherField
}
