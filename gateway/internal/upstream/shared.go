package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
	"github.com/weir-lb/weir/policies"
)

// streamBuffer is how much of one response of HTTP/2 an endpoint may send before it is read: a client that does not read holds
// up its own stream with that much in memory. The connection's own window is wide, so that it holds up no other.
const streamBuffer = 256 << 10

// shared is a connection of HTTP/2, which requests share, each on a stream of its own.
type shared struct {
	*http.ClientConn
	secured *tls.Config // what TLS was made with
	used    atomic.Bool
}

// retire closes the connection when the last request on it is over. The pool gives it no more.
func (s *shared) retire() {
	end := func(c *http.ClientConn) {
		if c.InFlight() == 0 {
			_ = c.Close()
		}
	}
	s.SetStateHook(end)
	end(s.ClientConn)
}

func retire(old []*shared) {
	for _, s := range old {
		s.retire()
	}
}

// joining is a connection of HTTP/2 that is being made. Requests wait for it together.
type joining struct {
	over    chan struct{}
	cancel  context.CancelFunc
	waiting int // guarded by the pool's mu
	err     error
}

// reserve returns a connection with a place for one request. Its error is an *[Error]; class Cancelled if ctx has ended,
// ConnectTimeout if that was its time.
func (p *Pool) reserve(ctx context.Context) (*shared, error) {
	for {
		p.mu.Lock()
		s, old := p.vacant()
		if s != nil {
			p.mu.Unlock()
			retire(old)
			return s, nil
		}
		j := p.joining
		if j == nil {
			dial, cancel := context.WithTimeout(context.Background(), p.limits.Load().ConnectTimeout)
			j = &joining{over: make(chan struct{}), cancel: cancel}
			p.joining = j
			go p.join(dial, j)
		}
		j.waiting++
		p.mu.Unlock()
		retire(old)
		select {
		case <-j.over:
			if j.err != nil {
				return nil, j.err
			}
		case <-ctx.Done():
			p.mu.Lock()
			if j.waiting--; j.waiting == 0 {
				j.cancel()
			}
			p.mu.Unlock()
			return nil, &Error{Class: dialClass(ctx.Err()), Err: ctx.Err()}
		}
	}
}

// vacant returns a connection that can take a request, with a place reserved, or nil, and those that are not to be used any
// more. The caller holds mu.
func (p *Pool) vacant() (s *shared, old []*shared) {
	config := p.tlsConfig()
	p.shared = slices.DeleteFunc(p.shared, func(s *shared) bool {
		out := s.Err() != nil || s.secured != config
		if out {
			old = append(old, s)
		}
		return out
	})
	for _, s := range p.shared {
		if s.Reserve() == nil {
			return s, old
		}
	}
	return nil, old
}

// join makes a connection for those who wait for j.
func (p *Pool) join(ctx context.Context, j *joining) {
	defer j.cancel()
	s, err := p.connect(ctx)
	p.mu.Lock()
	p.joining, j.err = nil, err
	if err == nil {
		p.shared = append(p.shared, s)
	}
	nobody := p.closed && j.waiting == 0
	p.mu.Unlock()
	close(j.over)
	if nobody {
		p.leave()
	}
}

// leave lets all connections go when their last request is over.
func (p *Pool) leave() {
	p.mu.Lock()
	old := p.shared
	p.shared = nil
	p.mu.Unlock()
	retire(old)
}

// connect makes a connection, and waits for the endpoint to begin: then it is known to speak HTTP/2, and how many requests may
// be on it. Its error is an *[Error].
func (p *Pool) connect(ctx context.Context) (*shared, error) {
	p.dials.Add(1)
	s := &shared{secured: p.tlsConfig()}
	var g *greeting
	t := &http.Transport{
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		IdleConnTimeout:    p.limits.Load().MaxIdle,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamBuffer,
			SendPingTimeout:           15 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: 10 * time.Second,
		},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := p.reach(ctx, network, s.secured)
			g = &greeting{stream: c, heard: make(chan struct{})}
			return g, err
		},
	}
	t.Protocols.SetUnencryptedHTTP2(true) // TLS is below it, if there is any
	var err error
	if s.ClientConn, err = t.NewClientConn(ctx, "http", p.address); err == nil {
		if err = g.await(ctx); err == nil {
			return s, nil
		}
		_ = s.Close()
	}
	p.failed.Add(1)
	return nil, err
}

// reach makes what a connection is spoken over: with TLS, that both speak HTTP/2 is agreed upon in it.
func (p *Pool) reach(ctx context.Context, network string, config *tls.Config) (stream, error) {
	c, err := p.dialer.DialContext(ctx, network, p.address)
	if err != nil {
		return nil, &Error{Class: dialClass(err), Err: err}
	}
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2"}
	}
	s, err := secure(ctx, socket.New(c.(*net.TCPConn)), config)
	if t, ok := s.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
		err = &Error{Class: policies.TLSFailed, Err: errNotHTTP2}
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

// errNotHTTP2 says what is wrong with an endpoint that answers as HTTP/1 does, or did not agree to HTTP/2 in TLS.
var errNotHTTP2 = errors.New("the endpoint does not speak HTTP/2, which `http2: true` says of its cluster")

// greeting is a connection whose other side begins with a frame of SETTINGS (RFC 9113, section 3.4). What begins with the
// letter H instead, which would be a frame of over 4 MiB, is a response of HTTP/1.
type greeting struct {
	stream
	begun bool
	over  bool
	heard chan struct{} // closed when the engine has read the beginning, or there will be none
	err   error
}

// Read implements net.Conn.
func (g *greeting) Read(p []byte) (int, error) {
	if g.begun && !g.over {
		g.end(nil)
	}
	n, err := g.stream.Read(p)
	if n > 0 && !g.begun {
		if g.begun = true; p[0] == 'H' {
			n, err = 0, &Error{Class: policies.Malformed, Err: errNotHTTP2}
		}
	}
	if err != nil && !g.over {
		g.end(err)
	}
	return n, err
}

func (g *greeting) end(err error) {
	g.over, g.err = true, err
	close(g.heard)
}

// await waits for the beginning. Its error is an *[Error].
func (g *greeting) await(ctx context.Context) error {
	select {
	case <-g.heard:
	case <-ctx.Done():
		return &Error{Class: dialClass(ctx.Err()), Err: errSilent}
	}
	var e *Error
	if g.err == nil || errors.As(g.err, &e) {
		return g.err
	}
	return &Error{Class: policies.Reset, Err: fmt.Errorf("before the endpoint began to speak HTTP/2: %w", g.err)}
}

var errSilent = errors.New("the endpoint did not begin to speak HTTP/2 in time")

// Close implements net.Conn. The engine may hold a lock.
func (g *greeting) Close() error {
	_ = g.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // TLS says that nothing was cut off
	return g.stream.Close()
}
