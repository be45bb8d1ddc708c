package proxy

import (
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// respond passes the response in hand on. A body that is all here is copied, so that its connection is free at once; any
// other is streamed, each piece as soon as it has come.
func (x *exchange) respond() {
	resp := &x.ctx.Response
	h := &resp.Header
	x.status = h.StatusCode()
	cleanResponse(h, x.table.via)
	if !x.route.PassLoad {
		h.DelBytes(loadName)
	}
	if k := x.snap.Sticky; x.sticky && k != nil && x.outcome.Endpoint != x.req.StickyEP {
		h.AddBytesKV(setCookieName, k.Field(x.outcome.Endpoint))
	}
	if x.explain != nil {
		x.explain.answer(x, h)
	}
	if x.server.stopping.Load() || x.upload != nil {
		h.SetConnectionClose()
	}
	if b, ok := x.up.Whole(); ok {
		if len(b) > 0 {
			resp.AppendBody(b)
			x.up.Skip()
		}
		x.complete()
		return
	}
	if x.http10 && x.up.Length() < 0 {
		x.untilClose(h)
		return
	}
	resp.ImmediateHeaderFlush = true
	resp.SetBodyStream(&x.stream, int(x.up.Length()))
}

// untilClose streams a body of unknown length to a client that knows no chunks: the end of the connection is its end.
func (x *exchange) untilClose(h *fasthttp.ResponseHeader) {
	h.DelBytes(transferEncodingName)
	h.SetConnectionClose()
	head := append([]byte(nil), h.Header()...)
	x.ctx.HijackSetNoResponse(true)
	x.ctx.Hijack(func(net.Conn) {
		c := x.conn
		_, err := c.Write(head)
		if err == nil {
			_, err = c.ReadFrom(&x.stream)
		}
		_ = x.stream.CloseWithError(err)
	})
}

var transferEncodingName = []byte("Transfer-Encoding")

// complete ends an exchange whose response was read in full.
func (x *exchange) complete() {
	x.stopUpload()
	x.up.Release()
	x.up = nil
	x.end(&x.attempt)
	x.finish()
}

// stream is a response's body on its way to the client. fasthttp reads it after the handler has returned, and closes it
// in any case.
type stream struct {
	x   *exchange
	err error // of the endpoint
}

// Read reads what the endpoint sends.
func (s *stream) Read(p []byte) (int, error) {
	s.x.up.ArmRead(s.x.table.BodyTimeout)
	n, err := s.x.up.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// WriteTo copies the body to w, which frames it.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	if rf, ok := w.(io.ReaderFrom); ok {
		return rf.ReadFrom(s) // ends in conn.ReadFrom
	}
	return pass(w, s)
}

// SupportsBodyWriteTo lets fasthttp use WriteTo.
func (s *stream) SupportsBodyWriteTo() bool { return true }

var errAborted = errors.New("response aborted")

// CloseWithError ends the exchange. err is why the body did not reach the client in full, or nil.
func (s *stream) CloseWithError(err error) error {
	x := s.x
	if err == nil && s.err == nil && x.up.Done() {
		x.complete()
		return nil
	}
	x.conn.abort = true // a response without its end must not look whole
	x.server.stats.aborted.Add(1)
	x.stopUpload()
	x.outcome.Class = policies.Cancelled
	if s.err != nil && x.body.err == nil {
		x.outcome.Class = upstream.ClassOf(s.err)
	}
	x.dropAttempt()
	x.finish()
	return errAborted
}
