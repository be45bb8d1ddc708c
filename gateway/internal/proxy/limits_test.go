package proxy

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestLimits(t *testing.T) {
	t.Run("a body that is said to be too large is not read", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		c := start(t, options{config: Config{MaxBody: 10}}, e).dial()
		if r := c.Post("/", strings.Repeat("x", 10)); r.StatusCode != 200 {
			t.Errorf("ten bytes of ten: got %d", r.StatusCode)
		}
		c.Send(gatewaytest.Head("POST", "/", "Content-Length: 11"))
		if r, err := c.Next("POST"); err != nil || r.StatusCode != 413 || !strings.Contains(r.Text, "large_body") || !r.Close {
			t.Errorf("eleven: got %v, %v", r, err)
		}
		if n := e.Count("POST"); n != 1 {
			t.Errorf("the endpoint got %d requests; want 1", n)
		}
	})
	t.Run("a body that turns out too large is cut off", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		c := start(t, options{config: Config{MaxBody: 10}}, e).dial()
		c.Send(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked") + "a\r\n0123456789\r\n1\r\nx\r\n")
		if r, err := c.Next("POST"); err != nil || r.StatusCode != 413 {
			t.Errorf("got %v, %v", r, err)
		}
		if got := e.Executed("POST"); len(got) != 0 {
			t.Errorf("the endpoint took %q for whole", got)
		}
	})
	t.Run("a connection ends in good order after its last request", func(t *testing.T) {
		c := start(t, options{config: Config{MaxConnRequests: 2}}, gatewaytest.NewEndpoint(t, ok)).dial()
		if r := c.Get("/"); r.Close {
			t.Error("the first of two ends the connection")
		}
		if r := c.Get("/"); r.StatusCode != 200 || !r.Close {
			t.Errorf("the second: got %d, close %v", r.StatusCode, r.Close)
		}
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a client has so many connections, and a new one when one ends", func(t *testing.T) {
		g := start(t, options{config: Config{MaxClientConns: 2}}, gatewaytest.NewEndpoint(t, ok))
		one, two := g.dial(), g.dial()
		one.Get("/")
		two.Get("/")
		third, err := net.Dial("tcp", g.address) // it may be over before it has begun
		if err == nil {
			defer third.Close()
			_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = third.Read(make([]byte, 1))
		}
		if err == nil || isTimeout(err) {
			t.Errorf("the third: %v", err)
		}
		if n := g.Stats().TurnedAway; n != 1 {
			t.Errorf("%d connections turned away; want 1", n)
		}
		_ = one.Close()
		gatewaytest.Eventually(t, "the first is forgotten", func() bool { return g.open() == 1 })
		if r := g.dial().Get("/"); r.StatusCode != 200 {
			t.Errorf("got %d", r.StatusCode)
		}
	})
}

func TestMaxForwards(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, ok)
	g := start(t, options{}, e)
	for _, c := range []struct{ method, field, forwarded string }{
		{"OPTIONS", "Max-Forwards: 3", "2"}, {"OPTIONS", "Max-Forwards: 1", "0"}, {"GET", "Max-Forwards: 0", "0"}, {"OPTIONS", "Max-Forwards: x", "x"},
	} {
		if r := g.dial().Do(gatewaytest.Head(c.method, "/", c.field)); r.StatusCode != 200 {
			t.Errorf("%s, %s: got %d", c.method, c.field, r.StatusCode)
		}
		all := e.Requests()
		if got := all[len(all)-1].Header.Get("Max-Forwards"); got != c.forwarded {
			t.Errorf("%s, %s: forwarded %q; want %q", c.method, c.field, got, c.forwarded)
		}
	}
	n := e.Count("")
	c := g.dial()
	if r := c.Do(gatewaytest.Head("OPTIONS", "*", "Max-Forwards: 0")); r.StatusCode != 204 || r.Header.Get("Allow") == "" || e.Count("") != n {
		t.Errorf("got %d %v; want 204, Allow and nothing forwarded", r.StatusCode, r.Header)
	}
	if r := c.Get("/"); r.StatusCode != 200 {
		t.Errorf("the next request got %d", r.StatusCode)
	}
}
