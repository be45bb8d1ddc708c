// Package chunked reads and writes bodies in chunks (RFC 9112, section 7.1).
package chunked

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

const (
	// maxLine bounds a chunk's size and extensions.
	maxLine = 256 + 16
	// maxOverhead bounds what extensions may come to beyond the content: somebody who sends kilobytes of them for bytes of
	// content is up to something (CVE-2023-39326 is about the same).
	maxOverhead = 16 << 10
	// maxTrailer bounds the trailer section.
	maxTrailer = 16 << 10
)

// What is wrong with a body. Other errors are those of the reader.
var (
	ErrSize     = errors.New("malformed chunk size line")
	ErrEnd      = errors.New("no CRLF after the content of a chunk")
	ErrOverhead = fmt.Errorf("over %d bytes of chunk extensions beyond the content", maxOverhead)
	ErrTrailer  = fmt.Errorf("malformed trailer section, or over %d bytes of it", maxTrailer)
)

// Reader reads the content of a body, and keeps its trailer section. The zero value needs a Reset.
type Reader struct {
	br       *bufio.Reader
	padded   bool  // blanks may follow a size
	left     int64 // of the chunk in hand
	overhead int   // of lines so far, less a share for each byte of content
	done     bool
	trailer  []byte
}

// Reset begins a new body, which br reads. padded allows blanks
// after a size: some old endpoints write them, some parsers refuse them.
func (r *Reader) Reset(br *bufio.Reader, padded bool) {
	*r = Reader{br: br, padded: padded, trailer: r.trailer[:0]}
}

// Trailer returns the trailer section once Read has said io.EOF: lines that end with CRLF, each a name, a colon and a value
// without control characters. It is valid until Reset.
func (r *Reader) Trailer() []byte { return r.trailer }

// Done reports whether the body was read to its end.
func (r *Reader) Done() bool { return r.done }

// Read reads content. It says io.EOF at the true end of the body only: where its source ends before, that is
// io.ErrUnexpectedEOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	if r.left == 0 {
		if err := r.begin(); err != nil {
			return 0, cutOff(err)
		}
		if r.done {
			return 0, io.EOF
		}
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.overhead = max(r.overhead-2*n, 0)
	if r.left == 0 && n > 0 {
		err = r.end()
	}
	return n, cutOff(err)
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// begin reads the line before a chunk: hexadecimal size, then perhaps extensions, which are dropped. After the last chunk
// it reads the trailer section too.
func (r *Reader) begin() error {
	line, err := r.line(maxLine)
	if err != nil {
		return err
	}
	i := 0
	var size int64
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if size >= 1<<58 {
			return ErrSize
		}
		size = size<<4 | int64(d)
	}
	rest := grammar.TrimLeft(line[i:])
	switch {
	case i == 0, i > 16, len(rest) > 0 && rest[0] != ';', len(rest) < len(line)-i && !r.padded:
		return ErrSize
	}
	if !grammar.IsValue(rest) {
		return ErrSize
	}
	if r.overhead += len(rest); r.overhead > maxOverhead {
		return ErrOverhead
	}
	if r.left = size; size == 0 {
		return r.readTrailer()
	}
	return nil
}

func (r *Reader) readTrailer() error {
	for {
		line, err := r.line(maxTrailer)
		if err == ErrSize {
			err = ErrTrailer
		}
		if err != nil {
			return err
		}
		if len(line) == 0 {
			r.done = true
			return nil
		}
		if len(r.trailer)+len(line) > maxTrailer || !isField(line) {
			return ErrTrailer
		}
		r.trailer = append(append(r.trailer, line...), '\r', '\n')
	}
}

// line returns a line without its CRLF. A bare LF ends no line.
func (r *Reader) line(limit int) ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull || len(line) > limit+2 {
		return nil, ErrSize
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, ErrSize
	}
	return line[:len(line)-2], nil
}

func (r *Reader) end() error {
	b, err := r.br.Peek(2)
	if err != nil {
		return err
	}
	if b[0] != '\r' || b[1] != '\n' {
		return ErrEnd
	}
	_, _ = r.br.Discard(2)
	return nil
}

// isField reports whether a line is a header field (RFC 9112, section 5).
func isField(line []byte) bool {
	colon := 0
	for colon < len(line) && grammar.InToken[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return false
	}
	return grammar.IsValue(line[colon:])
}

func unhex(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10
	case 'A' <= b && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// Append appends p as a chunk; nothing if it is empty, for an empty chunk is the last.
func Append(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(p)), 16)
	dst = append(append(dst, "\r\n"...), p...)
	return append(dst, "\r\n"...)
}

// AppendLast appends the last chunk and a trailer section, as [Reader.Trailer] has it.
func AppendLast(dst, trailer []byte) []byte {
	dst = append(append(dst, "0\r\n"...), trailer...)
	return append(dst, "\r\n"...)
}
