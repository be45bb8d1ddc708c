package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

const (
	// prefetched is how much of a body with a Content-Length fasthttp has read before it calls the handler.
	prefetched = 8 << 10
	// maxReplay bounds how much of a body is kept for another attempt.
	maxReplay = 64 << 10
)

// body is the body of a request. What of it has been read is kept, up to maxReplay, so that a failed attempt can be
// repeated; a longer one streams past.
type body struct {
	r      io.Reader
	length int64 // -1 if it comes in chunks
	buf    []byte
	ended  bool  // nothing is left to read
	lost   bool  // more was read than buf holds
	err    error // why reading from the client failed
}

// open looks at the framing that check has found sound, and reads what fasthttp has in memory already.
func (b *body) open(ctx *fasthttp.RequestCtx) {
	n := ctx.Request.Header.ContentLength()
	switch {
	case n == 0 || n < -1:
		b.ended = true
		return
	case n == -1:
		b.length = -1
	default:
		b.length = int64(n)
	}
	b.r = ctx.RequestBodyStream()
	if b.r == nil {
		b.length, b.ended = 0, true
		return
	}
	if n > 0 && n <= prefetched {
		if cap(b.buf) < n {
			b.buf = make([]byte, 0, prefetched)
		}
		_, b.err = io.ReadFull(b.r, b.buf[:n])
		b.buf = b.buf[:n]
		b.ended = b.err == nil
	}
}

// whole reports whether all of the body is in buf.
func (b *body) whole() bool { return b.ended && !b.lost }

// framed returns a whole body as it goes over the wire.
func (b *body) framed() []byte {
	if b.length >= 0 {
		return b.buf
	}
	return appendLastChunk(appendChunk(nil, b.buf))
}

// keep remembers p for another attempt.
func (b *body) keep(p []byte) {
	if b.lost = b.lost || len(b.buf)+len(p) > maxReplay; !b.lost {
		b.buf = append(b.buf, p...)
	}
}

func appendChunk(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst // an empty chunk would be the last
	}
	dst = strconv.AppendUint(dst, uint64(len(p)), 16)
	dst = append(append(dst, "\r\n"...), p...)
	return append(dst, "\r\n"...)
}

func appendLastChunk(dst []byte) []byte { return append(dst, "0\r\n\r\n"...) }

var errPanicked = errors.New("the upload panicked")

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// uploadBlock is how much of a body is read and written at once.
const uploadBlock = 32 << 10

// uploadBuffers are what one upload reads into and writes from.
type uploadBuffers struct {
	block [uploadBlock]byte
	wire  []byte // a block in its framing, or the head and what was kept of the body
}

var uploads = sync.Pool{New: func() any { return new(uploadBuffers) }}

// upload sends a body that has not all arrived, in a goroutine of its own: an endpoint may answer before it has read
// everything, and then nobody would read its answer.
type upload struct {
	x      *exchange
	up     *upstream.Conn
	perTry time.Duration
	over   chan struct{}

	mu   sync.Mutex
	head bool // the response's head is in: its reader minds the deadlines now

	last atomic.Bool // all of the body has come from the client
}

func (x *exchange) startUpload(d time.Duration) {
	u := &upload{x: x, up: x.up, perTry: d, over: make(chan struct{})}
	x.upload = u
	go u.run()
}

// run owns x.body until over is closed.
func (u *upload) run() {
	defer close(u.over)
	b := &u.x.body
	defer func() {
		if r := recover(); r != nil {
			u.x.server.panicked(r)
			b.err = errPanicked
			u.up.Interrupt()
		}
	}()
	bufs := uploads.Get().(*uploadBuffers)
	defer uploads.Put(bufs)
	block, wire := bufs.block[:], append(bufs.wire[:0], u.x.out...)
	wire = u.frame(wire, b.buf)
	for {
		if b.ended {
			u.last.Store(true)
			if b.length < 0 {
				wire = appendLastChunk(wire)
			}
		}
		bufs.wire = wire // it may have grown
		u.up.ArmWrite(u.perTry)
		if _, err := u.up.Write(wire); err != nil {
			if isTimeout(err) {
				u.up.Interrupt() // it does not read: do not wait for its answer either
			}
			return
		}
		if b.ended {
			u.up.Written()
			u.armRead(u.perTry)
			return
		}
		u.armRead(u.perTry + u.x.table.BodyTimeout) // the client may be slow; that is not the endpoint's fault
		n, err := b.r.Read(block)
		if n > 0 {
			b.keep(block[:n])
		}
		wire = u.frame(wire[:0], block[:n])
		switch {
		case err == io.EOF:
			b.ended = true
		case err != nil:
			b.err = err
			u.up.Interrupt() // no last chunk: the endpoint must see that this is not all
			return
		}
	}
}

func (u *upload) frame(dst, p []byte) []byte {
	if u.x.body.length < 0 {
		return appendChunk(dst, p)
	}
	return append(dst, p...)
}

func (u *upload) armRead(d time.Duration) {
	u.mu.Lock()
	if !u.head {
		u.up.ArmRead(d)
	}
	u.mu.Unlock()
}

// answered notes that the head of the response is in. If the last of the body is just being written, it waits for that,
// so that an answer in the same moment is not taken for an early one.
func (u *upload) answered() {
	u.mu.Lock()
	u.head = true
	u.mu.Unlock()
	if !u.last.Load() {
		return
	}
	late := time.NewTimer(100 * time.Millisecond)
	defer late.Stop()
	select {
	case <-u.over:
		u.x.upload = nil
	case <-late.C:
	}
}

// joinUpload waits for the upload to end. It may wait for the client, but no longer than the client may pause.
func (x *exchange) joinUpload() {
	<-x.upload.over
	x.upload = nil
}

// stopUpload ends an upload that nobody wants the rest of. The client's connection cannot be used again.
func (x *exchange) stopUpload() {
	if x.upload == nil {
		return
	}
	select {
	case <-x.upload.over:
	default:
		x.up.Interrupt()
		x.conn.interruptRead()
		<-x.upload.over
	}
	x.upload = nil
	x.conn.linger = x.conn.linger || !x.body.ended
}
