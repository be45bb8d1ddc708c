package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// tunnel passes bytes between a client and an endpoint that have agreed on another protocol (RFC 9110, section 7.8). For its
// whole life it counts as one request in flight.
type tunnel struct {
	up   *upstream.Conn
	idle time.Duration
	last atomic.Int64 // when anything came from either side, in Unix nanoseconds
	over atomic.Bool  // one way has failed

	in, out int64 // bytes that came from the client, and that went to it
}

// tunnel answers with the endpoint's 101 and passes on what comes after it, until both sides have ended, one has failed, or
// nothing has come from either for long.
func (x *exchange) tunnel() {
	s := x.server
	s.stats.tunnels.Add(1)
	defer s.stats.tunnels.Add(-1)
	x.tunneled = true
	early, endpoint := x.up.Raw()
	client, sent, err := x.down.tunnel(x, &x.resp)
	if err == nil {
		t := &tunnel{up: x.up, idle: x.table.TunnelTimeout}
		t.last.Store(time.Now().UnixNano())
		var wg sync.WaitGroup
		wg.Go(func() { t.pass(endpoint, client, sent, &t.in) })
		t.pass(client, endpoint, early, &t.out)
		wg.Wait()
		x.heard, x.sent = t.in, t.out
	}
	x.up.Abort()
	x.up = nil
	if err != nil {
		x.outcome.Class = policies.Cancelled
	}
	x.end(&x.attempt)
	x.finish()
}

// pass passes what from sends, after what it has sent early, to to, counted on n, and then the end of it. A failure ends both.
func (t *tunnel) pass(to, from tunnelEnd, early []byte, n *int64) {
	if err := t.copy(to, from, early, n); err != nil {
		t.over.Store(true)
		_ = to.SetDeadline(time.Unix(1, 0))
		_ = from.SetDeadline(time.Unix(1, 0))
		return
	}
	_ = to.CloseWrite()
}

// tunnelEnd is one side of a tunnel.
type tunnelEnd interface {
	io.ReadWriter
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	CloseWrite() error
}

var (
	errIdle = errors.New("nothing came for long")
	errOver = errors.New("the other way has failed, or the endpoint is to be free of tunnels")
)

func (t *tunnel) copy(to, from tunnelEnd, early []byte, n *int64) error {
	if len(early) > 0 {
		if _, err := to.Write(early); err != nil {
			return err
		}
		*n += int64(len(early))
	}
	for {
		last := time.Unix(0, t.last.Load())
		if time.Since(last) >= t.idle {
			return errIdle
		}
		_ = from.SetReadDeadline(last.Add(t.idle))
		if t.over.Load() || t.up.Ended() { // after that deadline, for it may have replaced the one that was to tell
			return errOver
		}
		err := t.piece(to, from, n)
		switch {
		case err == io.EOF:
			return nil
		case isTimeout(err) && time.Since(time.Unix(0, t.last.Load())) < t.idle: // the other way was not idle
		case err != nil:
			return err
		}
	}
}

// tunnelBuffer is what one way of a tunnel holds while something is under way on it.
const tunnelBuffer = 16 << 10

var tunnelBuffers = sync.Pool{New: func() any { return new([tunnelBuffer]byte) }}

// piece passes on what one read brings.
func (t *tunnel) piece(to, from tunnelEnd, total *int64) error {
	var tcp *socket.Conn // to wait on without a buffer: an idle tunnel has none
	switch c := from.(type) {
	case *socket.Conn:
		tcp = c
	case *conn:
		if c.tls == nil {
			tcp = c.Conn
		}
	}
	if tcp != nil {
		if err := tcp.Await(); err != nil {
			return err
		}
	}
	buf := tunnelBuffers.Get().(*[tunnelBuffer]byte)
	defer tunnelBuffers.Put(buf)
	n, err := from.Read(buf[:])
	if n > 0 {
		t.last.Store(time.Now().UnixNano())
		_ = to.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, werr := to.Write(buf[:n]); werr != nil {
			return werr
		}
		*total += int64(n)
		t.last.Store(time.Now().UnixNano())
	}
	return err
}
