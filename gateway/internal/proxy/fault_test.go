package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// A response that an endpoint cut off must not look whole to the client, wherever the cut is.
func TestTruncatedResponse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, response := range map[string]string{
		"within a fixed body":        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
		"before a fixed body":        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"before the first chunk":     head,
		"within a size line":         head + "5\r\n12345\r\n5",
		"at the end of a chunk":      head + "5\r\n12345\r\n",
		"within a chunk":             head + "5\r\n123",
		"after a chunk's content":    head + "5\r\n12345",
		"after the last size line":   head + "5\r\n12345\r\n0\r\n",
		"within the trailers":        head + "5\r\n12345\r\n0\r\nX-A: 1\r\n",
		"by a malformed size":        head + "5\r\n12345\r\nxyz\r\n",
		"by content without its end": head + "5\r\n123456\r\n0\r\n\r\n",
		"by a bare LF":               head + "5\n12345\r\n0\r\n\r\n",
	} {
		for ending, act := range map[string]gatewaytest.Act{"close": gatewaytest.RawClose(response), "reset": gatewaytest.RawReset(response)} {
			for _, version := range []string{"1.1", "1.0"} {
				t.Run(strings.Join([]string{name, "by", ending, "to", version}, " "), func(t *testing.T) {
					e := gatewaytest.NewEndpoint(t, act)
					g := start(t, options{}, e)
					c := g.dial()
					c.Send("GET / HTTP/" + version + "\r\nHost: a\r\n\r\n")
					if r, err := c.Next("GET"); err == nil && r.StatusCode == 200 {
						t.Errorf("client read a whole response: %q", r.Text)
					}
					if n := e.Count(""); n != 1 && !(ending == "reset" && n <= 3) {
						t.Errorf("%d attempts; a response that has begun is not asked for again", n)
					}
				})
			}
		}
	}
}

// An upload that a client cut off must not look whole to the endpoint.
func TestTruncatedUpload(t *testing.T) {
	chunked := gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked")
	for name, request := range map[string]string{
		"within a fixed body":       gatewaytest.Head("POST", "/", "Content-Length: 100000") + strings.Repeat("x", 50000),
		"within a size line":        chunked + "5\r\n12345\r\n5",
		"at the end of a chunk":     chunked + "5\r\n12345\r\n",
		"within a chunk":            chunked + "5\r\n123",
		"after the last size line":  chunked + "5\r\n12345\r\n0",
		"by a malformed chunk":      chunked + "5\r\n12345\r\nzz\r\n",
		"by a malformed chunk, big": chunked + "11170\r\n" + strings.Repeat("x", 70000) + "\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan error, 1)
			e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { read <- x.ReadBody(); x.Close() })
			g := start(t, options{}, e)
			c := g.dial()
			c.Send(request)
			_ = c.CloseWrite()
			if err := <-read; err == nil {
				t.Error("endpoint read a whole request")
			}
			g.settled()
			if s := g.Stats().Clusters[0]; s.Attempts[policies.Cancelled] != 1 {
				t.Errorf("attempts %v; want one cancelled, which speaks against nobody", s.Attempts)
			}
			if e.Count("") != 1 || len(e.Executed("POST")) != 0 {
				t.Errorf("%d requests, %d executed; want one, not executed", e.Count(""), len(e.Executed("POST")))
			}
		})
	}
}

// Bytes that an endpoint sends beyond a response never reach another request.
func TestPoisonedConnection(t *testing.T) {
	poison := gatewaytest.Answer(200, "POISON")
	t.Run("together with the response", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw(gatewaytest.Answer(200, "one")+poison), gatewaytest.Respond(200, "two"))
		g := start(t, options{}, e)
		c := g.dial()
		for _, want := range []string{"one", "two"} {
			if r := c.Get("/"); r.Text != want {
				t.Errorf("got %q; want %q", r.Text, want)
			}
		}
		if s := g.pool(0).Stats(); s.Discarded[upstream.Poisoned] != 1 {
			t.Errorf("%+v; want one poisoned connection", s)
		}
	})
	t.Run("later, on the idle connection", func(t *testing.T) {
		for name, inject := range map[string]string{"response": poison, "408": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "one byte": "x"} {
			e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "one"), gatewaytest.Respond(200, "two"))
			g := start(t, options{}, e)
			c := g.dial()
			c.Get("/")
			gatewaytest.Eventually(t, "connection is idle", func() bool { return g.pool(0).Stats().Idle == 1 })
			e.Inject(inject) // loopback: it is there when the write returns
			if r := c.Get("/"); r.Text != "two" {
				t.Errorf("%s: got %q; want %q", name, r.Text, "two")
			}
			if s := g.pool(0).Stats(); s.Discarded[upstream.Poisoned] != 1 {
				t.Errorf("%s: %+v; want one poisoned connection", name, s)
			}
		}
	})
	t.Run("after a response without body", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 204 No Content\r\n\r\nPOISON"), gatewaytest.Respond(200, "two"))
		c := start(t, options{}, e).dial()
		c.Get("/")
		if r := c.Get("/"); r.Text != "two" {
			t.Errorf("got %q", r.Text)
		}
	})
	t.Run("a 101 that nobody asked for", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), gatewaytest.Respond(200, "two"))
		g := start(t, options{}, e)
		if r := g.dial().Get("/"); r.Text != "two" || e.Accepted() != 2 {
			t.Errorf("got %q over %d connections; want a second attempt on another", r.Text, e.Accepted())
		}
	})
	t.Run("two framings end the connection", func(t *testing.T) {
		both := gatewaytest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n")
		e := gatewaytest.NewEndpoint(t, both, gatewaytest.Respond(200, "two"))
		c := start(t, options{}, e).dial()
		if r := c.Get("/"); r.Text != "one" || r.Header.Get("Content-Length") != "" {
			t.Errorf("got %q %v", r.Text, r.Header)
		}
		if r := c.Get("/"); r.Text != "two" || e.Accepted() != 2 {
			t.Errorf("got %q over %d connections; want 2", r.Text, e.Accepted())
		}
	})
}

func TestEarlyResponse(t *testing.T) {
	const size = 8 << 20
	for _, status := range []int{413, 401, 200} {
		for _, framing := range []string{"fixed", "chunked"} {
			t.Run(fmt.Sprint(status, " during a ", framing, " upload reaches the client"), func(t *testing.T) {
				e := gatewaytest.NewEndpoint(t, gatewaytest.Early(gatewaytest.Answer(status, "early", "Connection: close")))
				g := start(t, options{}, e)
				c := g.dial()
				done := make(chan error, 1)
				block := strings.Repeat("x", size)
				go func() {
					if framing == "fixed" {
						_, err := io.WriteString(c, gatewaytest.Head("POST", "/", fmt.Sprintf("Content-Length: %d", size))+block)
						done <- err
					} else {
						_, err := io.WriteString(c, gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked")+fmt.Sprintf("%x\r\n", size)+block+"\r\n0\r\n\r\n")
						done <- err
					}
				}()
				if err := <-done; err != nil {
					t.Errorf("upload: %v; want the client left to finish, so that nothing takes its answer away", err)
				}
				r, err := c.Next("POST")
				if err != nil || r.StatusCode != status || r.Text != "early" || !r.Close {
					t.Errorf("got %v, %v; want %d and Connection: close", r, err, status)
				}
				if n := len(e.Executed("POST")); n != 0 || e.Count("POST") != 1 {
					t.Errorf("%d requests, %d executed; want one, not executed", e.Count("POST"), n)
				}
			})
		}
	}
}

func TestStreaming(t *testing.T) {
	t.Run("each part of a response arrives when it was sent", func(t *testing.T) {
		for name, parts := range map[string][]string{
			"fixed":   {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "one", "two", "end"},
			"chunked": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nend\r\n0\r\n\r\n"},
			"event":   {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nend\r\n0\r\n\r\n"},
		} {
			gate := make(chan struct{})
			g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, parts...)))
			c := g.dial()
			c.Send(gatewaytest.Head("GET", "/"))
			gate <- struct{}{}
			r, err := c.Head("GET")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, want := range []string{"one", "two", "end"} {
				gate <- struct{}{}
				got := make([]byte, 3)
				if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v; want %q before the next is sent", name, got, err, want)
				}
			}
			if rest, err := io.ReadAll(r.Body); err != nil || len(rest) != 0 {
				t.Errorf("%s: then %q, %v", name, rest, err)
			}
		}
	})
	t.Run("each part of an upload arrives when it was sent", func(t *testing.T) {
		got := make(chan string)
		e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			for range 3 {
				got <- x.ReadPart(3)
			}
			_ = x.ReadBody()
			x.Send(gatewaytest.Answer(200, "done"))
		})
		c := start(t, options{}, e).dial()
		c.Send(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked"))
		for _, part := range []string{"one", "two", "end"} {
			c.Send("3\r\n" + part + "\r\n")
			if p := <-got; p != part {
				t.Errorf("endpoint got %q; want %q", p, part)
			}
		}
		c.Send("0\r\n\r\n")
		if r, err := c.Next("POST"); err != nil || r.Text != "done" {
			t.Errorf("got %v, %v", r, err)
		}
	})
	t.Run("a slow upload is not taken for a slow endpoint", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{route: Route{PerTryTimeout: 50 * time.Millisecond}}, e)
		c := g.dial()
		c.Send(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked"))
		for range 4 {
			<-time.After(50 * time.Millisecond)
			c.Send("1\r\nx\r\n")
		}
		c.Send("0\r\n\r\n")
		if r, err := c.Next("POST"); err != nil || r.Text != "xxxx" {
			t.Errorf("got %v, %v", r, err)
		}
	})
	t.Run("an endpoint that stalls within a body is cut off", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Then(gatewaytest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"), gatewaytest.Hang()))
		g := start(t, options{config: Config{BodyTimeout: 50 * time.Millisecond}}, e)
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		if _, err := c.Next("GET"); err == nil {
			t.Error("client read a whole response")
		}
		g.settled()
		if s := g.Stats(); s.Clusters[0].Attempts[policies.BodyTimeout] != 1 || s.Aborted != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a client that goes away within a body frees the endpoint", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Pour(64<<20, true))
		g := start(t, options{}, e)
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		if _, err := c.Head("GET"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetLinger(0)
		_ = c.Close()
		g.settled()
		if s := g.Stats().Clusters[0]; s.Attempts[policies.Cancelled] != 1 {
			t.Errorf("attempts %v; want one cancelled", s.Attempts)
		}
		gatewaytest.Eventually(t, "endpoint's connection is closed", func() bool { return e.Open() == 0 })
	})
}

func TestClientTimeouts(t *testing.T) {
	config := Config{HeaderTimeout: 60 * time.Millisecond, IdleTimeout: 60 * time.Millisecond, BodyTimeout: 60 * time.Millisecond}
	t.Run("a head that does not end is a 408", func(t *testing.T) {
		c := start(t, options{config: config}, gatewaytest.NewEndpoint(t)).dial()
		if r := c.Do("GET / HTTP/1.1\r\nHost: a\r\n"); r.StatusCode != 408 || !r.Close {
			t.Errorf("got %d", r.StatusCode)
		}
	})
	t.Run("a head that dribbles is a 408, however long connections may idle", func(t *testing.T) {
		c := start(t, options{config: Config{HeaderTimeout: 60 * time.Millisecond}}, gatewaytest.NewEndpoint(t)).dial()
		c.Get("/")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for b := range strings.SplitSeq("GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 1000), "") {
				select {
				case <-tick.C:
					_, _ = io.WriteString(c, b)
				case <-stop:
					return
				}
			}
		})
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 408 {
			t.Errorf("got %v, %v", r, err)
		}
		close(stop)
		wg.Wait()
	})
	t.Run("a refused upload is read on, so that nothing takes the answer away", func(t *testing.T) {
		c := start(t, options{config: Config{Routes: []Route{{Name: "api", Path: "/api"}}}}, gatewaytest.NewEndpoint(t)).dial()
		c.Send(gatewaytest.Head("POST", "/", fmt.Sprintf("Content-Length: %d", 8<<20)) + strings.Repeat("x", 8<<20))
		if r, err := c.Next("POST"); err != nil || r.StatusCode != 404 || !r.Close {
			t.Errorf("got %v, %v", r, err)
		}
	})
	t.Run("a body that does not end is a 408", func(t *testing.T) {
		c := start(t, options{config: config}, gatewaytest.NewEndpoint(t)).dial()
		if r := c.Do(gatewaytest.Head("POST", "/", "Content-Length: 20000") + strings.Repeat("x", 9000)); r.StatusCode != 408 || !r.Close {
			t.Errorf("got %d", r.StatusCode)
		}
	})
	t.Run("silence is closed without a word", func(t *testing.T) {
		g := start(t, options{config: config}, gatewaytest.NewEndpoint(t))
		if err := g.dial().Ended(); err != nil {
			t.Error(err)
		}
		c := g.dial()
		c.Get("/")
		if err := c.Ended(); err != nil {
			t.Errorf("after a request: %v", err)
		}
	})
}

// failing is a listener whose first accepts fail.
type failing struct {
	net.Listener
	errs []error
}

func (l *failing) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	errs := []error{&net.OpError{Op: "accept", Err: syscall.EMFILE}, syscall.ECONNABORTED, errors.New("new kind")}
	g := start(t, options{listen: func(ln net.Listener) net.Listener { return &failing{ln, errs} }}, gatewaytest.NewEndpoint(t))
	if r := g.dial().Get("/"); r.StatusCode != http.StatusOK || g.Stats().AcceptErrors != 3 {
		t.Errorf("got %d after %d accept errors; want 200 after 3", r.StatusCode, g.Stats().AcceptErrors)
	}
}
