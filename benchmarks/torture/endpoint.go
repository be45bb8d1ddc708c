package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// patience bounds every wait for something that must come.
const patience = 4 * time.Second

// canary begins the paths of requests that are not the case's: they ask whether others are served well after it.
const canary = "/canary/"

// Endpoint stands behind a gateway. It reads requests with net/http, notes them, and answers as a case says.
type Endpoint struct {
	ln      net.Listener
	serving sync.WaitGroup

	mu     sync.Mutex
	conns  map[*endpointConn]struct{}
	script func(*Exchange)
	run    *baton
	seen   []*Seen
	opened int
}

// Seen is a request as net/http reads it.
type Seen struct {
	Conn    int    // number of the connection that it came on
	Raw     string // its head as it came
	Wire    string // head and body as they came, once the exchange is over
	Request *http.Request
	Body    string
	Trailer http.Header
	Err     error // why it could not be read whole
	Whole   bool  // it was read to its end
}

// baton lets client and endpoint of a case wait for each other.
type baton struct{ toEndpoint, toClient chan struct{} }

func pass(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func take(c chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(patience):
		return false
	}
}

// NewEndpoint listens on a free port of 127.0.0.1.
func NewEndpoint() (*Endpoint, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &Endpoint{ln: ln, conns: map[*endpointConn]struct{}{}}
	e.serving.Go(e.accept)
	return e, nil
}

// Address is host:port.
func (e *Endpoint) Address() string { return e.ln.Addr().String() }

// Close ends it and every connection to it.
func (e *Endpoint) Close() {
	_ = e.ln.Close()
	e.hangUp()
	e.serving.Wait()
}

func (e *Endpoint) accept() {
	for {
		c, err := e.ln.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.opened++
		ec := &endpointConn{Conn: c, endpoint: e, number: e.opened}
		ec.br = bufio.NewReader(ec)
		e.conns[ec] = struct{}{}
		e.mu.Unlock()
		e.serving.Go(ec.serve)
	}
}

// begin makes a case the one that is played.
func (e *Endpoint) begin(script func(*Exchange)) *baton {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script, e.seen = script, nil
	e.run = &baton{make(chan struct{}, 64), make(chan struct{}, 64)}
	return e.run
}

// hangUp closes every connection.
func (e *Endpoint) hangUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.Conn.Close()
	}
}

// settled returns what was seen, as soon as no request is being read, or after a second.
func (e *Endpoint) settled() (seen []Seen, half string) {
	for deadline := time.Now().Add(time.Second); ; time.Sleep(2 * time.Millisecond) {
		e.mu.Lock()
		busy := false
		half = ""
		for c := range e.conns {
			busy = busy || c.busy
			if !c.busy && len(c.raw) > 0 {
				busy, half = true, string(c.raw)
			}
		}
		if !busy || time.Now().After(deadline) {
			for _, s := range e.seen {
				seen = append(seen, *s)
			}
			e.mu.Unlock()
			return seen, half
		}
		e.mu.Unlock()
	}
}

// endpointConn is a connection of the gateway. It keeps the bytes that it read since the last request.
type endpointConn struct {
	net.Conn
	endpoint *Endpoint
	number   int
	br       *bufio.Reader

	raw  []byte // guarded by endpoint.mu, as is what follows
	busy bool   // between the head of a request and the end of its exchange
}

func (c *endpointConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.endpoint.mu.Lock()
	c.raw = append(c.raw, p[:n]...)
	c.endpoint.mu.Unlock()
	return n, err
}

func (c *endpointConn) serve() {
	e := c.endpoint
	defer func() {
		_ = c.Conn.Close()
		e.mu.Lock()
		delete(e.conns, c)
		e.mu.Unlock()
	}()
	for c.next() {
	}
}

// next plays one exchange and reports whether there may be another.
func (c *endpointConn) next() bool {
	e := c.endpoint
	r, err := http.ReadRequest(c.br)
	e.mu.Lock()
	used := c.raw[:len(c.raw)-c.br.Buffered()]
	if err != nil {
		if len(used) > 0 {
			e.seen = append(e.seen, &Seen{Conn: c.number, Raw: string(used), Err: err})
		}
		e.mu.Unlock()
		return false
	}
	c.busy = true
	s := &Seen{Conn: c.number, Raw: string(used), Request: r}
	x := &Exchange{Seen: s, conn: c, baton: e.run}
	script := e.script
	if strings.HasPrefix(r.RequestURI, canary) {
		script = func(x *Exchange) { x.Body(); x.Write(sized("200 OK", r.RequestURI)) }
	} else {
		e.seen = append(e.seen, s)
		x.Number = len(e.seen)
	}
	e.mu.Unlock()
	if script == nil {
		script = ok
	}
	script(x)
	if !x.closed && !x.read {
		x.Body()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.busy = false
	s.Wire = string(c.raw[:len(c.raw)-c.br.Buffered()])
	c.raw = append([]byte(nil), c.raw[len(c.raw)-c.br.Buffered():]...)
	return !x.closed
}

// Exchange is one request as a script sees it.
type Exchange struct {
	*Seen
	Number int // of the request within the case, from 1
	conn   *endpointConn
	baton  *baton
	read   bool
	closed bool
}

// ok reads a request and answers it.
func ok(x *Exchange) {
	if _, err := x.Body(); err == nil {
		x.Write(sized("200 OK", "ok", "X-Number: "+fmt.Sprint(x.Number)))
	}
}

// Body reads the body to its end. A body that ends early closes the connection.
func (x *Exchange) Body() (string, error) {
	if x.read {
		return x.Seen.Body, x.Err
	}
	x.read = true
	b, err := io.ReadAll(x.Request.Body)
	mu := &x.conn.endpoint.mu
	mu.Lock()
	x.Seen.Body, x.Seen.Err, x.Seen.Trailer, x.Seen.Whole = string(b), err, x.Request.Trailer, err == nil
	mu.Unlock()
	if err != nil {
		x.Close()
	}
	return string(b), err
}

// Prepend adds to the body what a script has read of it by itself.
func (x *Exchange) Prepend(s string) {
	x.conn.endpoint.mu.Lock()
	defer x.conn.endpoint.mu.Unlock()
	x.Seen.Body = s + x.Seen.Body
}

// Write sends bytes as they are. A gateway that is gone is no error: what must hold is checked on the client's side.
func (x *Exchange) Write(s string) {
	if _, err := io.WriteString(x.conn.Conn, s); err != nil && !errors.Is(err, net.ErrClosed) {
		x.closed = true
	}
}

// Next fills b with what comes behind a request that has no body, and reports whether it did.
func (x *Exchange) Next(b []byte) bool {
	_, err := io.ReadFull(x.conn.br, b)
	return err == nil
}

// Close ends the connection with FIN, or RST if the gateway has sent what was not read.
func (x *Exchange) Close() { x.closed = true; _ = x.conn.Conn.Close() }

// CloseWrite ends the endpoint's side only.
func (x *Exchange) CloseWrite() { _ = x.conn.Conn.(*net.TCPConn).CloseWrite() }

// Reset ends it with RST.
func (x *Exchange) Reset() {
	_ = x.conn.Conn.(*net.TCPConn).SetLinger(0)
	x.Close()
}

// Tell lets one Wait of the client return.
func (x *Exchange) Tell() { pass(x.baton.toClient) }

// Wait waits until the client tells something, and reports whether it did.
func (x *Exchange) Wait() bool { return take(x.baton.toEndpoint) }

// Gone waits until the gateway has closed the connection, and reports whether it did.
func (x *Exchange) Gone() bool {
	_ = x.conn.Conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, x.conn.br)
	x.Close()
	var ne net.Error
	return !errors.As(err, &ne) || !ne.Timeout()
}

// answer is a script: the request is read whole and answered with these bytes.
func answer(raw string) func(*Exchange) {
	return func(x *Exchange) { x.Body(); x.Write(raw) }
}

// last is answer, and the connection is closed after it.
func last(raw string) func(*Exchange) {
	return func(x *Exchange) { x.Body(); x.Write(raw); x.Close() }
}
