package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/weir-lb/weir/policies"
)

// framing is how the end of a body is known.
type framing uint8

const (
	noBody framing = iota
	fixed
	chunked
	untilClose
)

const (
	// maxChunkLine bounds a chunk's size and extensions: an endpoint that sends kilobytes of extensions for bytes of
	// content is out of order (CVE-2023-39326 is about the same).
	maxChunkLine = 256 + 16
	// maxTrailers bounds the trailer section, which is read and dropped.
	maxTrailers = 16 << 10
)

var (
	errChunkLine = errors.New("malformed chunk size line")
	errChunkEnd  = errors.New("no CRLF after the content of a chunk")
	errTrailers  = fmt.Errorf("trailers over %d bytes", maxTrailers)
)

// Length returns the number of bytes of the body, or -1 if only its end will tell.
func (c *Conn) Length() int64 {
	switch c.framing {
	case noBody:
		return 0
	case fixed:
		return c.left
	}
	return -1
}

// Done reports whether the body was read to its end.
func (c *Conn) Done() bool { return c.done }

// Whole returns the body if all of it is in the buffer already, without taking it.
func (c *Conn) Whole() ([]byte, bool) {
	if c.framing != fixed || c.left > int64(c.br.Buffered()) {
		return nil, c.framing == noBody
	}
	b, _ := c.br.Peek(int(c.left))
	return b, true
}

// Skip drops the body if all of it is in the buffer already, so that the connection can be released for another use.
func (c *Conn) Skip() {
	if b, ok := c.Whole(); ok && c.framing == fixed {
		_, _ = c.br.Discard(len(b))
		c.left, c.done = 0, true
	}
}

// Read reads the body. It is io.EOF only at the true end of it: a body that was cut off is an *[Error].
func (c *Conn) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	switch c.framing {
	case fixed:
		n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
		c.done = c.left == 0
		if n > 0 {
			err = nil
		}
		return n, c.bodyError(err)
	case chunked:
		return c.readChunked(p)
	}
	n, err := c.br.Read(p)
	if err == io.EOF {
		c.done = true
		return n, io.EOF
	}
	return n, c.bodyError(err)
}

func (c *Conn) readChunked(p []byte) (int, error) {
	if c.left == 0 {
		size, err := readChunkSize(c.br)
		if err != nil {
			return 0, c.bodyError(err)
		}
		if size == 0 {
			if err := skipTrailers(c.br); err != nil {
				return 0, c.bodyError(err)
			}
			c.done = true
			return 0, io.EOF
		}
		c.left = size
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.left == 0 && n > 0 {
		err = readCRLF(c.br)
	}
	return n, c.bodyError(err)
}

// bodyError gives an error of reading a body its class.
func (c *Conn) bodyError(err error) error {
	switch {
	case err == nil:
		return nil
	case c.readErr == nil:
		c.malformed = err
		return &Error{Class: policies.Malformed, Err: err}
	case errors.Is(c.readErr, os.ErrDeadlineExceeded):
		return &Error{Class: policies.BodyTimeout, Err: c.readErr}
	}
	return &Error{Class: policies.Reset, Err: err}
}

// readChunkSize reads the line before a chunk: hexadecimal size, then perhaps blanks and extensions, which are dropped
// (RFC 9112, section 7.1).
func readChunkSize(r *bufio.Reader) (int64, error) {
	line, err := readLine(r, maxChunkLine)
	if err != nil {
		return 0, err
	}
	var size int64
	i := 0
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if size >= 1<<58 {
			return 0, errChunkLine
		}
		size = size<<4 | int64(d)
	}
	if i == 0 {
		return 0, errChunkLine
	}
	for ; i < len(line) && (line[i] == ' ' || line[i] == '\t'); i++ {
	}
	if i < len(line) && line[i] != ';' {
		return 0, errChunkLine
	}
	return size, nil
}

// skipTrailers reads to the end of the trailer section.
func skipTrailers(r *bufio.Reader) error {
	for total := 0; total <= maxTrailers; {
		line, err := readLine(r, maxTrailers)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		total += len(line)
	}
	return errTrailers
}

// readLine returns a line without its CRLF. A bare LF ends no line.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull || len(line) > limit+2 {
		return nil, errChunkLine
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errChunkLine
	}
	return line[:len(line)-2], nil
}

func readCRLF(r *bufio.Reader) error {
	b, err := r.Peek(2)
	if err != nil {
		return err
	}
	if b[0] != '\r' || b[1] != '\n' {
		return errChunkEnd
	}
	_, _ = r.Discard(2)
	return nil
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
