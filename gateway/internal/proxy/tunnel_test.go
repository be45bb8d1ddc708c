package proxy

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// websocket asks for a WebSocket as RFC 6455 does in section 1.2.
func websocket() string {
	return gatewaytest.Head("GET", "/chat", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// parrot agrees to the other protocol, greets, and sends back what it gets.
func parrot(x *gatewaytest.Exchange) {
	_ = x.ReadBody()
	x.Send(switching + "hello ")
	for {
		s := x.ReadRaw(1)
		if s == "" {
			x.Close()
			return
		}
		x.Send(s)
	}
}

func TestTunnel(t *testing.T) {
	t.Run("bytes pass both ways, those that came early too, until the client ends", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, parrot)
		g := start(t, options{}, e)
		c := g.dial()
		c.Send(websocket() + "early ")
		r, err := c.Head("GET")
		if err != nil || r.StatusCode != 101 || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-WebSocket-Accept") == "" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			t.Fatalf("got %v, %v", r, err)
		}
		if got := e.Requests()[0].Header; got.Get("Connection") != "Upgrade" || got.Get("Upgrade") != "websocket" || got.Get("Sec-Websocket-Key") == "" {
			t.Errorf("the endpoint got %v", got)
		}
		if n := g.Stats().Tunnels; n != 1 || g.cluster.Load().Endpoints[0].Inflight() != 1 {
			t.Errorf("%d tunnels, %d in flight at the endpoint; want 1 and 1", n, g.cluster.Load().Endpoints[0].Inflight())
		}
		c.Send("late")
		_ = c.CloseWrite()
		b, err := io.ReadAll(c.Reader())
		if string(b) != "hello early late" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		gatewaytest.Eventually(t, "no tunnel", func() bool { return g.Stats().Tunnels == 0 })
	})
	t.Run("the end of the endpoint is the end for the client", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.RawClose(switching+"bye")))
		c := g.dial()
		c.Send(websocket())
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		if b := make([]byte, 3); true {
			if _, err := io.ReadFull(c.Reader(), b); err != nil || string(b) != "bye" {
				t.Errorf("got %q, %v", b, err)
			}
		}
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
	})
	t.Run("one that is idle ends", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, parrot)
		g := start(t, options{config: Config{TunnelTimeout: 50 * time.Millisecond}}, e)
		c := g.dial()
		c.Send(websocket())
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		if b, err := io.ReadAll(c.Reader()); string(b) != "hello " {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("a client that resets it has not only ended its side", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			_ = x.ReadBody()
			x.Send(switching)
			for x.ReadRaw(1) != "" {
			}
			<-x.Stopped // it would go on
		})
		g := start(t, options{}, e)
		for range 20 {
			c := g.dial()
			c.Send(websocket())
			if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
				t.Fatal(r, err)
			}
			c.Send("a") // while that is passed on
			_ = c.SetLinger(0)
			_ = c.Close()
		}
		gatewaytest.Eventually(t, "no tunnel", func() bool { return g.Stats().Tunnels == 0 })
	})
	t.Run("an endpoint that answers otherwise is heard", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Respond(426, "no")))
		c := g.dial()
		if r := c.Do(websocket()); r.StatusCode != 426 || r.Text != "no" {
			t.Errorf("got %d %q", r.StatusCode, r.Text)
		}
		if r := c.Get("/"); r.StatusCode != 426 {
			t.Errorf("the next request got %d", r.StatusCode)
		}
	})
	t.Run("an endpoint that switches to something else has failed", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Raw(strings.Replace(switching, "websocket", "chat", 1))))
		if r := g.dial().Do(websocket()); r.StatusCode != 502 {
			t.Errorf("got %d; want 502", r.StatusCode)
		}
	})
	t.Run("a 101 that nobody asked for has failed", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Raw(switching)))
		if r := g.dial().Get("/"); r.StatusCode != 502 {
			t.Errorf("got %d; want 502", r.StatusCode)
		}
	})
	t.Run("a failed attempt is made elsewhere", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Respond(503, "")), gatewaytest.NewEndpoint(t, parrot))
		c := g.dial()
		c.Send(websocket())
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
			t.Errorf("got %v, %v; want 101 of the second", r, err)
		}
		_ = c.Close()
	})
}

// TestClientGone: what nobody waits for any more is given up.
func TestClientGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
		_ = x.ReadBody()
		if x.Request.Target == "/stream" {
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		}
		began <- struct{}{}
		_ = x.ReadRaw(1) // until the gateway closes
		ended <- struct{}{}
		x.Close()
	})
	g := start(t, options{}, e)
	for _, target := range []string{"/wait", "/stream"} {
		c := g.dial()
		c.Send(gatewaytest.Head("GET", target))
		<-began
		if target == "/stream" {
			if r, err := c.Head("GET"); err != nil || r.StatusCode != 200 {
				t.Fatal(r, err)
			} else if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Close()
		<-ended
	}
	g.settled()
	s := g.Stats()
	if got := s.ClientsGone; got != 2 {
		t.Errorf("%d clients gone; want 2", got)
	}
	if n := s.Clusters[0].Retries["policy"]; e.Count("GET") != 2 {
		t.Errorf("the endpoint got %d requests, %v; want no retries", e.Count("GET"), n)
	}
	patient := start(t, options{config: Config{HalfClose: true}}, gatewaytest.NewEndpoint(t, gatewaytest.Slow(4*sweepEvery, 200, "late")))
	c := patient.dial()
	c.Send(gatewaytest.Head("GET", "/"))
	_ = c.CloseWrite()
	if r, err := c.Next("GET"); err != nil || r.Text != "late" {
		t.Errorf("a client that closed its side got %v, %v; want its answer", r, err)
	}
}
