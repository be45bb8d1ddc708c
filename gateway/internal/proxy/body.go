package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/chunked"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

const (
	// prefetched is how long a body may be that is waited for before an endpoint is asked, and prefetchTime is how long.
	// Whoever has a body this small sends it in the segments that the head came in, or in the next ones; the endpoint of
	// one who does not gets the head, and what is there of the body.
	prefetched   = 8 << 10
	prefetchTime = 5 * time.Millisecond
	// maxReplay bounds how much of a body is kept for another attempt.
	maxReplay = 64 << 10
)

// body is the body of a request. What of it has been read is kept, up to maxReplay, so that a failed attempt can be
// repeated; a longer one streams past.
type body struct {
	r      io.Reader
	limit  int64 // of what may be read; 0 is none
	total  int64 // that was read, in bytes
	length int64 // -1 if it comes in chunks
	buf    []byte
	ended  bool  // nothing is left to read
	lost   bool  // more was read than buf holds
	err    error // why reading from the client failed

	after  func() []byte  // the trailer section, where it does not come in chunks
	chunks chunked.Reader // what r is, one of them
	fixed  fixed
}

// source says where the body comes from: br, framed as h says. Until check has found the framing sound, nothing is read.
func (b *body) source(h *head, br *bufio.Reader) {
	b.length = h.length
	switch {
	case h.length < 0:
		b.chunks.Reset(br, false)
		b.r = &b.chunks
	case h.length > 0:
		b.fixed = fixed{br, b.length}
		b.r = &b.fixed
	default:
		b.ended = true
	}
}

// fetch reads a small body that is here, or comes at once. Most are whole after that.
func (x *exchange) fetch() {
	b := &x.body
	n := int(b.length)
	if n <= 0 || n > prefetched {
		return
	}
	if cap(b.buf) < n {
		b.buf = make([]byte, 0, prefetched)
	}
	var got int
	got, b.err = x.down.fetch(b.r, b.buf[:n])
	b.buf, b.ended, b.total = b.buf[:got], got == n, int64(got)
}

// fixed reads a body whose length was said.
type fixed struct {
	br   *bufio.Reader
	left int64
}

// Read implements io.Reader.
func (f *fixed) Read(p []byte) (int, error) {
	n, err := f.br.Read(p[:min(int64(len(p)), f.left)])
	if f.left -= int64(n); f.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

var errLarge = errors.New("the body is too large")

// Read reads from the client, within the limit.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.total += int64(n); b.limit > 0 && b.total > b.limit {
		return 0, errLarge
	}
	return n, err
}

// whole reports whether all of the body is in buf.
func (b *body) whole() bool { return b.ended && !b.lost }

// framed returns a whole body as it goes over the wire.
func (b *body) framed() []byte {
	if b.length >= 0 {
		return b.buf
	}
	return chunked.AppendLast(chunked.Append(nil, b.buf), b.trailer())
}

// trailer is what of the trailer section endpoints get.
func (b *body) trailer() []byte {
	if b.after != nil {
		return appendTrailer(nil, b.after())
	}
	return appendTrailer(nil, b.chunks.Trailer())
}

// keep remembers p for another attempt.
func (b *body) keep(p []byte) {
	if b.lost = b.lost || len(b.buf)+len(p) > maxReplay; !b.lost {
		b.buf = append(b.buf, p...)
	}
}

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
	pause  time.Duration // that the client may make
	over   chan struct{}

	mu   sync.Mutex
	head bool          // the response's head is in: its reader minds the deadlines now
	wait chan struct{} // closed when the body may be sent, or will not be wanted; nil if nobody waits for that

	last atomic.Bool // all of the body has come from the client
}

func (x *exchange) startUpload(d time.Duration) {
	u := &upload{x: x, up: x.up, perTry: d, pause: x.pause(), over: make(chan struct{})}
	if x.expects && !x.continued {
		u.wait = make(chan struct{})
	}
	x.upload = u
	go u.run(u.wait)
}

// expectTimeout is how long an endpoint may take to say that it wants the body, before the client is told to send it anyway:
// there are endpoints that know nothing of expectations (RFC 9110, section 10.1.1).
const expectTimeout = time.Second

// proceed lets the body be sent. The caller holds mu.
func (u *upload) proceed() {
	if u.wait != nil {
		close(u.wait)
		u.wait = nil
	}
}

// end lets an upload that waits for leave end without it.
func (u *upload) end() {
	u.mu.Lock()
	u.head = true
	u.proceed()
	u.mu.Unlock()
}

// wanted waits until the endpoint wants the body, or has said nothing for long, and reports false if it has answered
// without it.
func (u *upload) wanted(wait chan struct{}) bool {
	late := time.NewTimer(expectTimeout)
	defer late.Stop()
	select {
	case <-wait:
	case <-late.C:
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wait = nil
	if u.head {
		return false
	}
	if !u.x.continued {
		u.x.continued = true
		var h response.Head
		h.Reset(fasthttp.StatusContinue)
		u.x.down.interim(&h)
	}
	return true
}

// run owns x.body until over is closed.
func (u *upload) run(wait chan struct{}) {
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
				wire = chunked.AppendLast(wire, b.trailer())
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
		if wait != nil {
			if !u.wanted(wait) {
				return
			}
			wait = nil
		}
		u.armRead(u.perTry + u.pause) // the client may be slow; that is not the endpoint's fault
		n, err := b.Read(block)
		if n > 0 {
			b.keep(block[:n])
			u.renew()
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
		return chunked.Append(dst, p)
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

// renew lets a call of gRPC go on that has its head: it may be silent for long, but one side has just said something.
func (u *upload) renew() {
	if !u.x.grpc {
		return
	}
	u.mu.Lock()
	if u.head {
		u.up.Renew(u.pause)
	}
	u.mu.Unlock()
}

// answered notes that the head of the response is in. If the last of the body is just being written, it waits for that,
// so that an answer in the same moment is not taken for an early one.
func (u *upload) answered() {
	u.mu.Lock()
	u.head = true
	refused := u.wait != nil
	u.proceed()
	u.mu.Unlock()
	if (u.last.Load() || refused) && u.endsSoon() {
		u.x.upload = nil
	}
}

// endsSoon waits a little for the upload to end, and reports whether it did.
func (u *upload) endsSoon() bool {
	late := time.NewTimer(100 * time.Millisecond)
	defer late.Stop()
	select {
	case <-u.over:
		return true
	case <-late.C:
		return false
	}
}

// joinUpload waits for the upload of an attempt that has failed to end. It may wait for the client, but no longer than the client
// may pause. A client of gRPC may for hours: it is told at once, and the rest of what it has to say is not waited for.
func (x *exchange) joinUpload() {
	u, b := x.upload, &x.body
	u.end()
	if x.grpc && !u.endsSoon() {
		x.down.interrupt()
		if <-u.over; isTimeout(b.err) {
			b.err = nil // it was not the client's doing
		}
		b.lost = true
	}
	<-u.over
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
		x.upload.end()
		x.up.Interrupt()
		x.down.interrupt()
		<-x.upload.over
	}
	x.upload = nil
}
