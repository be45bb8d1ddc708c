package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/proxyproto"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// believing is a configuration whose listener reads PROXY headers of networks.
func believing(required bool, networks ...netip.Prefix) Config {
	return Config{ProxyProtocol: map[string]*ProxyProtocol{"http": {Trusted: networks, Required: required, Timeout: 200 * time.Millisecond}}}
}

// from returns the PROXY header of a client.
func from(version int, source string) string {
	return string(proxyproto.Append(nil, version, netip.MustParseAddrPort(source), netip.MustParseAddrPort("198.51.100.1:443")))
}

func TestPROXY(t *testing.T) {
	t.Run("the client is whom a header names, in either version", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, loopback...)}, e)
		for version, source := range map[int]string{1: "192.0.2.7:4711", 2: "[2001:db8::7]:4711"} {
			c := g.dial()
			c.Send(from(version, source))
			for range 2 {
				c.Get("/")
			}
			all := e.Requests()
			host, _, _ := net.SplitHostPort(source)
			for _, r := range all[len(all)-2:] {
				if got := r.Header.Get("X-Forwarded-For"); got != host {
					t.Errorf("version %d: the endpoint hears of %s", version, got)
				}
			}
		}
	})
	t.Run("a header may come in pieces, and with the request behind it", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, loopback...)}, e)
		c := g.dial()
		text := from(1, "192.0.2.7:4711") + gatewaytest.Head("GET", "/")
		c.Send(text[:9])
		c.Send(text[9:31])
		c.Send(text[31:])
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 200 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("TLS and HTTP/2 begin behind it", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g, config := secured(t, options{config: believing(true, loopback...)}, e)
		config.NextProtos = []string{"h2"}
		client := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, g.address)
				if err != nil {
					return nil, err
				}
				if _, err := io.WriteString(c, from(2, "192.0.2.7:4711")); err != nil {
					return nil, err
				}
				s := tls.Client(c, config)
				return s, s.Handshake()
			},
		}}
		defer client.CloseIdleConnections()
		r, err := client.Get("https://shop.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if got := e.Requests()[0].Header; r.ProtoMajor != 2 || got.Get("X-Forwarded-For") != "192.0.2.7" || got.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%s: the endpoint hears %v", r.Proto, got)
		}
	})
	t.Run("HTTP/2 without TLS may begin behind it", func(t *testing.T) {
		config := believing(false, loopback...)
		config.H2C = true
		g := start(t, options{config: config}, gatewaytest.NewEndpoint(t, gatewaytest.Echo()))
		for _, begin := range []string{from(1, "192.0.2.7:4711"), ""} {
			c := g.dial()
			c.Send(begin + preface + "\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			head := make([]byte, 9)
			if _, err := io.ReadFull(c.Reader(), head); err != nil || head[3] != 4 {
				t.Errorf("behind %q: want SETTINGS, got % x, %v", begin, head, err)
			}
		}
	})
	t.Run("a sender that ends TLS says so", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, loopback...)}, e)
		c := g.dial()
		c.Send("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x14" + "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\x12\x67" + "\x01\xbb" +
			"\x20\x00\x05" + "\x01\x00\x00\x00\x00")
		c.Get("/")
		if got := e.Requests()[0].Header; got.Get("X-Forwarded-Proto") != "https" || !strings.Contains(got.Get("Forwarded"), "for=192.0.2.7;proto=https") {
			t.Errorf("the endpoint hears %v", got)
		}
	})
	t.Run("whoever speaks for itself is served as itself", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, loopback...)}, e)
		for _, header := range []string{"PROXY UNKNOWN\r\n", string(proxyproto.AppendLocal(nil, 2, netip.AddrPort{}, netip.AddrPort{}))} {
			c := g.dial()
			c.Send(header)
			c.Get("/")
		}
		for _, r := range e.Requests() {
			if got := r.Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("the endpoint hears of %s", got)
			}
		}
	})
	t.Run("from a peer that is not trusted it is no request", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, netip.MustParsePrefix("10.0.0.0/8"))}, e)
		for version := range 2 {
			c := g.dial()
			c.Send(from(version+1, "192.0.2.7:4711") + gatewaytest.Head("GET", "/"))
			if r, err := c.Next("GET"); err != nil || r.StatusCode != 400 || !strings.Contains(r.Text, "proxy_header") {
				t.Errorf("version %d: %+v, %v", version+1, r, err)
			}
		}
		if n := len(e.Requests()); n > 0 {
			t.Errorf("%d requests came through", n)
		}
		g.dial().Get("/")
	})
	t.Run("a trusted peer without a good one is closed, counted and told of once", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(true, loopback...)}, e)
		var told bytes.Buffer
		g.log = slog.New(slog.NewTextHandler(&told, nil))
		for _, begin := range []string{gatewaytest.Head("GET", "/"), "PROXY TCP4 nobody\r\n" + gatewaytest.Head("GET", "/"), "PROXY TCP4 192."} {
			c := g.dial()
			c.Send(begin)
			if b, err := io.ReadAll(c.Reader()); len(b) > 0 {
				t.Errorf("%q is answered %q, %v", begin, b, err)
			}
		}
		gatewaytest.Eventually(t, "three are counted", func() bool { return g.Stats().Introductions == 3 })
		if n := len(e.Requests()); n > 0 {
			t.Errorf("%d requests came through", n)
		}
		if got := told.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "127.0.0.1") || !strings.Contains(got, "listener=http") {
			t.Errorf("told: %s", got)
		}
	})
	t.Run("one that need not send a header is served as itself, but a bad one is bad", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{config: believing(false, loopback...)}, e)
		g.dial().Get("/")
		c := g.dial()
		c.Send("PROXY TCP4 nobody\r\n" + gatewaytest.Head("GET", "/"))
		if b, err := io.ReadAll(c.Reader()); len(b) > 0 || g.Stats().Introductions != 1 {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("a check that only connects is no mistake", func(t *testing.T) {
		g := start(t, options{config: believing(true, loopback...)}, gatewaytest.NewEndpoint(t, gatewaytest.Echo()))
		c, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		gatewaytest.Eventually(t, "it is accepted", func() bool { return g.open() == 1 })
		_ = c.Close()
		gatewaytest.Eventually(t, "it is closed", func() bool { return g.open() == 0 })
		if n := g.Stats().Introductions; n != 0 {
			t.Errorf("%d counted", n)
		}
	})
	t.Run("the limit of connections is of the client", func(t *testing.T) {
		config := believing(true, loopback...)
		config.MaxClientConns = 1
		g := start(t, options{config: config}, gatewaytest.NewEndpoint(t, gatewaytest.Echo()))
		for i := range 3 {
			c := g.dial()
			c.Send(from(1, fmt.Sprintf("192.0.2.%d:4711", i)))
			c.Get("/")
		}
		c := g.dial()
		c.Send(from(1, "192.0.2.1:4712"))
		if err := c.Ended(); err != nil || g.Stats().TurnedAway != 1 {
			t.Errorf("a second connection of a client: %v, %d refused", err, g.Stats().TurnedAway)
		}
	})
}

func TestPROXYToEndpoints(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %d, TLS %v: no connection is of two clients", version, secure), func(t *testing.T) {
				e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
				inner, trust := (*gateway)(nil), (*tls.Config)(nil)
				if secure {
					inner, trust = secured(t, options{config: believing(true, loopback...)}, e)
				} else {
					inner = start(t, options{config: believing(true, loopback...)}, e)
				}
				pool := upstream.Config{ProxyProtocol: version}
				if secure {
					pool.TLS = func() *tls.Config { return trust }
				}
				config := believing(true, loopback...)
				config.Via = "outer"
				outer := startAt(t, options{config: config, pool: pool}, inner.address)
				var clients [3]*gatewaytest.Client
				for i := range clients {
					clients[i] = outer.dial()
					clients[i].Send(from(2, fmt.Sprintf("192.0.2.%d:4711", i)))
				}
				for n := range 4 * len(clients) {
					i := n % len(clients)
					if r := clients[i].Get("/"); r.StatusCode != 200 {
						t.Fatal(r)
					}
					all := e.Requests()
					if got, want := all[len(all)-1].Header.Get("X-Forwarded-For"), fmt.Sprintf("192.0.2.%d", i); got != want {
						t.Errorf("client %s is %s to the endpoint", want, got)
					}
				}
				if s := outer.pool(0).Stats(); s.Idle != 0 || s.Reuses != 0 {
					t.Errorf("connections are kept: %+v", s)
				}
			})
		}
	}
	t.Run("connections from before are not used for it", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		inner := start(t, options{config: believing(false, loopback...)}, e)
		outer := startAt(t, options{config: Config{Via: "outer"}}, inner.address)
		outer.dial().Get("/")
		outer.pool(0).Configure(upstream.Config{ProxyProtocol: 1, MaxConns: 1})
		for range 2 {
			outer.dial().Get("/")
		}
		if s := outer.pool(0).Stats(); s.Reuses != 0 || s.Dials != 3 {
			t.Errorf("%+v", s)
		}
	})
}
