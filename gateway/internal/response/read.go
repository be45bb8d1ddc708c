package response

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// maxFields bounds the fields of a head.
const maxFields = 256

// Why a head is not passed on. Each is a response that parsers read in different ways, or that is none.
var (
	errVersion   = errors.New("no status line of HTTP/1.x")
	errStatus    = errors.New("a status that is not three digits from 100 on")
	errFolded    = errors.New("a field that goes over more than one line")
	errName      = errors.New("a field without a name, or with a character in it that names do not have")
	errValue     = errors.New("a control character in a value")
	errFields    = fmt.Errorf("over %d fields", maxFields)
	errLength    = errors.New("a Content-Length that is not one number of bytes")
	errCoding    = errors.New("a Transfer-Encoding other than chunked")
	errOldCoding = errors.New("Transfer-Encoding in a response that is not of HTTP/1.1")
)

// Read reads a head and the empty line after it (RFC 9112, sections 2.2, 4 and 5). It has to fit into br's buffer. Lines may end with
// LF alone, and blanks may stand before a colon: they are mended. Errors are those of br, bufio.ErrBufferFull, and those above.
func (h *Head) Read(br *bufio.Reader) error {
	h.Reset(0)
	seen, err := grammar.More(br, nil)
	if err != nil {
		return err
	}
	p := parser{h: h, odd: -1}
	for at := 0; ; {
		n := bytes.IndexByte(seen[at:], '\n')
		for n < 0 {
			if at == 0 && !bytes.HasPrefix(seen, version1) && !bytes.HasPrefix(version1, seen) {
				return errVersion // it need not end
			}
			from := len(seen)
			if seen, err = grammar.More(br, seen); err != nil {
				return err
			}
			if n = bytes.IndexByte(seen[from:], '\n'); n >= 0 {
				n += from - at
			}
		}
		end, next := at+n, at+n+1
		if n > 0 && seen[end-1] == '\r' {
			end--
		}
		switch {
		case at == 0:
			err = p.status(seen[:end])
		case end == at:
			h.raw = append(h.raw, seen[:at]...)
			_, _ = br.Discard(next) // all of it is in the buffer
			return p.end()
		default:
			err = p.line(seen, at, end, next)
		}
		if err != nil {
			return err
		}
		at = next
	}
}

// parser is a head that is being read. The lines' offsets are those of the buffer, which raw begins like.
type parser struct {
	h     *Head
	old   bool // the response is of HTTP/1.0
	close bool // Connection says so
	keep  bool
	odd   int // the first line that has to be mended, -1 if none
}

var version1 = []byte("HTTP/1.")

// status reads "HTTP/1.1 200 OK". What is between the status and the end may be missing.
func (p *parser) status(b []byte) error {
	const digits = len("HTTP/1.1 ")
	if len(b) < digits || !bytes.HasPrefix(b, version1) || b[digits-2] < '0' || b[digits-2] > '9' || b[digits-1] != ' ' {
		return errVersion
	}
	p.old = b[digits-2] == '0'
	if len(b) < digits+3 || len(b) > digits+3 && b[digits+3] != ' ' || b[digits] == '0' {
		return errStatus
	}
	for _, d := range b[digits : digits+3] {
		if d < '0' || d > '9' {
			return errStatus
		}
		p.h.Status = p.h.Status*10 + int(d-'0')
	}
	if begin := digits + 4; len(b) > begin {
		if p.h.reason = (span{int32(begin), int32(len(b))}); !grammar.IsValue(b[begin:]) {
			return errValue
		}
	}
	return nil
}

// line reads a field, which is b[at:end]. The next one begins at next.
func (p *parser) line(b []byte, at, end, next int) error {
	h := p.h
	if b[at] == ' ' || b[at] == '\t' {
		return errFolded
	}
	if len(h.lines) == maxFields {
		return errFields
	}
	nameEnd := at
	for nameEnd < end && grammar.InToken[b[nameEnd]] {
		nameEnd++
	}
	after := grammar.TrimLeft(b[nameEnd:end])
	if nameEnd == at || len(after) == 0 || after[0] != ':' {
		return errName
	}
	text := grammar.TrimLeft(after[1:])
	value := span{begin: int32(end - len(text))}
	value.end = value.begin + int32(len(grammar.TrimRight(text)))
	if !grammar.IsValue(b[value.begin:value.end]) {
		return errValue
	}
	l := line{begin: int32(at), nameEnd: int32(nameEnd), value: value, field: names.Find(b[at:nameEnd])}
	if p.odd < 0 && (len(after) < end-nameEnd || int(l.end()) != next) {
		p.odd = len(h.lines)
	}
	h.lines = append(h.lines, l)
	return p.framing(l.field, b[value.begin:value.end])
}

// framing notes what a field says of the message's end and the connection's.
func (p *parser) framing(f field, value []byte) error {
	switch h := p.h; f {
	case connection:
		for rest := value; len(rest) > 0; {
			var token []byte
			token, rest = grammar.NextElement(rest)
			p.close = p.close || grammar.EqualFold(token, "close")
			p.keep = p.keep || grammar.EqualFold(token, "keep-alive")
		}
	case contentLength:
		n, ok := grammar.Number(value)
		if !ok || h.Length >= 0 {
			return errLength
		}
		h.Length = n
	case transferEncoding:
		switch {
		case p.old:
			return errOldCoding
		case h.Chunked || !grammar.EqualFold(value, "chunked"):
			return errCoding
		}
		h.Chunked = true
	}
	return nil
}

// end ends the head. From the first line on that has to be mended, lines are written anew.
func (p *parser) end() error {
	h := p.h
	h.KeepAlive = !p.close && (!p.old || p.keep)
	if p.odd < 0 {
		return nil
	}
	came, lines := append([]byte(nil), h.raw...), append([]line(nil), h.lines[p.odd:]...)
	h.raw, h.lines = h.raw[:lines[0].begin], h.lines[:p.odd]
	for _, l := range lines {
		h.add(came[l.begin:l.nameEnd], came[l.value.begin:l.value.end])
	}
	return nil
}
