package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// Bounds of one connection of HTTP/2.
const (
	maxStreams   = 250       // at once; RFC 9113, section 6.5.2, wants 100 at least
	streamWindow = 256 << 10 // what a client may send of one body before it is read
	connWindow   = 1 << 20   // of all of them
	maxFrame     = 16 << 10
)

// http2 is the engine of HTTP/2, that of net/http. It is given connections one by one.
func (s *Server) http2() func(net.Conn) error {
	engine := &http.Server{
		Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
			MaxReceiveBufferPerConnection: connWindow, MaxReceiveBufferPerStream: streamWindow,
			CountError: func(what string) {
				if what == "too_many_early_resets" { // it may find them before we do
					s.stats.floods[resetFlood].Add(1)
				}
			},
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: writeTimeout,
		},
		MaxHeaderBytes: headBuffer,
		IdleTimeout:    time.Minute,
		ErrorLog:       log.New(io.Discard, "", 0), // every line is about one client, and is counted
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc.(plain).c)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(connKey{}).(*conn).serveStream(w, r)
		}),
	}
	engine.Protocols.SetUnencryptedHTTP2(true) // TLS is ended before, if there is any
	handed := &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.multi, s.handed = engine, handed
	return func(nc net.Conn) error {
		c := nc.(*conn)
		_ = c.SetDeadline(time.Time{})
		c.readBy, c.writeBy = 0, 0
		c.enter(multiplexed)
		p := plain{c, newFrames(c, &s.stats.floods), make(chan struct{}), new(sync.Once)}
		select {
		case handed.conns <- p:
			<-p.closed
		case <-handed.closed:
		}
		return nil
	}
}

// connKey is what a request's context has its connection under.
type connKey struct{}

// handover is a listener whose connections others have accepted.
type handover struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (*handover) Addr() net.Addr { return &net.TCPAddr{} }

// plain is a connection as the engine has it. It says when that is done with it, and is not asked for TLS.
type plain struct {
	c      *conn
	frames *frames
	closed chan struct{}
	once   *sync.Once
}

func (p plain) Read(b []byte) (int, error)  { return p.frames.Read(b) }
func (p plain) Write(b []byte) (int, error) { return p.c.Write(b) }
func (p plain) Close() error {
	p.once.Do(func() {
		p.frames.end()
		close(p.closed) // fasthttp closes the connection
	})
	return nil
}
func (p plain) LocalAddr() net.Addr                { return p.c.LocalAddr() }
func (p plain) RemoteAddr() net.Addr               { return p.c.RemoteAddr() }
func (p plain) SetDeadline(t time.Time) error      { return p.c.TCPConn.SetDeadline(t) }
func (p plain) SetReadDeadline(t time.Time) error  { return p.c.TCPConn.SetReadDeadline(t) }
func (p plain) SetWriteDeadline(t time.Time) error { return p.c.TCPConn.SetWriteDeadline(t) }

// stream2 is one request of HTTP/2. Its head is written as HTTP/1.1 has it, and checked and routed as any other.
type stream2 struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	timeout time.Duration // of a read of the body; 0 is none
	left    int64         // of a body whose length was said

	raw    []byte
	source bytes.Reader
	br     *bufio.Reader

	status int
	out    []byte // a body that is not sent yet
	begun  bool
	broken bool

	mu   sync.Mutex
	up   *upstream.Conn // what is to end if the client goes away
	gone bool
}

var stream2s = sync.Pool{New: func() any { return &stream2{br: bufio.NewReaderSize(nil, headBuffer)} }}

func (c *conn) serveStream(w http.ResponseWriter, r *http.Request) {
	l := stream2s.Get().(*stream2)
	l.w, l.r, l.control, l.timeout = w, r, http.NewResponseController(w), c.server.table.Load().BodyTimeout
	stop := context.AfterFunc(r.Context(), l.clientGone)
	defer func() {
		broken := l.broken
		if stop() { // else clientGone may still look at it
			l.w, l.r, l.control, l.up = nil, nil, nil, nil
			l.status, l.out, l.begun, l.broken, l.gone = 0, l.out[:0], false, false, false
			if cap(l.out) <= maxKeptBuffer {
				stream2s.Put(l)
			}
		}
		if broken {
			panic(http.ErrAbortHandler) // which resets the stream
		}
	}()
	x := exchanges.Get().(*exchange)
	x.down, x.http2 = l, true
	if !l.read(x) {
		x.server, x.conn, x.table, x.arrived = c.server, c, c.server.table.Load(), time.Now()
		x.verb, x.problem = []byte(r.Method), badRequest
		c.server.stats.rejected[badRequest].Add(1)
		l.broken = true
		x.give(true)
		return
	}
	if isGRPC(r) {
		x.grpc, x.lasts, l.timeout = true, true, 0 // see upload.run
	}
	x.handle(c)
	if l.broken || l.begun {
		x.give(l.broken)
		return
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(l.status)
	var err error
	if len(l.out) > 0 && r.Method != http.MethodHead {
		_, err = w.Write(l.out)
	}
	x.give(err != nil)
}

// read writes the request's head as HTTP/1.1 has it, and reads that. Names and values were checked by the engine.
func (l *stream2) read(x *exchange) bool {
	r := l.r
	if isMalformed(r) {
		return false
	}
	b := append(append(l.raw[:0], r.Method...), ' ')
	b = append(append(b, r.RequestURI...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length":
			continue
		case "Cookie": // may come in pieces (RFC 9113, section 8.2.3)
			values = []string{strings.Join(values, "; ")}
		}
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	switch n := r.ContentLength; {
	case n > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), n, 10), "\r\n"...)
	case n < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	l.raw = append(b, "\r\n"...)
	if strings.ContainsAny(r.Method+r.RequestURI+r.Host, " \r\n\x00") {
		return false
	}
	l.source.Reset(l.raw)
	l.br.Reset(&l.source)
	if err := x.read(l.br); err != nil {
		return false
	}
	x.body.length, x.body.ended = r.ContentLength, r.ContentLength == 0
	x.body.r, l.left = l, r.ContentLength
	x.body.after = l.trailer
	return true
}

// Read reads the request's body. The last of a body whose length was said is not there before the end of the stream is: until
// then more of it may come, or trailers that are bad, which make the request malformed (RFC 9113, section 8.1.1).
func (l *stream2) Read(p []byte) (int, error) {
	if l.timeout > 0 {
		_ = l.control.SetReadDeadline(time.Now().Add(l.timeout))
	}
	n, err := l.r.Body.Read(p)
	if l.left -= int64(n); l.left == 0 && n > 0 && err == nil {
		var none [1]byte
		if _, err = l.r.Body.Read(none[:]); err != io.EOF {
			return 0, err
		}
	}
	return n, err
}

// trailer writes the request's trailers as HTTP/1.1 has them.
func (l *stream2) trailer() []byte {
	var b []byte
	for name, values := range l.r.Trailer {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return b
}

// fields gives the fields of a response to the engine.
func (l *stream2) fields(h *response.Head, to http.Header) (dated bool) {
	for name, value := range h.Fields() {
		key := http.CanonicalHeaderKey(string(name))
		to[key] = append(to[key], string(value))
	}
	return to["Date"] != nil
}

// head gives the head of the final response to the engine.
func (l *stream2) head(x *exchange, h *response.Head, length int64) {
	to := l.w.Header()
	l.status = h.Status
	if !l.fields(h, to) {
		to["Date"] = []string{string(appendDate(nil))}
	}
	switch {
	case bodiless(x, h):
		if n := h.Value(contentLengthName); len(n) > 0 && l.status != http.StatusNoContent {
			to["Content-Length"] = []string{string(n)}
		}
	case length >= 0:
		to["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if to["Content-Type"] == nil {
		to["Content-Type"] = nil // the engine is not to guess
	}
}

// whole implements downstream.
func (l *stream2) whole(x *exchange, h *response.Head, body []byte) {
	if l.begun {
		l.broken = true
		return
	}
	l.head(x, h, int64(len(body)))
	l.out = append(l.out[:0], body...)
}

// interim implements downstream.
func (l *stream2) interim(h *response.Head) {
	if h.Status == http.StatusContinue {
		return // the engine says so when the body is first read
	}
	to := l.w.Header()
	l.fields(h, to)
	l.w.WriteHeader(h.Status)
	clear(to)
}

// stream implements downstream.
func (l *stream2) stream(x *exchange, h *response.Head) error {
	l.head(x, h, x.up.Length())
	l.begun = true
	l.w.WriteHeader(l.status)
	if err := l.control.Flush(); err != nil {
		return err
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := x.stream.Read(buf[:])
		if n > 0 {
			_ = l.control.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := l.w.Write(buf[:n]); err != nil {
				return err
			}
			if err := l.control.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			l.trail(appendTrailer(nil, x.up.Trailer()))
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// trail gives the trailer section to the engine, which sends it when the handler has returned.
func (l *stream2) trail(section []byte) {
	for line := range bytes.SplitSeq(section, crlf) {
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			l.w.Header().Add(http.TrailerPrefix+string(name), string(grammar.Trim(value)))
		}
	}
}

// tunnel implements downstream: HTTP/2 has no upgrades (RFC 9113, section 8.6), so that none was asked for.
func (l *stream2) tunnel(*exchange, *response.Head) (tunnelEnd, []byte, error) {
	return nil, nil, errOtherProtocol
}

// watch implements downstream.
func (l *stream2) watch(up *upstream.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up = up; l.gone {
		up.Interrupt()
	}
}

// unwatch implements downstream.
func (l *stream2) unwatch() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = nil
	return l.gone
}

// clientGone ends the attempt in flight.
func (l *stream2) clientGone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone = true; l.up != nil {
		l.up.Interrupt()
	}
}

// fetch implements downstream. It waits for all of p: a read that the engine gives up cannot be repeated.
func (l *stream2) fetch(r io.Reader, p []byte) (n int, err error) { return io.ReadFull(r, p) }

// interrupt implements downstream.
func (l *stream2) interrupt() { _ = l.control.SetReadDeadline(time.Unix(1, 0)) }

// abort implements downstream.
func (l *stream2) abort() { l.broken = true }
