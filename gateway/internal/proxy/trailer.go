package proxy

import (
	"bytes"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// appendTrailer appends the fields of a trailer section that may come so late: not those that say where a message ends,
// where it goes, who asks, or how it is to be read (RFC 9110, section 6.5.1).
func appendTrailer(dst, trailer []byte) []byte {
	for len(trailer) > 0 {
		var line []byte
		line, trailer, _ = bytes.Cut(trailer, crlf)
		name, _, _ := bytes.Cut(line, []byte{':'})
		if mayTrail(name) {
			dst = append(append(dst, line...), crlf...)
		}
	}
	return dst
}

var crlf = []byte("\r\n")

// early are the fields, beside those that the gateway itself cares about, that are no trailers.
var early = [...]string{
	"authorization", "cache-control", "content-encoding", "content-range", "content-type", "age", "date", "expires", "location",
	"max-forwards", "pragma", "range", "retry-after", "set-cookie", "vary", "warning", "www-authenticate",
	"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
}

func mayTrail(name []byte) bool {
	if names.Find(name) != otherField {
		return false
	}
	for _, e := range early {
		if grammar.EqualFold(name, e) {
			return false
		}
	}
	return true
}
