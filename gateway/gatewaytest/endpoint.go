// Package gatewaytest holds what a gateway is tested against: endpoints that follow a script, however unkind, and
// clients that send bytes. Both parse HTTP with net/http, so that what the gateway forwards is read a second time by
// somebody else's code.
package gatewaytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of this package. Nothing that works comes near it.
const patience = 20 * time.Second

// Request is one request as an endpoint read it.
type Request struct {
	Method, Target, Host, Body string
	Proto                      string
	Header                     http.Header
	Chunked                    bool
	Length                     int64 // of the Content-Length field; -1 if there was none
	Complete                   bool  // the body came to its end: the request counts as executed
}

// Endpoint is an HTTP/1.1 endpoint on a port of 127.0.0.1. Each request is answered by the next act of its script, the
// last of which is repeated.
type Endpoint struct {
	tb      testing.TB
	address string

	mu       sync.Mutex
	ln       net.Listener
	conns    map[net.Conn]bool
	script   []Act
	requests []*Request
	accepted int
	stopped  chan struct{} // closed by Stop
	done     sync.WaitGroup
}

// NewEndpoint starts an endpoint. It is stopped when the test ends.
func NewEndpoint(tb testing.TB, script ...Act) *Endpoint {
	tb.Helper()
	e := &Endpoint{tb: tb, address: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	e.Script(script...)
	e.Start()
	tb.Cleanup(e.Stop)
	return e
}

// Address returns host:port. It stays the same over Stop and Start.
func (e *Endpoint) Address() string { return e.address }

// Script replaces what is left of the script.
func (e *Endpoint) Script(script ...Act) {
	if len(script) == 0 {
		script = []Act{Respond(http.StatusOK, "ok")}
	}
	e.mu.Lock()
	e.script = script
	e.mu.Unlock()
}

// Start listens. A stopped endpoint comes back on its old port.
func (e *Endpoint) Start() {
	e.tb.Helper()
	ln, err := net.Listen("tcp", e.address)
	if err != nil {
		e.tb.Fatalf("endpoint: %v", err)
	}
	e.address = ln.Addr().String()
	e.mu.Lock()
	e.ln, e.stopped = ln, make(chan struct{})
	e.mu.Unlock()
	e.done.Go(func() { e.accept(ln, e.stopped) })
}

// Stop closes the port and resets every connection, as the death of a process does. New connections are refused.
func (e *Endpoint) Stop() {
	e.mu.Lock()
	if e.ln == nil {
		e.mu.Unlock()
		return
	}
	_ = e.ln.Close()
	e.ln = nil
	close(e.stopped)
	e.mu.Unlock()
	e.ResetConns()
	e.done.Wait()
}

// ResetConns resets every connection; the port stays open.
func (e *Endpoint) ResetConns() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// Inject writes bytes that nobody asked for to every connection.
func (e *Endpoint) Inject(b string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_, _ = io.WriteString(c, b)
	}
}

// CloseConns closes every connection in good order.
func (e *Endpoint) CloseConns() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.Close()
	}
}

// Accepted returns the number of connections so far.
func (e *Endpoint) Accepted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accepted
}

// Open returns the number of connections that are open.
func (e *Endpoint) Open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Requests returns what has come so far.
func (e *Endpoint) Requests() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Request, len(e.requests))
	for i, r := range e.requests {
		all[i] = *r
	}
	return all
}

// Count returns the number of requests of a method, or of all if it is "".
func (e *Endpoint) Count(method string) int {
	n := 0
	for _, r := range e.Requests() {
		if method == "" || r.Method == method {
			n++
		}
	}
	return n
}

// Executed returns the bodies of the requests of a method that arrived whole, in order.
func (e *Endpoint) Executed(method string) []string {
	var bodies []string
	for _, r := range e.Requests() {
		if r.Method == method && r.Complete {
			bodies = append(bodies, r.Body)
		}
	}
	return bodies
}

func (e *Endpoint) accept(ln net.Listener, stopped chan struct{}) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.accepted++
		e.conns[c] = true
		e.mu.Unlock()
		e.done.Go(func() {
			defer func() {
				_ = c.Close()
				e.mu.Lock()
				delete(e.conns, c)
				e.mu.Unlock()
			}()
			e.serve(c, stopped)
		})
	}
}

func (e *Endpoint) serve(c net.Conn, stopped chan struct{}) {
	br := bufio.NewReader(c)
	for {
		hr, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		r := &Request{
			Method: hr.Method, Target: hr.RequestURI, Host: hr.Host, Proto: hr.Proto, Header: hr.Header, Length: hr.ContentLength,
			Chunked: slices.Contains(hr.TransferEncoding, "chunked"),
		}
		x := &Exchange{Conn: c, Request: r, Stopped: stopped, e: e, hr: hr, br: br}
		e.mu.Lock()
		e.requests = append(e.requests, r)
		act := e.script[0]
		if len(e.script) > 1 {
			e.script = e.script[1:]
		}
		e.mu.Unlock()
		act(x)
		if x.over {
			return
		}
	}
}

// Exchange is one request at an endpoint, and the connection that it came on.
type Exchange struct {
	Conn    net.Conn
	Request *Request
	Stopped <-chan struct{}
	e       *Endpoint
	hr      *http.Request
	br      *bufio.Reader
	over    bool
}

// ReadBody reads the request's body to its end.
func (x *Exchange) ReadBody() error {
	b, err := io.ReadAll(x.hr.Body)
	x.e.mu.Lock()
	x.Request.Body, x.Request.Complete = string(b), err == nil
	x.e.mu.Unlock()
	return err
}

// DiscardBody reads the request's body without keeping it and returns its length.
func (x *Exchange) DiscardBody() (int64, error) { return io.Copy(io.Discard, x.hr.Body) }

// Send writes bytes as they are.
func (x *Exchange) Send(parts ...string) { _, _ = io.WriteString(x.Conn, strings.Join(parts, "")) }

// Close ends the connection after this exchange.
func (x *Exchange) Close() { x.over = true }

// Reset ends the connection by a reset, at once.
func (x *Exchange) Reset() {
	_ = x.Conn.(*net.TCPConn).SetLinger(0)
	_ = x.Conn.Close()
	x.over = true
}

// ReadRaw reads the next n bytes of the connection as they are; fewer if it ends before.
func (x *Exchange) ReadRaw(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(x.br, b)
	return string(b[:n])
}

// ReadPart reads the next n bytes of the request's body.
func (x *Exchange) ReadPart(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(x.hr.Body, b)
	return string(b[:n])
}
