package upstream

import (
	"errors"
	"io"
	"os"

	"github.com/weir-lb/weir/policies"
)

// framing is how the end of a body is known.
type framing uint8

const (
	noBody framing = iota
	fixed
	inChunks
	untilClose
)

// Length returns the number of bytes of the body, or -1 if only its end will tell.
func (c *Conn) Length() int64 {
	switch c.framing {
	case noBody:
		return 0
	case fixed:
		return c.left
	}
	if c.call != nil {
		return c.left // -1 if its length was not said
	}
	return -1
}

// Done reports whether the body was read to its end.
func (c *Conn) Done() bool { return c.done }

// Whole returns the body if all of it is in the buffer already, without taking it.
func (c *Conn) Whole() ([]byte, bool) {
	if c.call != nil {
		return nil, c.framing == noBody
	}
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
	if c.call != nil {
		return c.call.read(p)
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
	case inChunks:
		n, err := c.chunks.Read(p)
		if c.chunks.Done() {
			c.done = true
			return n, io.EOF
		}
		return n, c.bodyError(err)
	}
	n, err := c.br.Read(p)
	if err == io.EOF {
		c.done = true
		return n, io.EOF
	}
	return n, c.bodyError(err)
}

// Trailer returns the trailer section of a body in chunks that was read to its end, as [chunked.Reader.Trailer] has it.
func (c *Conn) Trailer() []byte {
	if c.call != nil {
		return c.call.trailerSection()
	}
	if c.framing != inChunks || !c.done {
		return nil
	}
	return c.chunks.Trailer()
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
