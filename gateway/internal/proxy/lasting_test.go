package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// call2 opens a call of gRPC whose client keeps its side open: what it writes to out is sent.
func (g *gateway) call2(t *testing.T, c *http.Client, path string) (resp *http.Response, out *io.PipeWriter) {
	t.Helper()
	in, out := io.Pipe()
	t.Cleanup(func() { _ = out.Close() })
	r := request2(t, g, "POST", path, in)
	r.Header.Set("Content-Type", "application/grpc")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, out
}

// lasting is an endpoint whose streams go on for as long as it is told to.
func lasting(over chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(200)
		_ = control.Flush()
		buf := make([]byte, 1)
		switch r.URL.Path {
		case "/echo":
			for {
				if _, err := r.Body.Read(buf); err != nil {
					return
				}
				_, _ = w.Write(buf)
				_ = control.Flush()
			}
		case "/tick":
			for tick := time.Tick(10 * time.Millisecond); ; {
				select {
				case <-tick:
					_, _ = w.Write(buf)
					_ = control.Flush()
				case <-r.Context().Done():
					return
				}
			}
		case "/listen":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/hang":
			select {
			case <-r.Context().Done():
			case <-over:
			}
		}
	}
}

// TestStreamsThatLast: calls of gRPC and streams of events may be silent for longer than a body may pause.
func TestStreamsThatLast(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	address := endpoint2(t, lasting(over))
	c := Config{H2C: true, BodyTimeout: 50 * time.Millisecond}
	g := startAt(t, options{config: c, pool: upstream.Config{HTTP2: true}}, address)
	more := make(chan struct{})
	events := start(t, options{config: c}, gatewaytest.NewEndpoint(t, gatewaytest.Trickle(more,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n", "7\r\ndata: a\r\n", "0\r\n\r\n")))
	reader := events.dial()
	reader.Send(gatewaytest.Head("GET", "/"))
	more <- struct{}{}
	r, err := reader.Head("GET")
	if err != nil {
		t.Fatal(err)
	}
	client := g.client2()
	resp, out := g.call2(t, client, "/echo")

	for range 4 { // bodies that pause tell the time
		if resp, err := client.Do(request2(t, g, "GET", "/hang", nil)); err == nil {
			if _, err = io.ReadAll(resp.Body); err == nil {
				t.Error("a response that pauses for longer than it may was not cut off")
			}
			_ = resp.Body.Close()
		}
	}
	for _, b := range []string{"a", "b"} {
		if _, err := io.WriteString(out, b); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.LimitReader(resp.Body, 1)); string(got) != b || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, b)
		}
	}
	more <- struct{}{}
	more <- struct{}{}
	if b, err := io.ReadAll(r.Body); string(b) != "data: a" || err != nil {
		t.Errorf("got the events %q, %v", b, err)
	}
}

// TestCallsThatAreSilent: a call of gRPC ends when neither side has said anything for as long as a tunnel may be silent, and not
// because one of them has not.
func TestCallsThatAreSilent(t *testing.T) {
	const silence = 300 * time.Millisecond
	over := make(chan struct{})
	defer close(over)
	address := endpoint2(t, lasting(over))
	g := startAt(t, options{config: Config{H2C: true, TunnelTimeout: silence}, pool: upstream.Config{HTTP2: true}}, address)
	c := g.client2()
	ticking, _ := g.call2(t, c, "/tick")
	_, talking := g.call2(t, c, "/listen")
	silent, _ := g.call2(t, c, "/echo")
	for began := time.Now(); time.Since(began) < 3*silence; {
		if _, err := io.ReadFull(ticking.Body, make([]byte, 1)); err != nil {
			t.Fatalf("a call whose endpoint talks was ended: %v", err)
		}
		if _, err := io.WriteString(talking, "a"); err != nil {
			t.Fatalf("a call whose client talks was ended: %v", err)
		}
	}
	if _, err := io.ReadAll(silent.Body); err == nil {
		t.Error("a call in which nobody talks came to a good end")
	}
}

// TestCallsThatWaitHearOfFailures: a client of gRPC that keeps its side open is told when the endpoint dies before its answer.
func TestCallsThatWaitHearOfFailures(t *testing.T) {
	come := make(chan struct{}, 1)
	e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
		_ = x.ReadPart(3)
		come <- struct{}{}
		x.Reset()
	})
	g := start(t, options{config: Config{H2C: true}}, e)
	in, out := io.Pipe()
	defer out.Close()
	go func() { _, _ = io.Copy(out, strings.NewReader("abc")) }()
	r := request2(t, g, "POST", "/", in)
	r.Header.Set("Content-Type", "application/grpc")
	resp, err := g.client2().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if <-come; resp.Header.Get("Grpc-Status") != "14" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}
