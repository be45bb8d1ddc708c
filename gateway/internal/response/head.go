// Package response is the head of a response: read once and strictly, kept as it came, and passed on with what belongs to
// the endpoint's connection cut out and what is ours behind it.
package response

import (
	"bytes"
	"iter"
	"net/http"
	"strconv"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// Head is the head of a response. The zero value is to be Reset or Read first. It may be used again and again, and holds a copy
// of everything.
type Head struct {
	Status    int   // 100 to 999
	Length    int64 // what Content-Length says, -1 if it is not there
	Chunked   bool  // the body comes in chunks
	KeepAlive bool  // the connection may be used again (RFC 9112, section 9.3)

	raw    []byte // the status line and the lines of fields as they came; then what was added
	reason span
	lines  []line
}

// span is a part of raw.
type span struct{ begin, end int32 }

// line is a field. Lines follow one another, each with its CRLF.
type line struct {
	begin   int32
	nameEnd int32
	value   span
	field   field
	drop    bool
}

func (l *line) end() int32 { return l.value.end + int32(len(crlf)) }

const crlf = "\r\n"

// Reset makes h a response of that status without fields.
func (h *Head) Reset(status int) {
	*h = Head{Status: status, Length: -1, raw: h.raw[:0], lines: h.lines[:0]}
}

// Trim lets go of memory beyond that many bytes of lines.
func (h *Head) Trim(most int) {
	if cap(h.raw) > most {
		h.Reset(0)
		h.raw, h.lines = nil, nil
	}
}

func (h *Head) name(l *line) []byte { return h.raw[l.begin:l.nameEnd] }
func (h *Head) text(s span) []byte  { return h.raw[s.begin:s.end] }

// Value returns the first value of a field, nil if there is none. It is valid until h changes.
func (h *Head) Value(name string) []byte {
	for i := range h.lines {
		if l := &h.lines[i]; !l.drop && grammar.EqualFold(h.name(l), name) {
			return h.text(l.value)
		}
	}
	return nil
}

// Add adds a field. The caller answers for name and value having no CR or LF.
func (h *Head) Add(name string, value []byte) { h.add([]byte(name), value) }

func (h *Head) add(name, value []byte) {
	begin := int32(len(h.raw))
	h.raw = append(append(append(append(h.raw, name...), ": "...), value...), crlf...)
	end := int32(len(h.raw) - len(crlf))
	h.lines = append(h.lines, line{
		begin: begin, nameEnd: begin + int32(len(name)), value: span{end - int32(len(value)), end}, field: names.Find(name),
	})
}

// Set adds a field in place of those of its name.
func (h *Head) Set(name string, value []byte) {
	h.Remove(name)
	h.Add(name, value)
}

// Remove takes the fields of a name away.
func (h *Head) Remove(name string) {
	for i := range h.lines {
		if l := &h.lines[i]; grammar.EqualFold(h.name(l), name) {
			l.drop = true
		}
	}
}

// RemoveHops takes away what is about the endpoint's connection, and what Connection names (RFC 9110, section 7.6.1). Framing is
// not the endpoint's to name. A client that does not ask for trailers need not hear of them.
func (h *Head) RemoveHops(trailers bool) {
	for i := range h.lines {
		switch l := &h.lines[i]; l.field {
		case connection:
			l.drop = true
			for rest := h.text(l.value); len(rest) > 0; {
				var name []byte
				name, rest = grammar.NextElement(rest)
				h.removeNamed(name)
			}
		case hop:
			l.drop = true
		case trailer:
			l.drop = l.drop || !trailers
		}
	}
}

func (h *Head) removeNamed(name []byte) {
	for i := range h.lines {
		if l := &h.lines[i]; len(name) == int(l.nameEnd-l.begin) && l.field != contentLength && bytes.EqualFold(h.name(l), name) {
			l.drop = true
		}
	}
}

// Fields gives names and values, but not of Connection and framing: those are of one connection. They are valid until h changes.
func (h *Head) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := range h.lines {
			if l := &h.lines[i]; !l.stays() && !yield(h.name(l), h.text(l.value)) {
				return
			}
		}
	}
}

// stays reports whether a line is not passed on.
func (l *line) stays() bool {
	return l.drop || l.field == connection || l.field == contentLength || l.field == transferEncoding
}

// Append appends the status line, with our version, and all that Fields gives, as it came. It reports whether Date is there.
func (h *Head) Append(b []byte) (_ []byte, dated bool) {
	b = append(strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(h.Status), 10), ' ')
	if h.reason.end > h.reason.begin {
		b = append(b, h.text(h.reason)...)
	} else {
		b = append(b, http.StatusText(h.Status)...)
	}
	b = append(b, crlf...)
	const none = -1
	from := int32(none)
	for i := range h.lines {
		l := &h.lines[i]
		switch {
		case !l.stays():
			dated = dated || l.field == date
			if from == none {
				from = l.begin
			}
		case from != none:
			b, from = append(b, h.raw[from:l.begin]...), none
		}
	}
	if from != none {
		b = append(b, h.raw[from:]...)
	}
	return b, dated
}
