package proxy

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// A connection is idle, and may be closed, only when its last response is out.
func TestPhases(t *testing.T) {
	come, gate := make(chan struct{}), make(chan struct{})
	e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { come <- struct{}{}; <-gate; x.Send(gatewaytest.Answer(200, "ok")) })
	g := start(t, options{}, e)
	only := func() *conn {
		g.mu.Lock()
		defer g.mu.Unlock()
		for c := range g.conns {
			return c
		}
		return nil
	}
	client := g.dial()
	gatewaytest.Eventually(t, "the connection is accepted", func() bool { return only() != nil })
	c := only()
	at := func(p phase) {
		t.Helper()
		gatewaytest.Eventually(t, fmt.Sprint("phase ", p), func() bool { return c.is(p) })
	}
	at(waiting)
	client.Send("GET / HTTP/1.1\r\n")
	at(heading)
	client.Send("Host: a\r\n\r\n")
	<-come
	at(busy)
	close(gate)
	if r, err := client.Next("GET"); err != nil || r.Text != "ok" {
		t.Errorf("got %v, %v", r, err)
	}
	at(waiting)
}

func TestOnlyIdleConnectionsAreClosed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	gatewaytest.Dial(t, ln.Addr().String())
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := New(slog.New(slog.DiscardHandler))
	c := s.newConn(accepted.(*net.TCPConn), "http", 0)
	s.remember(c)
	for _, p := range []phase{heading, busy, waiting} {
		c.enter(p)
		s.closeIdle()
		if _, err := c.Write([]byte("x")); (err != nil) != (p == waiting) {
			t.Errorf("phase %d: write after closing what is idle: %v", p, err)
		}
	}
}

func TestRequest(t *testing.T) {
	t.Run("a GET comes through and back", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "hello", "X-From: endpoint"))
		g := start(t, options{}, e)
		c := g.dial()
		for range 3 {
			r := c.Get("/a//b/%7Ec%2Fd?q=1&r=%20")
			if r.StatusCode != 200 || r.Text != "hello" || r.Header.Get("X-From") != "endpoint" {
				t.Fatalf("got %d %q %v", r.StatusCode, r.Text, r.Header)
			}
		}
		got := e.Requests()
		if len(got) != 3 || got[0].Target != "/a//b/%7Ec%2Fd?q=1&r=%20" || got[0].Host != "test" {
			t.Errorf("endpoint got %+v; want the target as it was sent, three times", got)
		}
		if n := e.Accepted(); n != 1 {
			t.Errorf("%d connections to the endpoint; want 1 for three requests", n)
		}
	})
	t.Run("bodies of every size and framing arrive once and whole", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{}, e)
		c := g.dial()
		for _, n := range []int{0, 1, 8191, 8192, 8193, 65535, 65536, 65537, 300000} {
			body := strings.Repeat("x", n)
			if r := c.Post("/", body); r.Text != body {
				t.Fatalf("body of %d bytes: got %d back", n, len(r.Text))
			}
			chunks := []byte(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked"))
			for rest := body; len(rest) > 0; {
				k := min(len(rest), 7000)
				chunks = fmt.Appendf(chunks, "%x;ext=1\r\n%s\r\n", k, rest[:k])
				rest = rest[k:]
			}
			if r := c.Do(string(chunks) + "0\r\nX-Trailer: 1\r\n\r\n"); r.Text != body {
				t.Fatalf("chunked body of %d bytes: got %d back", n, len(r.Text))
			}
		}
		if n := len(e.Executed("POST")); n != 18 {
			t.Errorf("endpoint executed %d requests; want 18", n)
		}
	})
	t.Run("responses of every framing keep the connection", func(t *testing.T) {
		big := strings.Repeat("y", 100000)
		for name, act := range map[string]gatewaytest.Act{
			"fixed":   gatewaytest.Respond(200, big),
			"chunked": gatewaytest.Raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(big), big)),
			"close":   gatewaytest.RawClose("HTTP/1.1 200 OK\r\n\r\n" + big),
			"http10":  gatewaytest.RawClose("HTTP/1.0 200 OK\r\n\r\n" + big),
		} {
			g := start(t, options{}, gatewaytest.NewEndpoint(t, act))
			c := g.dial()
			for range 2 {
				if r := c.Get("/"); r.Text != big || r.Proto != "HTTP/1.1" || r.Close {
					t.Errorf("%s: got %d bytes, %s, close %v", name, len(r.Text), r.Proto, r.Close)
				}
			}
		}
	})
	t.Run("HEAD, 204 and 304 have no body and keep their fields", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t,
			gatewaytest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
			gatewaytest.Raw("HTTP/1.1 200 OK\r\nX-A: 2\r\n\r\n"),
			gatewaytest.Raw("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
			gatewaytest.Raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nEtag: \"x\"\r\n\r\n"),
			gatewaytest.Respond(200, "end"))
		c := start(t, options{}, e).dial()
		if r := c.Do(gatewaytest.Head("HEAD", "/")); r.ContentLength != 1000 {
			t.Errorf("HEAD: length %d; want 1000", r.ContentLength)
		}
		if r := c.Do(gatewaytest.Head("HEAD", "/")); r.Header.Get("X-A") != "2" || r.Header.Get("Transfer-Encoding") != "" || r.Close {
			t.Errorf("HEAD without length: %v", r.Response)
		}
		if r := c.Get("/"); r.StatusCode != 204 || r.Header.Get("X-A") != "1" {
			t.Errorf("204: %v", r.Response)
		}
		if r := c.Get("/"); r.StatusCode != 304 || r.Header.Get("Etag") != `"x"` || r.Header.Get("Content-Length") != "77" {
			t.Errorf("304: %v", r.Response)
		}
		if r := c.Get("/"); r.Text != "end" {
			t.Errorf("after them: %q", r.Text)
		}
		if n := e.Accepted(); n != 1 {
			t.Errorf("%d connections; want 1", n)
		}
	})
	t.Run("pipelined requests are answered in order", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "1"), gatewaytest.Respond(200, strings.Repeat("2", 50000)), gatewaytest.Respond(200, "3"))
		c := start(t, options{}, e).dial()
		c.Send(gatewaytest.Head("GET", "/1") + gatewaytest.Head("POST", "/2", "Content-Length: 3") + "abc" + gatewaytest.Head("GET", "/3"))
		for i, want := range []int{1, 50000, 1} {
			r, err := c.Next("GET")
			if err != nil || len(r.Text) != want || r.Text[0] != '1'+byte(i) {
				t.Fatalf("response %d: %v, %.10q; want %d bytes", i+1, err, r.Text, want)
			}
		}
	})
	t.Run("HTTP/1.0 clients get what they understand", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t,
			gatewaytest.Respond(200, "kept"),
			gatewaytest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"))
		c := start(t, options{}, e).dial()
		if r := c.Do("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); r.Text != "kept" || r.Header.Get("Connection") != "keep-alive" {
			t.Errorf("got %q, %v", r.Text, r.Header)
		}
		c.Send("GET / HTTP/1.0\r\nHost: old\r\n\r\n")
		all, err := io.ReadAll(c.Reader())
		if err != nil || !strings.HasSuffix(string(all), "\r\n\r\nabcd") || strings.Contains(string(all), "chunked") {
			t.Errorf("got %q, %v; want the content as it is, and then the end", all, err)
		}
		if got := e.Requests(); got[0].Proto != "HTTP/1.1" || got[0].Host == "" {
			t.Errorf("endpoint got %s, host %q; want HTTP/1.1 and a host", got[0].Proto, got[0].Host)
		}
	})
}
