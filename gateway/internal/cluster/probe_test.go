package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// trusting is TLS with those authorities.
type trusting struct{ roots *x509.CertPool }

func (t *trusting) Config(string) func() *tls.Config {
	return func() *tls.Config {
		return &tls.Config{RootCAs: t.roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	}
}

func TestHandshakesAsProbes(t *testing.T) {
	h := httptest.NewUnstartedServer(http.NotFoundHandler()) // what it answers to requests does not matter
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	defer h.Close()
	known := x509.NewCertPool()
	known.AddCert(h.Certificate())
	for name, tc := range map[string]struct {
		ends *trusting
		want string
	}{
		"a_good_certificate":          {&trusting{known}, "passing"},
		"one_of_an_unknown_authority": {&trusting{x509.NewCertPool()}, "failing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings()
			s.Prober = NewProber(1)
			s.Probe = &Probe{Handshake: true, TLS: tc.ends, Interval: 20 * time.Millisecond, Timeout: 10 * time.Second, Fall: 1, Rise: 1}
			c := start(t, s, nil)
			in := instance("a")
			in.Address = strings.TrimPrefix(h.URL, "https://")
			c.Apply(live(in))
			gatewaytest.Eventually(t, "the probe is "+tc.want, func() bool { return c.Status().Endpoints[0].Evidence.Probe == tc.want })
		})
	}
}

// TestProbesAreBounded has a hundred checks that hang, of which eight may be under way.
func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(8)
		var open, most, over atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		checks := newSchedule(ctx)
		for range 100 {
			checks.start(time.Second, func(ctx context.Context) time.Duration {
				if !p.enter(ctx) {
					return time.Second
				}
				defer p.leave()
				for n := open.Add(1); ; {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				time.Sleep(100 * time.Millisecond)
				open.Add(-1)
				over.Add(1)
				return time.Second
			})
		}
		time.Sleep(10 * time.Second)
		stop()
		checks.wait()
		if most.Load() != 8 || over.Load() < 600 {
			t.Errorf("%d at a time, %d in 10 s; want 8, and each slot in use", most.Load(), over.Load())
		}
	})
}

func TestAdaptiveProbes(t *testing.T) {
	c := start(t, settings(), nil)
	c.Apply(live(instance("a")))
	e := c.Load().Endpoints[0]
	p := Probe{Interval: time.Second, Fall: 3, Rise: 2, Adaptive: true}
	probed := func(good bool, state ProbeState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		e.probe.lastGood, e.probe.state = good, state
	}
	want := func(when string, d time.Duration) {
		t.Helper()
		if got := c.probeEvery(p, e); got != d {
			t.Errorf("%s: next in %v, want %v", when, got, d)
		}
	}
	probed(true, ProbePassing)
	want("idle", time.Second)
	attempts(e, 3, 0)
	want("requests succeed", 2*time.Second)
	want("no more requests", time.Second)
	e.Begin()
	want("a request hangs", time.Second)
	e.End(policies.Outcome{Class: policies.HeaderTimeout})
	want("a request failed", time.Second/4)
	attempts(e, 1, 0)
	want("one succeeds", 2*time.Second)
	probed(false, ProbePassing)
	attempts(e, 1, 0)
	want("a probe failed", time.Second/4)
	probed(false, ProbeFailing)
	want("it is down", time.Second)
	probed(true, ProbeFailing)
	want("it may be coming back", time.Second/4)
	p.Adaptive = false
	want("it is not to adapt", time.Second)
}
