package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// client2 speaks HTTP/2 without TLS to the gateway, on one connection.
func (g *gateway) client2() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	g.tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (g *gateway) ask2(c *http.Client, r *http.Request) (*http.Response, string) {
	g.tb.Helper()
	resp, err := c.Do(r)
	if err != nil {
		g.tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.tb.Fatalf("after %q: %v", b, err)
	}
	return resp, string(b)
}

func request2(t *testing.T, g *gateway, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.address+target, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHTTP2(t *testing.T) {
	h2c := options{config: Config{H2C: true}}
	t.Run("a GET comes through and back", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "hello", "X-From: endpoint", "Connection: x-a", "X-A: 1", "Keep-Alive: 5", "Set-Cookie: a=1", "Set-Cookie: b=2"))
		g := start(t, h2c, e)
		r := request2(t, g, "GET", "/a//b/%2e%2F?q=%zz", nil)
		r.Header["Cookie"] = []string{"a=1", "b=2"}
		r.Header.Set("X-Mine", "1")
		r.Host = "shop.example.com"
		resp, body := g.ask2(g.client2(), r)
		if resp.ProtoMajor != 2 || resp.StatusCode != 200 || body != "hello" || resp.Header.Get("X-From") != "endpoint" || resp.Header.Get("X-A") != "" ||
			resp.Header.Get("Keep-Alive") != "" || len(resp.Header["Set-Cookie"]) != 2 || resp.Header.Get("Via") != "1.1 weir" || resp.ContentLength != 5 || resp.Header.Get("Date") == "" {
			t.Errorf("got %v %q", resp, body)
		}
		got := e.Requests()[0]
		if got.Method != "GET" || got.Target != "/a//b/%2e%2F?q=%zz" || got.Host != "shop.example.com" || got.Header.Get("Cookie") != "a=1; b=2" ||
			got.Header.Get("X-Mine") != "1" || got.Header.Get("Via") != "2 weir" || got.Chunked || got.Length > 0 || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("the endpoint got %+v", got)
		}
	})
	t.Run("bodies go both ways, with and without a length", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, h2c, e)
		c := g.client2()
		large := strings.Repeat("0123456789abcdef", 20_000)
		for _, body := range []string{"", "small", large} {
			for _, known := range []bool{true, false} {
				var source io.Reader = strings.NewReader(body)
				if !known {
					source = io.MultiReader(source)
				}
				r := request2(t, g, "POST", "/", source)
				if resp, got := g.ask2(c, r); resp.StatusCode != 200 || got != body {
					t.Errorf("%d bytes, length known %v: got %d, %d bytes", len(body), known, resp.StatusCode, len(got))
				}
			}
		}
	})
	t.Run("trailers and interim responses pass", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGrpc-Status: 0\r\nHost: evil\r\n\r\n"))
		g := start(t, h2c, e)
		r := request2(t, g, "GET", "/", nil)
		r.Header.Set("Te", "trailers")
		hints := ""
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints += fmt.Sprint(code, header.Get("Link"))
			return nil
		}}))
		resp, body := g.ask2(g.client2(), r)
		if body != "abc" || resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Host") != "" || hints != "103</x>" || resp.Header.Get("Link") != "" {
			t.Errorf("got %q, trailers %v, hints %q, %v", body, resp.Trailer, hints, resp.Header)
		}
		if got := e.Requests()[0].Header.Get("Te"); got != "trailers" {
			t.Errorf("the endpoint got TE %q", got)
		}
	})
	t.Run("our own answers, and HEAD", func(t *testing.T) {
		g := start(t, options{config: Config{H2C: true, Routes: []Route{{Name: "a", Path: "/a"}}}}, gatewaytest.NewEndpoint(t, ok))
		c := g.client2()
		for _, q := range []struct {
			method, target string
			status         int
		}{{"GET", "/b", 404}, {"GET", "/a/../b", 400}, {"HEAD", "/b", 404}, {"HEAD", "/a", 200}, {"get", "/a", 501}, {"TRACE", "/a", 405}} {
			if resp, body := g.ask2(c, request2(t, g, q.method, q.target, nil)); resp.StatusCode != q.status || q.method == "HEAD" && body != "" {
				t.Errorf("%s %s: got %d %q; want %d", q.method, q.target, resp.StatusCode, body, q.status)
			}
		}
	})
	t.Run("a response that is cut off does not look whole", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.RawReset("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"))
		g := start(t, h2c, e)
		resp, err := g.client2().Do(request2(t, g, "GET", "/", nil))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Error("no error")
		}
	})
	t.Run("a request that is given up ends at the endpoint, and others on the connection go on", func(t *testing.T) {
		began, ended := make(chan struct{}), make(chan struct{})
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			_ = x.ReadBody()
			if x.Request.Target == "/wait" {
				began <- struct{}{}
				_ = x.ReadRaw(1)
				ended <- struct{}{}
				x.Close()
				return
			}
			x.Send(gatewaytest.Answer(200, "other"))
		})
		g := start(t, h2c, e)
		c := g.client2()
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := c.Do(request2(t, g, "GET", "/wait", nil).WithContext(ctx)) //nolint:bodyclose // there is none
			failed <- err
		}()
		<-began
		if resp, body := g.ask2(c, request2(t, g, "GET", "/", nil)); resp.StatusCode != 200 || body != "other" {
			t.Errorf("beside it: %d %q", resp.StatusCode, body)
		}
		cancel()
		<-ended
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if g.open() != 1 {
			t.Errorf("%d connections; want 1", g.open())
		}
	})
	t.Run("without the option it is no request", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, ok))
		if _, err := g.client2().Do(request2(t, g, "GET", "/", nil)); err == nil { //nolint:bodyclose // there is none
			t.Error("it was served")
		}
	})
	t.Run("HTTP/1.1 is served beside it, however its bytes come", func(t *testing.T) {
		g := start(t, h2c, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		for _, b := range gatewaytest.Head("PUT", "/") {
			c.Send(string(b))
		}
		if r, err := c.Next("PUT"); err != nil || r.StatusCode != 200 {
			t.Error(r, err)
		}
	})
	t.Run("a shutdown says goodbye, and requests in flight finish", func(t *testing.T) {
		gate, come := make(chan struct{}), make(chan struct{})
		g := start(t, h2c, gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			close(come)
			<-gate
			ok(x)
		}))
		c := g.client2()
		got := make(chan int, 1)
		go func() {
			resp, _ := g.ask2(c, request2(t, g, "GET", "/", nil))
			got <- resp.StatusCode
		}()
		<-come
		down := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			down <- g.Shutdown(ctx)
		}()
		gatewaytest.Eventually(t, "shutdown has begun", g.stopping.Load)
		close(gate)
		if status := <-got; status != 200 {
			t.Errorf("got %d", status)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}
