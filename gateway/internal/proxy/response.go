package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// respond passes the response in hand on. A body that is all here is copied, so that its connection is free at once; any
// other is streamed, each piece as soon as it has come.
func (x *exchange) respond() {
	h := &x.resp
	x.status = h.Status
	h.RemoveHops(x.trailers)
	if !x.route.PassLoad {
		h.Remove(loadName)
	}
	h.Add("Via", x.table.via)
	if k := x.snap.Sticky; x.sticky && k != nil && x.outcome.Endpoint != x.req.StickyEP {
		h.Add("Set-Cookie", k.Field(x.outcome.Endpoint))
	}
	if x.explain != nil {
		x.explain.answer(x, h)
	}
	if x.status == fasthttp.StatusSwitchingProtocols {
		x.tunnel()
		return
	}
	if b, ok := x.up.Whole(); ok {
		x.answer(h, b)
		x.up.Skip()
		x.complete()
		return
	}
	x.stream = stream{x: x}
	if bytes.HasPrefix(h.Value("Content-Type"), eventStream) {
		x.up.Lasts()
		x.lasts = true
	}
	if x.upload == nil {
		x.down.watch(x.up)
	}
	err := x.down.stream(x, h)
	if err == nil && x.stream.err == nil && x.up.Done() {
		if x.grpc {
			x.grpcTrailer(x.up.Trailer())
		}
		x.complete()
		return
	}
	x.cutOff()
}

var eventStream = []byte("text/event-stream")

// complete ends an exchange whose response was read in full.
func (x *exchange) complete() {
	x.stopUpload()
	x.release()
	x.end(&x.attempt)
	x.finish()
}

// cutOff ends an exchange whose response did not reach the client in full: it must not look whole.
func (x *exchange) cutOff() {
	x.down.abort()
	x.server.stats.aborted.Add(1)
	x.stopUpload()
	x.abort()
	x.outcome.Class, x.cutBy = policies.Cancelled, cutByClient
	if x.stream.err != nil && x.body.err == nil && !x.gone {
		x.outcome.Class, x.cutBy = upstream.ClassOf(x.stream.err), cutByEndpoint
	}
	x.dropAttempt()
	x.finish()
}

// pause is how long a body may pause.
func (x *exchange) pause() time.Duration {
	if x.lasts {
		return x.table.TunnelTimeout
	}
	return x.table.BodyTimeout
}

// stream is a response's body on its way to the client.
type stream struct {
	x   *exchange
	err error // of the endpoint
}

// Read reads what the endpoint sends.
func (s *stream) Read(p []byte) (int, error) {
	s.x.up.ArmRead(s.x.pause())
	n, err := s.x.up.Read(p)
	s.x.sent += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
