package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/chunked"
	"github.com/weir-lb/weir/gateway/internal/proxyproto"
	"github.com/weir-lb/weir/gateway/internal/response"
)

// headBuffer is the size of the buffer that requests are read from, and with that the longest head.
const headBuffer = 16 << 10

// http1 is what serves requests on a connection that speaks HTTP/1. One that waits for a request has none.
type http1 struct {
	c      *conn
	br     *bufio.Reader // nil when nothing more is to be read by it
	out    *buffer       // of an answer that is not sent yet, or a piece of one; nil without
	old    bool          // the request is of HTTP/1.0
	begun  bool          // a part of the answer is on its way
	broken bool          // the client is gone, or must not believe that the answer is whole
	close  bool          // no other request is read
}

// buffer is memory that many requests use one after the other.
type buffer struct{ b []byte }

func (b *buffer) drop() {
	if cap(b.b) > maxKeptBuffer {
		b.b = nil
	}
	buffers.Put(b)
}

// What follows is held for as long as it is in use, and not while an endpoint is waited for: of many requests under way, all that few
// of them hold is warm.
var (
	http1s      = sync.Pool{New: func() any { return new(http1) }}
	buffers     = sync.Pool{New: func() any { return new(buffer) }}
	headReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, headBuffer) }}
)

// serveHTTP1 serves the requests that come on a connection, one after the other, until it is to be closed.
func (s *Server) serveHTTP1(nc net.Conn) error {
	c := nc.(*conn)
	for c.enter(waiting); c.await() && c.serve(); c.enter(waiting) {
	}
	return nil
}

// serve serves the request that is coming, and those that have come with it. It reports whether another one may follow.
func (c *conn) serve() bool {
	l := http1s.Get().(*http1)
	l.c, l.br = c, headReaders.Get().(*bufio.Reader)
	l.br.Reset(c)
	more := l.next()
	for more && l.br != nil && l.br.Buffered() > 0 {
		c.enter(heading)
		more = l.next()
	}
	l.dropReader()
	l.c = nil
	http1s.Put(l)
	return more
}

func (l *http1) dropReader() {
	if l.br != nil {
		l.br.Reset(nil)
		headReaders.Put(l.br)
		l.br = nil
	}
}

// next serves one request, and reports whether another one may follow.
func (l *http1) next() bool {
	c := l.c
	l.begun, l.broken, l.close = false, false, false
	x := l.read()
	if x == nil {
		return false
	}
	c.enter(busy)
	c.served++
	if most := c.server.table.Load().MaxConnRequests; most > 0 && c.served >= most {
		l.close = true
	}
	x.handle(c)
	if !l.broken && l.out != nil {
		_ = l.send()
	}
	x.give(l.broken)
	l.dropOut()
	c.aborted = l.broken
	return !l.close && !l.broken
}

// read reads the head of a request. Without one the answer is sent already, if there is one.
func (l *http1) read() *exchange {
	x := exchanges.Get().(*exchange)
	x.down = l
	if err := x.read(l.br); err != nil {
		l.unreadable(x, err)
		return nil
	}
	x.body.source(&x.head, l.br)
	l.old = string(x.proto) != http11
	if x.body.ended && l.br.Buffered() == 0 {
		l.dropReader()
	}
	return x
}

// room returns memory for an answer, or a piece of one.
func (l *http1) room() []byte {
	if l.out == nil {
		l.out = buffers.Get().(*buffer)
	}
	return l.out.b[:0]
}

// send sends what is in there.
func (l *http1) send() error {
	_, err := l.c.Write(l.out.b)
	l.broken = l.broken || err != nil
	return err
}

func (l *http1) dropOut() {
	if l.out != nil {
		l.out.drop()
		l.out = nil
	}
}

// unreadable answers what could not be read as a request.
func (l *http1) unreadable(x *exchange, err error) {
	c := l.c
	s := c.server
	x.server, x.conn, x.table, x.arrived = s, c, s.table.Load(), time.Now()
	id := l.whyUnreadable(x.table, err)
	if id == noProblem {
		x.recycle()
		return
	}
	s.stats.rejected[id].Add(1)
	s.stats.unrouted.count(problems[id].Status)
	x.problem, x.status = id, problems[id].Status
	x.guess(l.br)
	x.answer(&x.resp, answer(&x.resp, id, 0))
	err = l.send()
	c.linger = true
	x.give(err != nil)
	l.dropOut()
}

// whyUnreadable returns noProblem if nobody is to be answered.
func (l *http1) whyUnreadable(t *table, err error) problemID {
	c := l.c
	first, _ := l.br.Peek(l.br.Buffered())
	switch {
	case errors.Is(err, errRequestLine):
		if proxyproto.Is(first) {
			return proxyHeader
		}
		if c.served == 0 && t.H2C && c.tls == nil && !namesHTTP1(first) { // a bad preface is no request that could be answered (RFC 9113, section 3.4)
			c.server.stats.rejected[badRequest].Add(1)
			return noProblem
		}
		return badRequest
	case errors.Is(err, bufio.ErrBufferFull):
		if !hasLine(first) {
			return longTarget
		}
		return tooManyFields
	case isTimeout(err) && !c.is(waiting):
		return headTimeout
	}
	return noProblem // nothing came, or nobody is left
}

// namesHTTP1 reports whether the first line of b ends in a version, as that of a request does.
func namesHTTP1(b []byte) bool {
	first, _, _ := bytes.Cut(b, []byte{'\n'})
	return bytes.Contains(first, []byte(" HTTP/"))
}

// hasLine reports whether b has a whole line in it, empty ones at its beginning aside.
func hasLine(b []byte) bool {
	text := false
	for _, c := range b {
		if c == '\n' && text {
			return true
		}
		text = text || c != '\r' && c != '\n'
	}
	return false
}

// whole implements downstream.
func (l *http1) whole(x *exchange, h *response.Head, body []byte) {
	if l.begun {
		l.abort()
		return
	}
	b := l.appendHead(l.room(), x, h, int64(len(body)))
	if !bodiless(x, h) {
		b = append(b, body...)
	}
	l.out.b = b
}

// bodiless reports whether a response has no body whatever its fields say (RFC 9112, section 6.3).
func bodiless(x *exchange, h *response.Head) bool {
	s := h.Status
	return s == fasthttp.StatusNoContent || s == fasthttp.StatusNotModified || x.proto != nil && string(x.verb) == "HEAD"
}

// appendHead appends the head of the final response, and decides what becomes of the connection. length is that of the body,
// -1 if only its end will tell.
func (l *http1) appendHead(b []byte, x *exchange, h *response.Head, length int64) []byte {
	l.begun = true
	b, dated := h.Append(b)
	if !dated { // RFC 9110, section 6.6.1
		b = append(appendDate(append(b, "Date: "...)), "\r\n"...)
	}
	unread := x.upload != nil || !x.body.ended // an upload may still be writing it
	l.close = l.close || unread || x.head.closes || x.http10 && !x.head.keeps || l.c.server.stopping.Load()
	l.c.linger = l.c.linger || unread
	switch {
	case bodiless(x, h):
		// What a body would have been may be said of a HEAD and a 304, not of a 204 (RFC 9110, section 8.6).
		if n := h.Value(contentLengthName); len(n) > 0 && h.Status != fasthttp.StatusNoContent {
			b = append(append(append(b, "Content-Length: "...), n...), "\r\n"...)
		}
	case length >= 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), length, 10), "\r\n"...)
	case x.http10:
		l.close = true // the end of the connection is the end of the body
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case l.close:
		b = append(b, "Connection: close\r\n"...)
	case x.http10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// interim implements downstream.
func (l *http1) interim(h *response.Head) {
	if !l.old && !l.begun {
		b, _ := h.Append(l.room())
		l.out.b = append(b, "\r\n"...)
		_ = l.send()
		l.dropOut()
	}
}

// stream implements downstream.
func (l *http1) stream(x *exchange, h *response.Head) error {
	n := x.up.Length()
	l.out.b = l.appendHead(l.room(), x, h, n)
	err := l.send()
	l.dropOut()
	switch {
	case err != nil:
		return err
	case n < 0 && !x.http10:
		return l.pour(x)
	case l.c.tls == nil && x.up.Direct() >= spliceFrom:
		return l.splice(x)
	}
	_, err = pass(l.c, &x.stream)
	return err
}

// pour sends the body in chunks.
func (l *http1) pour(x *exchange) error {
	const room = 10 // for a size before the content
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := x.stream.Read(buf[room : copyBuffer-2])
		if n > 0 {
			var size [room]byte
			s := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
			begin := room - len(s)
			copy(buf[begin:], s)
			copy(buf[room+n:], "\r\n")
			if _, err := l.c.Write(buf[begin : room+n+2]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			var trailer []byte
			if x.trailers {
				trailer = appendTrailer(nil, x.up.Trailer())
			}
			l.out.b = chunked.AppendLast(l.room(), trailer)
			err = l.send()
			l.dropOut()
			return err
		}
		if err != nil {
			return err
		}
	}
}

// tunnel implements downstream.
func (l *http1) tunnel(x *exchange, h *response.Head) (client tunnelEnd, early []byte, err error) {
	b, _ := h.Append(l.room())
	b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), x.upgrade...), "\r\n\r\n"...)
	l.out.b = b
	err = l.send()
	l.dropOut()
	l.begun, l.close = true, true
	if l.br != nil {
		early, _ = l.br.Peek(l.br.Buffered())
		early = append([]byte(nil), early...)
		l.dropReader()
	}
	l.c.enter(tunnelled)
	return l.c, early, err
}

// fetch implements downstream.
func (l *http1) fetch(r io.Reader, p []byte) (n int, err error) {
	if l.br.Buffered() < len(p) {
		l.c.hurryBy = now() + int64(prefetchTime)
		defer func() { l.c.hurryBy = 0 }()
	}
	n, err = io.ReadFull(r, p)
	if err != nil && isTimeout(err) {
		err = nil
	}
	return n, err
}

// interrupt implements downstream.
func (l *http1) interrupt() { l.c.interruptRead() }

// abort implements downstream.
func (l *http1) abort() { l.broken = true }

// stamp is a second, as Date has it.
type stamp struct {
	second int64
	text   []byte
}

var lastStamp atomic.Pointer[stamp]

func appendDate(b []byte) []byte {
	now := time.Now()
	s := lastStamp.Load()
	if s == nil || s.second != now.Unix() {
		s = &stamp{now.Unix(), fasthttp.AppendHTTPDate(nil, now)}
		lastStamp.Store(s)
	}
	return append(b, s.text...)
}
