package upstream

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/chunked"
	"github.com/weir-lb/weir/gateway/internal/socket"
)

// readBuffer is the size of the buffer a connection has while a request is on it, and with that the longest response
// head that is accepted. An idle connection has none.
const readBuffer = 32 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// Conn is one connection with at most one request on it. One goroutine may read while another writes.
type Conn struct {
	pool    *Pool
	tcp     *socket.Conn
	stream  stream      // tcp, or TLS over it
	secured *tls.Config // what TLS was made with
	call    *call       // a request of HTTP/2 instead of all that; nil with HTTP/1.1

	prev, next *Conn         // among the pool's busy ones; guarded by the pool's mu
	rescue     atomic.Uint32 // see Pool.Rescue
	lasts      atomic.Bool   // see Pool.End
	ended      atomic.Bool   // by Pool.End: it is not used again
	br         *bufio.Reader // nil before there is a response

	idleSince       int64
	readBy, writeBy int64 // deadlines that the socket has, as [now] counts

	single  bool // begun with a PROXY header: not used again
	reused  bool
	written bool   // the request is out in full
	unsent  []byte // a request that goes out when its response is first read
	sent    atomic.Bool
	got     bool  // a byte of a response has come
	readErr error // what the socket's last Read said

	// The response body that is being read.
	framing   framing
	left      int64 // of the body, or of the chunk in hand
	chunks    chunked.Reader
	done      bool
	malformed error
	keepAlive bool
}

// stream is what requests are written to and responses read from.
type stream interface {
	net.Conn
	CloseWrite() error
}

// begin makes the connection ready for a request.
func (c *Conn) begin(reused bool) {
	c.reused, c.written, c.got, c.readErr, c.unsent = reused, false, false, nil, nil
	c.sent.Store(false)
	c.rescue.Store(notForRescue)
	if c.lasts.Load() {
		c.lasts.Store(false)
	}
	c.framing, c.left, c.done, c.malformed, c.keepAlive = noBody, 0, false, nil, false
}

// end takes the buffer away.
func (c *Conn) end() {
	if c.br != nil {
		c.br.Reset(nil)
		readers.Put(c.br)
		c.br = nil
	}
}

// wire is the side of a connection that the reader's buffer is filled from.
type wire Conn

// Read maps the end of the stream to an error, except where the end of the stream is the end of the body: a response
// that was cut off must not look complete.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.stream.Read(p)
	if n > 0 {
		w.got = true
	}
	if err != nil {
		w.readErr = err
		if err == io.EOF && w.framing != untilClose {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// ready gives the connection a buffer for the response in hand. A request that was not sent is sent first, and its answer
// awaited without one: of many requests under way, few hold a buffer, and those are warm.
func (c *Conn) ready() error {
	if c.unsent != nil {
		sent, err := c.tcp.Ask(c.unsent)
		if sent > 0 {
			c.unsent = nil
			c.sent.Store(true)
		}
		if err != nil {
			c.readErr = err
			return c.headError(err)
		}
	}
	if c.br == nil {
		c.br = readers.Get().(*bufio.Reader)
		c.br.Reset((*wire)(c))
	}
	return nil
}

// fits reports whether a deadline that a socket has will do for one of d from t: not earlier, and at most a
// thirty-second later. So most requests find theirs set already, and none costs two system timers.
func fits(by, t int64, d time.Duration) bool {
	left := by - t
	return left >= int64(d) && left <= int64(d+d/32)
}

// arm bounds reads and writes from time t on: they fail after d at the earliest and 33/32 of it at the latest.
func (c *Conn) arm(t int64, d time.Duration) {
	if fits(c.readBy, t, d) && fits(c.writeBy, t, d) {
		return
	}
	by := t + int64(d+d/32)
	c.readBy, c.writeBy = by, by
	_ = c.tcp.SetDeadline(epoch.Add(time.Duration(by))) // an error shows at the next read or write
}

// ArmRead bounds reads to d from now, or up to 33/32 of it. It may be called while a Read is waiting.
func (c *Conn) ArmRead(d time.Duration) {
	if c.call != nil {
		c.call.timer.Reset(d)
	} else if t := now(); !fits(c.readBy, t, d) {
		c.readBy = t + int64(d+d/32)
		_ = c.tcp.SetReadDeadline(epoch.Add(time.Duration(c.readBy)))
	}
}

// Renew lets a Read on a stream of HTTP/2 that is waiting wait for d from now. Who writes may call it.
func (c *Conn) Renew(d time.Duration) {
	if c.call != nil {
		c.call.timer.Reset(d)
	}
}

// ArmWrite bounds writes to d from now, or up to 33/32 of it.
func (c *Conn) ArmWrite(d time.Duration) {
	if c.call != nil {
		c.call.timer.Reset(d)
	} else if t := now(); !fits(c.writeBy, t, d) {
		c.writeBy = t + int64(d+d/32)
		_ = c.tcp.SetWriteDeadline(epoch.Add(time.Duration(c.writeBy)))
	}
}

// Reused reports whether an earlier request used the connection.
func (c *Conn) Reused() bool { return c.reused }

// Sent reports whether a byte of the request may have reached the endpoint.
func (c *Conn) Sent() bool { return c.sent.Load() || c.call != nil && c.call.wrote.Load() }

// Answered reports whether any byte of a response has come.
func (c *Conn) Answered() bool { return c.got }

// Write sends p, which is part of a request.
func (c *Conn) Write(p []byte) (int, error) {
	if c.call != nil {
		return c.call.write(p)
	}
	n, err := c.stream.Write(p)
	if n > 0 && !c.sent.Load() {
		c.sent.Store(true)
	}
	return n, err
}

// Ask sends p, which is a whole request, and stays as it is until the head of the response is read: it may go out as late as
// that.
func (c *Conn) Ask(p []byte) error {
	if c.written = true; c.reused && c.stream == stream(c.tcp) { // else it may not be quiet, which socket.Conn.Ask needs
		c.unsent = p
		return nil
	}
	_, err := c.Write(p)
	return err
}

// Written notes that the whole request is out. Without it the connection is not used again.
func (c *Conn) Written() { c.written = true }

// Release ends the exchange. The connection goes back to the pool if everything about it was in order.
func (c *Conn) Release() {
	switch {
	case c.call != nil:
		c.pool.close(c, Closing)
	case !c.done || !c.written || c.malformed != nil:
		c.pool.close(c, Broken)
	case c.br != nil && c.br.Buffered() > 0:
		c.pool.close(c, Poisoned)
	case !c.keepAlive || c.single:
		c.pool.close(c, Closing)
	default:
		c.pool.put(c)
	}
}

// Abort ends the exchange by closing the connection. A Read or Write that waits returns with an error, and may do so
// after Abort has returned: only [Conn.Interrupt] may be called while another goroutine uses the connection.
func (c *Conn) Abort() { c.pool.close(c, Broken) }

// Interrupt makes reads and writes, those that wait and those to come, fail. It may be called at any time before
// Release, and does nothing after Abort.
func (c *Conn) Interrupt() {
	if c.call != nil {
		c.call.interrupt()
		return
	}
	_ = c.tcp.SetDeadline(epoch.Add(1))
}

// Tunnel is the endpoint's side of a tunnel: a *socket.Conn, or TLS over one.
type Tunnel = stream

// Raw gives what comes after a 101 to the caller, with what has come of it already. Abort ends it.
func (c *Conn) Raw() (early []byte, end Tunnel) {
	c.Lasts()
	early, _ = c.br.Peek(c.br.Buffered())
	early = append([]byte(nil), early...)
	c.end()
	return early, c.stream
}
