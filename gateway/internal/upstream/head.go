package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/policies"
)

// maxInterim bounds the 1xx responses before the final one.
const maxInterim = 16

var (
	errSwitching    = errors.New("101 to a request that asked for no upgrade")
	errInterim      = fmt.Errorf("over %d interim responses", maxInterim)
	errStatusLine   = errors.New("a status below 100")
	errBlank        = errors.New("a field whose name has a blank in it")
	errCoding       = errors.New("Transfer-Encoding in a response that is not of HTTP/1.1")
	http11          = []byte("HTTP/1.1 ")
	colon           = []byte(":")
	codingField     = []byte("transfer-encoding")
	headEnd         = []byte("\r\n\r\n")
	lengthField     = []byte("content-length")
	connectionField = []byte("connection")
)

// Asked is what of a request decides how its response is read.
type Asked struct {
	Head    bool    // the method is HEAD
	Upgrade bool    // a 101 is an answer
	Interim Interim // nil: interim responses are dropped
}

// Interim takes interim responses (RFC 9110, section 15.2), other than 101. h is not to be kept.
type Interim interface {
	Interim(h *fasthttp.ResponseHeader)
}

// ReadHead reads the head of the final response into h and prepares the connection for its body. An error is an *[Error] of
// class Reset, HeaderTimeout or Malformed.
func (c *Conn) ReadHead(h *fasthttp.ResponseHeader, q Asked) error {
	return c.settleRescue(c.readHead(h, q))
}

func (c *Conn) readHead(h *fasthttp.ResponseHeader, q Asked) error {
	if c.call != nil {
		return c.call.readHead(h, q)
	}
	if err := c.ready(); err != nil {
		return err
	}
	for range maxInterim {
		first, _ := c.br.Peek(1)
		if len(first) > 0 {
			first = c.peekHead()
		}
		h.SetNoDefaultContentType(true)
		if err := h.Read(c.br); err != nil {
			return c.headError(err)
		}
		if err := suspicious(h, first); err != nil {
			return &Error{Class: policies.Malformed, Err: err}
		}
		switch s := h.StatusCode(); {
		case s >= 200:
			c.frame(h, q.Head, first)
			return nil
		case s == fasthttp.StatusSwitchingProtocols && q.Upgrade:
			c.framing = noBody // what follows is no HTTP; done is never set, so the connection is not used again
			return nil
		case s == fasthttp.StatusSwitchingProtocols:
			return &Error{Class: policies.Malformed, Err: errSwitching}
		case s < 100:
			return &Error{Class: policies.Malformed, Err: errStatusLine}
		case q.Interim != nil:
			q.Interim.Interim(h)
		}
	}
	return &Error{Class: policies.Malformed, Err: errInterim}
}

// peekHead returns what the buffer holds of a response. That is all of the head if it is of another version than HTTP/1.1.
func (c *Conn) peekHead() []byte {
	seen, _ := c.br.Peek(c.br.Buffered())
	for !bytes.HasPrefix(seen, http11) && (bytes.HasPrefix(http11, seen) || bytes.HasPrefix(seen, http11[:5]) && headLength(seen) < 0) {
		more, err := c.br.Peek(len(seen) + 1)
		if err != nil {
			return more
		}
		seen, _ = c.br.Peek(c.br.Buffered())
	}
	return seen
}

// headLength returns where the empty line after a head begins, whichever way lines end, or -1 if it is not there.
func headLength(b []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return -1
		}
		at += n + 1
		if rest := b[at:]; bytes.HasPrefix(rest, crlf) || bytes.HasPrefix(rest, crlf[1:]) {
			return at
		}
	}
}

// suspicious says why a head that could be read must not be passed on: a name with a blank in it is none (RFC 9110, section
// 5.1), and a coding in a response of HTTP/1.0 leaves open where its body ends (RFC 9112, section 6.1).
func suspicious(h *fasthttp.ResponseHeader, seen []byte) error {
	if h.ConnectionClose() { // which fasthttp sets for the first of them, and reads over the second
		for name := range h.All() {
			if bytes.IndexByte(name, ' ') >= 0 {
				return errBlank
			}
		}
	}
	if !bytes.HasPrefix(seen, http11) && hasField(seen[:max(headLength(seen), 0)], codingField) {
		return errCoding
	}
	return nil
}

// Await waits until the first byte of a response is there, or for d, and takes nothing of it. It reports whether the
// byte came. An error is one that ReadHead would have given.
func (c *Conn) Await(d time.Duration) (came bool, err error) {
	if c.call != nil {
		late := time.NewTimer(d)
		defer late.Stop()
		select {
		case <-c.call.answered:
			return true, nil
		case <-late.C:
			return false, nil
		}
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(d)) // readBy is what it goes back to
	if c.rescue.Load() == rescued {              // its deadline was just overwritten
		return false, c.settleRescue(nil)
	}
	if err = c.ready(); err == nil {
		_, err = c.br.Peek(1)
	}
	_ = c.tcp.SetReadDeadline(epoch.Add(time.Duration(c.readBy)))
	if err == nil {
		return true, nil
	}
	if late := errors.Is(c.readErr, os.ErrDeadlineExceeded); late && c.rescue.Load() != rescued {
		c.readErr = nil
		return false, nil
	}
	return false, c.settleRescue(c.headError(err))
}

// headError tells a broken connection from a broken response.
func (c *Conn) headError(err error) error {
	switch {
	case c.readErr == nil:
		return &Error{Class: policies.Malformed, Err: err}
	case errors.Is(c.readErr, os.ErrDeadlineExceeded):
		return &Error{Class: policies.HeaderTimeout, Err: c.readErr}
	case c.readErr == io.EOF:
		return &Error{Class: policies.Reset, Err: io.ErrUnexpectedEOF}
	}
	return &Error{Class: policies.Reset, Err: c.readErr}
}

// frame says how long the body is, by RFC 9112, section 6.3. seen is what the buffer held when the head began.
func (c *Conn) frame(h *fasthttp.ResponseHeader, head bool, seen []byte) {
	c.keepAlive = !h.ConnectionClose()
	n := h.ContentLength()
	switch s := h.StatusCode(); {
	case head && n == -2:
		// fasthttp takes it for a body that ends with the connection.
		c.framing, c.done, c.keepAlive = noBody, true, persists(seen)
	case head, s == fasthttp.StatusNoContent, s == fasthttp.StatusNotModified, n == 0:
		c.framing, c.done = noBody, true
	case n > 0:
		c.framing, c.left = fixed, int64(n)
	case n == -1:
		c.framing = inChunks
		c.chunks.Reset(c.br, true)
		// A response with both framings is suspect: its chunks are read, but the connection is not used again.
		if end := bytes.Index(seen, headEnd); end < 0 || hasField(seen[:end], lengthField) {
			c.keepAlive = false
		}
	default:
		c.framing, c.keepAlive = untilClose, false
	}
}

// persists reports whether a response of HTTP/1.1 says nothing about its connection, which then stays open.
func persists(seen []byte) bool {
	end := bytes.Index(seen, headEnd)
	return end >= 0 && bytes.HasPrefix(seen, http11) && !hasField(seen[:end], connectionField)
}

// hasField reports whether a line of a head begins with a name and its colon, in any case. Blanks may be between them:
// they are taken off responses (RFC 9112, section 5.1).
func hasField(head, name []byte) bool {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte{'\n'})
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], name) && bytes.HasPrefix(bytes.TrimLeft(line[len(name):], " \t"), colon) {
			return true
		}
		head = rest
	}
	return false
}
