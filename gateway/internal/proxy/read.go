package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"math"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// errRequestLine is about something that cannot be answered as a request is.
var errRequestLine = errors.New("no request line of HTTP/1")

// read reads the head of a request and the empty line after it. In one pass it finds method, target, version and fields, and
// refuses what two parsers might read differently (RFC 9112, sections 2.2, 3 and 5): check tells what. A head has to fit into
// br's buffer, and nothing is taken out of that before all of it has come. Errors are those of br, bufio.ErrBufferFull, and
// errRequestLine.
func (x *exchange) read(br *bufio.Reader) error {
	h := &x.head
	h.n, h.facts = 0, facts{}
	seen, err := grammar.More(br, nil)
	if err != nil {
		return err
	}
	begin, lined := 0, false // where the request line begins; whether it was read
	at := 0
	for h.unread == noProblem {
		n := bytes.IndexByte(seen[at:], '\n')
		for n < 0 {
			from := len(seen)
			if seen, err = grammar.More(br, seen); err != nil {
				return err
			}
			if n = bytes.IndexByte(seen[from:], '\n'); n >= 0 {
				n += from - at
			}
		}
		end, next := at+n, at+n+1
		crlf := n > 0 && seen[end-1] == '\r'
		if crlf {
			end--
		}
		switch {
		case !lined && end == at: // an empty line may come before a request
			begin = next
		case !lined:
			if lined = h.requestLine(seen[begin:end]); !lined {
				return errRequestLine
			}
			if !crlf {
				h.unread = bareLF
			}
		case !crlf:
			h.unread = bareLF
		case next-begin > math.MaxUint16:
			h.unread = tooManyFields
		case end == at:
			x.keep(seen[begin:at])
			_, _ = br.Discard(next) // all of it is in the buffer
			return nil
		default:
			h.unread = h.line(seen[begin:end], at-begin)
		}
		at = next
	}
	x.keep(seen[begin:at]) // what follows is not read as a request
	return nil
}

// keep makes the head one of x's own.
func (x *exchange) keep(text []byte) {
	h := &x.head
	h.text = append(h.text[:0], text...)
	x.verb = h.text[:h.verbEnd:h.verbEnd]
	x.uri = h.text[h.verbEnd+1 : h.uriEnd : h.uriEnd]
	x.proto = h.text[h.uriEnd+1 : h.uriEnd+1+len(http11)]
}

const http11 = "HTTP/1.1"

// requestLine reads "GET /path HTTP/1.1".
func (h *head) requestLine(b []byte) bool {
	for h.verbEnd < len(b) && grammar.InToken[b[h.verbEnd]] {
		h.verbEnd++
	}
	h.uriEnd = len(b) - len(" "+http11)
	if h.verbEnd == 0 || h.uriEnd <= h.verbEnd+1 || b[h.verbEnd] != ' ' || b[h.uriEnd] != ' ' || len(b) > math.MaxUint16 {
		return false
	}
	for _, c := range b[h.verbEnd+1 : h.uriEnd] {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	v := b[h.uriEnd+1:]
	return string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// line reads a field, which b ends with and which begins at at.
func (h *head) line(b []byte, at int) problemID {
	if b[at] == ' ' || b[at] == '\t' {
		return folded
	}
	if h.n == maxFields {
		return tooManyFields
	}
	colon, under := at, false
	for colon < len(b) && grammar.InToken[b[colon]] {
		under = under || b[colon] == '_'
		colon++
	}
	if colon == at || colon == len(b) || b[colon] != ':' {
		return badField
	}
	if under && isAlias(b[at:colon]) {
		return aliasField
	}
	text := grammar.TrimLeft(b[colon+1:])
	begin := len(b) - len(text)
	value := grammar.TrimRight(text)
	if !grammar.IsValue(value) {
		return badField
	}
	l := &h.lines[h.n]
	*l = line{nameBegin: uint16(at), nameEnd: uint16(colon), valueBegin: uint16(begin), valueEnd: uint16(begin + len(value)), field: names.Find(b[at:colon])}
	h.n++
	if id := h.note(l.field, value); h.fault == noProblem {
		h.fault = id
	}
	return noProblem
}

// facts is what a head says of its message and its connection.
type facts struct {
	unread          problemID // why there is no reading on
	fault           problemID // the first thing wrong with what fields say
	verbEnd, uriEnd int

	hosts, framings int   // lines
	length          int64 // of the body; -1 if it comes in chunks
	expects         bool  // a 100
	closes, keeps   bool  // the connection
}

// note notes what a field says, and returns what is wrong with that. There may be one way only to tell where the body ends
// (RFC 9112, section 6).
func (h *head) note(f field, value []byte) problemID {
	switch f {
	case hostField:
		h.hosts++
	case connectionField:
		for rest := value; len(rest) > 0; {
			var token []byte
			token, rest = grammar.NextElement(rest)
			h.closes = h.closes || grammar.EqualFold(token, "close")
			h.keeps = h.keeps || grammar.EqualFold(token, "keep-alive")
		}
	case expectField:
		if !grammar.EqualFold(value, "100-continue") {
			return expectationFailed
		}
		h.expects = true
	case contentLengthField:
		var ok bool
		if h.length, ok = grammar.Number(value); !ok {
			return badLength
		}
		h.framings++
	case transferEncodingField:
		if !grammar.EqualFold(value, "chunked") {
			return unknownCoding
		}
		h.length = -1
		h.framings++
	}
	if h.framings > 1 {
		return twoFramings
	}
	return noProblem
}

// isAlias reports whether a name with underscores reads, to software that takes them for hyphens (CGI and its heirs),
// as a field that decides about framing, routing or trust.
func isAlias(name []byte) bool {
	var buf [grammar.MaxName]byte
	hyphens := append(buf[:0], name[:min(len(name), len(buf))]...)
	for i, b := range hyphens {
		if b == '_' {
			hyphens[i] = '-'
		}
	}
	return len(name) <= len(buf) && names.Find(hyphens) != otherField
}
