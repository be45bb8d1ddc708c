package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

// Probe sets active checks of a cluster's endpoints: HTTP if Path is set, or gRPC, else a TCP connect, or a handshake of TLS.
type Probe struct {
	Path     string // origin-form request target
	Host     string // Host field; "" is the endpoint's address
	Statuses []int  // accepted; empty is 200..399
	Interval time.Duration
	Timeout  time.Duration
	Fall     int  // failures in a row that take an endpoint out
	Rise     int  // successes in a row that bring it back
	Adaptive bool // more often in doubt, less often while requests succeed

	ProxyProtocol int // version of the PROXY header that connections begin with, 0 for none

	HTTP2     bool
	TLS       TLS  // nil: without
	Handshake bool // by a handshake of TLS alone

	GRPC    bool   // by gRPC's Health/Check, with HTTP2
	Service string // that is asked for in it; "" is the endpoint as a whole

	prober *Prober
}

// TLS gives, for an endpoint at host:port, what gives the configuration for a connection.
type TLS interface {
	Config(address string) func() *tls.Config
}

// sameTarget reports whether what p found out holds for q.
func (p *Probe) sameTarget(q *Probe) bool {
	return p != nil && q != nil && p.Path == q.Path && p.Host == q.Host && p.GRPC == q.GRPC && p.Service == q.Service && p.HTTP2 == q.HTTP2 && p.Handshake == q.Handshake && p.ProxyProtocol == q.ProxyProtocol && p.TLS == q.TLS && slices.Equal(p.Statuses, q.Statuses)
}

func (p *Probe) equal(q *Probe) bool {
	if p == nil || q == nil {
		return p == q
	}
	a, b := *p, *q
	a.Statuses, b.Statuses = nil, nil
	return a.GRPC == b.GRPC && a.Service == b.Service && a.HTTP2 == b.HTTP2 && a.Handshake == b.Handshake && a.ProxyProtocol == b.ProxyProtocol && a.TLS == b.TLS && a.Path == b.Path && a.Host == b.Host && a.Interval == b.Interval && a.Timeout == b.Timeout &&
		a.Fall == b.Fall && a.Adaptive == b.Adaptive && a.Rise == b.Rise && slices.Equal(p.Statuses, q.Statuses)
}

// ProbeState is what active checks say.
type ProbeState uint8

// Probe states. Unknown holds until the first success, or Fall failures.
const (
	ProbeUnknown ProbeState = iota
	ProbePassing
	ProbeFailing
)

// String returns "unknown", "passing" or "failing".
func (s ProbeState) String() string { return [...]string{"unknown", "passing", "failing", ""}[s&3] }

type probeState struct {
	state    ProbeState
	row      int // results in a row like the last
	lastGood bool
	reason   string // of the last failure
	at       time.Time
	answered uint64 // attempts that were over at that time
	failed   uint64 // and those that failed
	check    *check // nil: none
}

// startProbe has e checked, if the cluster has probes. The caller holds c.mu, or no one else knows the cluster yet.
func (c *Cluster) startProbe(e *Endpoint) {
	if c.settings.Probe == nil || c.closed {
		return
	}
	p := *c.settings.Probe
	p.prober = c.settings.Prober
	ask := p.of(c.ctx, e.Address)
	e.probe.check = c.checks.start(p.Interval, func(ctx context.Context) time.Duration {
		if !p.prober.enter(ctx) {
			return p.Interval
		}
		defer p.prober.leave()
		one, cancel := context.WithTimeout(ctx, p.Timeout)
		err := ask(one, e.Address)
		cancel()
		c.probed(ctx, p, e, err)
		return c.probeEvery(p, e)
	})
}

// of returns what checks the endpoint at address. ctx is that of no check in particular.
func (p Probe) of(ctx context.Context, address string) func(ctx context.Context, address string) error {
	switch {
	case p.Path != "" && !p.HTTP2:
		return p.http1(ctx, address)
	case p.Path == "" && !p.GRPC && p.Handshake:
		return p.handshake
	case p.Path == "" && !p.GRPC:
		return p.tcp
	}
	t, ask := p.transport(address), p.http
	if p.GRPC {
		ask = p.grpc
	}
	return func(ctx context.Context, address string) error {
		defer t.CloseIdleConnections()
		return ask(ctx, t, address)
	}
}

// probed takes the result of a check.
func (c *Cluster) probed(ctx context.Context, p Probe, e *Endpoint, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return // the endpoint is gone or the settings changed
	}
	s := &e.probe
	good, was := err == nil, s.state
	if good != s.lastGood {
		s.row = 0
	}
	s.row++
	s.lastGood, s.at = good, time.Now()
	switch {
	case good && (s.row >= p.Rise || s.state == ProbeUnknown):
		s.state = ProbePassing
		// What its probe saw fail and come back need not sit out the rest. If the probe was good all the time, it does
		// not see what is wrong, and says nothing about its end.
		if s.row >= p.Rise && e.outlier.probeFell && e.outlier.why != byPolicy && e.outlier.until.After(s.at) {
			c.readmit(e)
		}
	case !good && s.row >= p.Fall:
		s.state = ProbeFailing
	}
	why := "probe"
	if !good {
		e.outlier.probeFell = true
		s.reason = err.Error()
		why = "probe: " + s.reason
	}
	if s.state != was || e.effective != EffectiveUp { // else nothing changes
		c.publishView(why)
	}
}

// secure returns what makes connections with TLS to the endpoint at address, and resumes no session of another.
func (p Probe) secure(address string) func(ctx context.Context, network, address string) (net.Conn, error) {
	config := p.TLS.Config(address)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := p.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		one := config().Clone()
		if p.HTTP2 {
			one.NextProtos = []string{"h2"}
		}
		secured := tls.Client(c, one)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return secured, nil
	}
}

// handshake checks the endpoint at address by a whole handshake.
func (p Probe) handshake(ctx context.Context, address string) error {
	conn, err := p.secure(address)(ctx, "tcp", address)
	if err != nil {
		return err
	}
	_ = conn.Close() // an endpoint that does not wait for the end of it is as good as one that does
	return nil
}

func (p Probe) tcp(ctx context.Context, address string) error {
	conn, err := p.connect(ctx, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial makes a connection of our own to an endpoint.
func (p Probe) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address) // it is closed before that could say anything
	if err != nil || p.ProxyProtocol == 0 {
		return c, err
	}
	from, to := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	if _, err := c.Write(proxyproto.AppendLocal(nil, p.ProxyProtocol, from, to)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// transport makes the client of HTTP probes by HTTP/2, and of polls, of the endpoint at address.
func (p Probe) transport(address string) *http.Transport {
	t := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxProbeAnswer, Protocols: new(http.Protocols), DialContext: p.dial}
	t.Protocols.SetHTTP1(!p.HTTP2)
	t.Protocols.SetHTTP2(p.HTTP2 && p.TLS != nil)
	t.Protocols.SetUnencryptedHTTP2(p.HTTP2 && p.TLS == nil)
	if p.TLS != nil {
		t.DialTLSContext = p.secure(address)
	}
	return t
}

// http checks the endpoint at address with t.
func (p Probe) http(ctx context.Context, t *http.Transport, address string) error {
	req, err := p.request(ctx, address)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	return p.judge(resp)
}
