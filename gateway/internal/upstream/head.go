package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// maxInterim bounds the 1xx responses before the final one.
const maxInterim = 16

var (
	errSwitching = errors.New("101 to a request that asked for no upgrade")
	errInterim   = fmt.Errorf("over %d interim responses", maxInterim)
)

// Asked is what of a request decides how its response is read.
type Asked struct {
	Head    bool    // the method is HEAD
	Upgrade bool    // a 101 is an answer
	Interim Interim // nil: interim responses are dropped
}

// Interim takes interim responses (RFC 9110, section 15.2), other than 101. h is not to be kept.
type Interim interface {
	Interim(h *response.Head)
}

// ReadHead reads the head of the final response into h and prepares the connection for its body. An error is an *[Error] of
// class Reset, HeaderTimeout or Malformed.
func (c *Conn) ReadHead(h *response.Head, q Asked) error {
	return c.settleRescue(c.readHead(h, q))
}

func (c *Conn) readHead(h *response.Head, q Asked) error {
	if c.call != nil {
		return c.call.readHead(h, q)
	}
	if err := c.ready(); err != nil {
		return err
	}
	for range maxInterim {
		if err := h.Read(c.br); err != nil {
			return c.headError(err)
		}
		switch s := h.Status; {
		case s >= 200:
			c.frame(h, q.Head)
			return nil
		case s == http.StatusSwitchingProtocols && q.Upgrade:
			c.framing = noBody // what follows is no HTTP; done is never set, so the connection is not used again
			return nil
		case s == http.StatusSwitchingProtocols:
			return &Error{Class: policies.Malformed, Err: errSwitching}
		case q.Interim != nil:
			q.Interim.Interim(h)
		}
	}
	return &Error{Class: policies.Malformed, Err: errInterim}
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

// frame says how long the body is, by RFC 9112, section 6.3.
func (c *Conn) frame(h *response.Head, head bool) {
	c.keepAlive = h.KeepAlive
	switch s := h.Status; {
	case head, s == http.StatusNoContent, s == http.StatusNotModified, h.Length == 0 && !h.Chunked:
		c.framing, c.done = noBody, true
	case h.Chunked:
		c.framing = inChunks
		c.chunks.Reset(c.br, true)
		// A response with both framings is suspect: its chunks are read, but the connection is not used again.
		c.keepAlive = c.keepAlive && h.Length < 0
	case h.Length > 0:
		c.framing, c.left = fixed, h.Length
	default:
		c.framing, c.keepAlive = untilClose, false
	}
}
