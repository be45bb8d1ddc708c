package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
	"github.com/weir-lb/weir/policies"
)

// Config bounds the pool of one endpoint. A zero field means its default.
type Config struct {
	Address        string        // host:port
	MaxConns       int           // open at once, idle ones included; default 1024
	Queue          int           // requests that may wait for a slot; default 128, negative is none
	QueueTimeout   time.Duration // how long they wait; default 100 ms
	ConnectTimeout time.Duration // TLS included; default 1 s
	ProxyProtocol  int           // version of the PROXY header that each connection begins with, see [Pool.TakeFor]; 0 is none
	HTTP2          bool          // requests share connections of HTTP/2; MaxConns bounds how many requests there are at once
	// TLS gives the configuration for a connection that is about to be made, which has to verify the endpoint's name. It gives
	// the same pointer until something changes; connections that another one was made with are not used again. nil: no TLS.
	TLS func() *tls.Config
	// MaxIdle is the age at which an unused connection is closed. It has to be below what endpoints allow, which is
	// 60 s or more nearly everywhere. Default 55 s.
	MaxIdle time.Duration
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, x time.Duration) {
		if *d == 0 {
			*d = x
		}
	}
	if c.MaxConns == 0 {
		c.MaxConns = 1024
	}
	if c.Queue == 0 {
		c.Queue = 128
	}
	def(&c.QueueTimeout, 100*time.Millisecond)
	def(&c.ConnectTimeout, time.Second)
	def(&c.MaxIdle, 55*time.Second)
	return c
}

// Discard says why a connection was closed instead of being used again.
type Discard uint8

// Reasons to close a connection.
const (
	Stale    Discard = iota // the endpoint had closed or reset it while it was idle
	Poisoned                // bytes that no request had asked for
	Expired                 // idle for too long, or the pool is closed
	Closing                 // the response asked for it, or ended with the connection
	Broken                  // an error, or an exchange that was cut short
	NumDiscards
)

var discardNames = [NumDiscards]string{"stale", "poisoned", "expired", "closing", "broken"}

// String returns the name that metrics use.
func (d Discard) String() string { return discardNames[d] }

// Stats are counts of one pool.
type Stats struct {
	Open      int // idle ones and those being dialled included
	Idle      int
	Waiting   int // requests in the queue
	Dials     uint64
	Failed    uint64 // dials that failed
	Reuses    uint64
	Exhausted uint64 // requests that got no slot in time
	Discarded [NumDiscards]uint64
}

// Pool is the connections to one endpoint. Connections are taken last in, first out, so that the ones that are not
// needed grow old and go.
type Pool struct {
	address string
	dialer  net.Dialer
	limits  atomic.Pointer[Config]

	dials, failed, reuses, exhausted atomic.Uint64
	discarded                        [NumDiscards]atomic.Uint64

	mu      sync.Mutex
	idle    []*Conn // oldest first
	busy    *Conn   // first of those that requests are on
	open    int
	queue   []*waiter // first come, first served; may hold ones that gave up
	waiting int       // those that did not
	reaper  *time.Timer
	shared  []*shared // of HTTP/2, that requests can be put on
	joining *joining  // one more of those that is on its way; nil if there is none
	closed  bool
}

// New returns a pool without connections. Close ends it.
func New(cfg Config) *Pool {
	p := &Pool{address: cfg.Address}
	defer p.Configure(cfg)
	p.dialer = net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         control,
	}
	return p
}

// Configure sets other bounds. Connections above them stay until they are closed for another reason. The address stays.
func (p *Pool) Configure(cfg Config) {
	cfg = cfg.withDefaults()
	was := p.limits.Swap(&cfg)
	if was != nil && was.HTTP2 && !cfg.HTTP2 {
		p.leave()
	}
}

// Address returns the host:port that the pool connects to.
func (p *Pool) Address() string { return p.address }

// Take returns a connection whose reads and writes are bounded by d, an idle one that is known to be alive if there is
// one. It is an *[Error] if that cannot be had within d. The caller ends with [Conn.Release] or [Conn.Abort].
func (p *Pool) Take(d time.Duration) (*Conn, error) { return p.TakeContext(context.Background(), d) }

// TakeContext is Take that ends with an error of class Cancelled when ctx does.
func (p *Pool) TakeContext(ctx context.Context, d time.Duration) (*Conn, error) {
	for {
		p.mu.Lock()
		n := len(p.idle) - 1
		if n < 0 {
			return p.takeSlot(ctx, d, nil) // unlocks
		}
		c := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		p.link(c)
		p.mu.Unlock()
		if p.revive(c, d) {
			return c, nil
		}
	}
}

// TakeFresh is Take, but of a connection that no request has used.
func (p *Pool) TakeFresh(d time.Duration) (*Conn, error) {
	return p.TakeFreshContext(context.Background(), d)
}

// TakeFreshContext is TakeFresh that ends with an error of class Cancelled when ctx does.
func (p *Pool) TakeFreshContext(ctx context.Context, d time.Duration) (*Conn, error) {
	return p.TakeFor(ctx, d, nil)
}

// TakeFor is TakeFreshContext of a connection that begins with header and, if that is not nil, is of one request alone: the
// endpoint takes whatever comes on it for that client's.
func (p *Pool) TakeFor(ctx context.Context, d time.Duration, header []byte) (*Conn, error) {
	p.mu.Lock()
	if len(p.idle) > 0 && p.open >= p.limits.Load().MaxConns {
		oldest := p.idle[0]
		p.idle = p.idle[:copy(p.idle, p.idle[1:])]
		p.mu.Unlock()
		p.close(oldest, Expired)
		p.mu.Lock()
	}
	return p.takeSlot(ctx, d, header)
}

// ProxyProtocol returns the version of the PROXY headers that the endpoint wants, 0 if it wants none.
func (p *Pool) ProxyProtocol() int { return p.limits.Load().ProxyProtocol }

// revive makes an idle connection ready for a request, or closes it.
func (p *Pool) revive(c *Conn, d time.Duration) bool {
	t := now()
	if t-c.idleSince > int64(p.limits.Load().MaxIdle) || c.secured != p.tlsConfig() {
		p.close(c, Expired)
		return false
	}
	c.arm(t, d)
	switch c.tcp.Look() {
	case socket.Quiet:
		c.begin(true)
		p.reuses.Add(1)
		return true
	case socket.Readable:
		p.close(c, Poisoned)
	default:
		p.close(c, Stale)
	}
	return false
}

func (p *Pool) dial(ctx context.Context, d time.Duration, header []byte) (*Conn, error) {
	if p.limits.Load().HTTP2 {
		return p.takeCall(ctx, d)
	}
	p.dials.Add(1)
	ctx, cancel := context.WithTimeout(ctx, min(d, p.limits.Load().ConnectTimeout))
	defer cancel()
	nc, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err == nil && header != nil {
		_, err = nc.Write(header) // into an empty buffer: it does not wait
	}
	if err != nil {
		if nc != nil {
			_ = nc.Close()
		}
		p.failed.Add(1)
		p.slotFreed(nil)
		return nil, &Error{Class: dialClass(err), Err: err}
	}
	tcp := socket.New(nc.(*net.TCPConn))
	config := p.tlsConfig()
	s, err := secure(ctx, tcp, config)
	if err != nil {
		_ = tcp.Close()
		p.failed.Add(1)
		p.slotFreed(nil)
		return nil, err
	}
	c := &Conn{pool: p, tcp: tcp, stream: s}
	c.secured, c.single = config, header != nil
	p.mu.Lock()
	p.link(c)
	p.mu.Unlock()
	c.arm(now(), d)
	c.begin(false)
	return c, nil
}

// tlsConfig returns what a connection is to be made with; nil without TLS.
func (p *Pool) tlsConfig() *tls.Config {
	if give := p.limits.Load().TLS; give != nil {
		return give()
	}
	return nil
}

// secure returns what to speak over: TLS if config says how.
func secure(ctx context.Context, tcp *socket.Conn, config *tls.Config) (stream, error) {
	if config == nil {
		return tcp, nil
	}
	t := tls.Client(tcp, config)
	switch err := t.HandshakeContext(ctx); {
	case err == nil:
		return t, nil
	case errors.Is(err, context.Canceled):
		return nil, &Error{Class: policies.Cancelled, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &Error{Class: policies.ConnectTimeout, Err: err}
	default:
		return nil, &Error{Class: policies.TLSFailed, Err: err}
	}
}

// put takes back a connection that is fit for another request.
func (p *Pool) put(c *Conn) {
	c.idleSince = now()
	c.end()
	p.mu.Lock()
	if p.closed || c.ended.Load() || p.ProxyProtocol() != 0 {
		p.mu.Unlock()
		p.close(c, Expired)
		return
	}
	if w := p.next(); w != nil {
		w.ch <- c
		p.mu.Unlock()
		return
	}
	p.unlink(c)
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.limits.Load().MaxIdle, p.reap)
	}
	p.mu.Unlock()
}

// close closes a connection that the pool will not see again.
func (p *Pool) close(c *Conn, why Discard) {
	p.discarded[why].Add(1)
	c.end()
	if c.call != nil {
		c.call.end()
		if p.slotFreed(c); p.isClosed() {
			p.leave()
		}
		return
	}
	if c.stream != stream(c.tcp) && why != Broken {
		_ = c.tcp.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_ = c.stream.Close() // says that nothing was cut off
	}
	_ = c.tcp.Close()
	p.slotFreed(c)
}

// reap closes what has been idle for too long, and comes again as long as anything is idle.
func (p *Pool) reap() {
	limit := now() - int64(p.limits.Load().MaxIdle)
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince <= limit {
		n++
	}
	old := append([]*Conn(nil), p.idle[:n]...)
	p.idle = p.idle[:copy(p.idle, p.idle[n:])]
	if len(p.idle) > 0 && !p.closed {
		p.reaper.Reset(time.Duration(p.idle[0].idleSince - limit))
	} else {
		p.reaper = nil
	}
	p.mu.Unlock()
	for _, c := range old {
		p.close(c, Expired)
	}
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Close closes idle connections now and every other one when its request is over. Requests that hold the pool can
// still take connections.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		p.close(c, Expired)
	}
	p.leave()
}

// Stats returns the present counts.
func (p *Pool) Stats() Stats {
	s := Stats{
		Dials: p.dials.Load(), Failed: p.failed.Load(), Reuses: p.reuses.Load(), Exhausted: p.exhausted.Load(),
	}
	for i := range s.Discarded {
		s.Discarded[i] = p.discarded[i].Load()
	}
	p.mu.Lock()
	s.Open, s.Idle, s.Waiting = p.open, len(p.idle), p.waiting
	p.mu.Unlock()
	return s
}
