package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestExpect: who waits for a 100 gets the endpoint's word (RFC 9110, section 10.1.1).
func TestExpect(t *testing.T) {
	ask := gatewaytest.Head("POST", "/", "Expect: 100-continue", "Content-Length: 4")
	t.Run("the client sends its body once the endpoint wants it", func(t *testing.T) {
		asked := make(chan struct{})
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			<-asked
			x.Send("HTTP/1.1 100 Continue\r\n\r\n")
			gatewaytest.Echo()(x)
		})
		c := start(t, options{}, e).dial()
		c.Send(ask)
		gatewaytest.Eventually(t, "the endpoint has the head", func() bool { return e.Accepted() == 1 })
		close(asked)
		if r, err := c.Head("POST"); err != nil || r.StatusCode != http.StatusContinue {
			t.Fatalf("got %v, %v; want 100", r, err)
		}
		c.Send("body")
		if r, err := c.Next("POST"); err != nil || r.Text != "body" {
			t.Fatalf("got %v, %v", r, err)
		}
		if r := c.Get("/"); r.StatusCode != 200 {
			t.Errorf("the next request on the connection got %d", r.StatusCode)
		}
		if h := e.Requests()[0].Header.Get("Expect"); h != "100-continue" {
			t.Errorf("endpoint got Expect: %q", h)
		}
	})
	t.Run("an endpoint that refuses gets no body, and the client is not told to send one", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { x.Send(gatewaytest.Answer(401, "who are you?")) })
		c := start(t, options{}, e).dial()
		c.Send(ask)
		if r, err := c.Next("POST"); err != nil || r.StatusCode != 401 || r.Text != "who are you?" || !r.Close {
			t.Fatalf("got %v, %v; want 401 and the end of the connection", r, err)
		}
	})
	t.Run("an endpoint that knows nothing of it gets the body after a second", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		c := start(t, options{}, e).dial()
		c.Send(ask)
		if r, err := c.Head("POST"); err != nil || r.StatusCode != http.StatusContinue {
			t.Fatalf("got %v, %v; want 100", r, err)
		}
		c.Send("body")
		if r, err := c.Next("POST"); err != nil || r.Text != "body" {
			t.Fatalf("got %v, %v", r, err)
		}
	})
	t.Run("a client that does not wait is not told", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			_ = x.ReadBody()
			x.Send("HTTP/1.1 100 Continue\r\n\r\n" + gatewaytest.Answer(200, "done"))
		})
		if r := start(t, options{}, e).dial().Post("/", "body"); r.StatusCode != 200 || r.Text != "done" {
			t.Errorf("got %d %q", r.StatusCode, r.Text)
		}
	})
	t.Run("an endpoint that dies before it answers is no reason to send the body", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { x.Reset() })
		c := start(t, options{}, e).dial()
		c.Send(ask)
		if r, err := c.Next("POST"); err != nil || r.StatusCode != 502 {
			t.Fatalf("got %v, %v; want 502", r, err)
		}
	})
}

func TestInterimResponses(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x-a\r\nX-A: 1\r\n\r\n"
	e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 100 Continue\r\n\r\n"+hints+hints+gatewaytest.Answer(200, "final")))
	g := start(t, options{}, e)
	c := g.dial()
	c.Send(gatewaytest.Head("GET", "/"))
	for range 2 {
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 103 || r.Header.Get("Link") != "</x>" || r.Header.Get("X-A") != "" || r.Header.Get("Date") != "" {
			t.Fatalf("got %v, %v; want 103", r, err)
		}
	}
	if r, err := c.Next("GET"); err != nil || r.Text != "final" || r.Header.Get("Link") != "" {
		t.Errorf("got %v, %v", r, err)
	}
	old := g.dial()
	if r := old.Do("GET / HTTP/1.0\r\nHost: a\r\n\r\n"); r.StatusCode != 200 {
		t.Errorf("an HTTP/1.0 client got %d; want no interim responses", r.StatusCode)
	}
}

func TestTrailers(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\n\r\n"
	e := gatewaytest.NewEndpoint(t, gatewaytest.Raw(response))
	g := start(t, options{}, e)
	for fields, want := range map[string]string{"TE: trailers": "6", "TE: gzip;q=0.5, Trailers": "6", "X: y": ""} {
		r := g.dial().Get("/", fields, "Connection: TE")
		if r.Text != "abc" || r.Trailer.Get("X-Sum") != want || len(r.Trailer) > 1 {
			t.Errorf("%s: got %q, trailers %v; want X-Sum %q and no other", fields, r.Text, r.Trailer, want)
		}
	}
	if got := e.Requests()[0].Header; e.Count("") != 3 || got.Get("Te") != "trailers" && got.Get("Te") != "" {
		t.Errorf("the endpoint got %v", got)
	}
	c := g.dial()
	raw := make(chan string, 1)
	e.Script(func(x *gatewaytest.Exchange) {
		raw <- x.ReadRaw(len("1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"))
		x.Send(gatewaytest.Answer(200, ""))
	})
	c.Send(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked") + "1;x=y\r\nx\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nAuthorization: x\r\n\r\n")
	if r, err := c.Next("POST"); err != nil || r.StatusCode != 200 {
		t.Fatal(r, err)
	}
	if got := <-raw; !strings.Contains(got, "X-Sum: 1") || strings.Contains(got, "evil") {
		t.Errorf("the endpoint read %q", got)
	}
}
