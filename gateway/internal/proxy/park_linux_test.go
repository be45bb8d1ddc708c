package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func (p *parking) parkedNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lots)
}

// parkedAll waits until n connections of g are parked.
func (g *gateway) parkedAll(n int) {
	g.tb.Helper()
	gatewaytest.Eventually(g.tb, fmt.Sprint(n, " connections are parked"), func() bool { return g.parked.parkedNow() == n })
}

func TestConnectionsThatWaitAreParked(t *testing.T) {
	t.Run("they have no goroutine, and are served when they ask again", func(t *testing.T) {
		const clients = 50
		g := start(t, options{}, gatewaytest.NewEndpoint(t, ok))
		before := runtime.NumGoroutine()
		var cs []*gatewaytest.Client
		for range clients {
			c := g.dial()
			c.Get("/")
			cs = append(cs, c)
		}
		for range 2 {
			g.parkedAll(clients)
			gatewaytest.Eventually(t, "their goroutines are gone", func() bool { return runtime.NumGoroutine() < before+clients/2 })
			if n := g.Stats().Connections; n != clients {
				t.Errorf("%d connections are counted; want %d", n, clients)
			}
			for _, c := range cs {
				c.Send(gatewaytest.Head("GET", "/") + gatewaytest.Head("GET", "/"))
				for range 2 {
					if r, err := c.Next("GET"); err != nil || r.StatusCode != 200 {
						t.Fatalf("got %v, %v", r, err)
					}
				}
			}
		}
	})
	t.Run("one that has not asked yet is parked too", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		g.parkedAll(1)
		if r := c.Get("/"); r.StatusCode != 200 {
			t.Errorf("got %d", r.StatusCode)
		}
	})
	t.Run("half a head has its time, not that of the wait", func(t *testing.T) {
		g := start(t, options{config: Config{HeaderTimeout: 50 * time.Millisecond}}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		c.Get("/")
		g.parkedAll(1)
		c.Send("GET / HT")
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 408 {
			t.Errorf("got %v, %v; want 408", r, err)
		}
	})
	t.Run("they are closed when the wait is over", func(t *testing.T) {
		g := start(t, options{config: Config{IdleTimeout: 1500 * time.Millisecond}}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		c.Get("/")
		g.parkedAll(1)
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
		gatewaytest.Eventually(t, "it is forgotten", func() bool { return g.Stats().Connections == 0 })
	})
	t.Run("they are forgotten when the client goes", func(t *testing.T) {
		g := start(t, options{config: Config{MaxClientConns: 1}}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		c.Get("/")
		g.parkedAll(1)
		_ = c.Close()
		gatewaytest.Eventually(t, "it is forgotten", func() bool { return g.Stats().Connections == 0 })
		if r := g.dial().Get("/"); r.StatusCode != 200 {
			t.Errorf("another one got %d", r.StatusCode)
		}
	})
	t.Run("with TLS too, also when a part of a record wakes one", func(t *testing.T) {
		g, config := secured(t, options{}, gatewaytest.NewEndpoint(t, ok))
		tcp, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		slow := &twoWrites{Conn: tcp}
		c := tls.Client(slow, config)
		defer c.Close()
		br := bufio.NewReader(c)
		ask := func() {
			t.Helper()
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, gatewaytest.Head("GET", "/")); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(br, nil)
			if err != nil || r.StatusCode != 200 {
				t.Fatalf("got %v, %v", r, err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
		}
		ask()
		for range 2 {
			g.parkedAll(1)
			ask()
		}
		g.parkedAll(1)
		slow.between = func() {
			_ = tcp.SetReadDeadline(time.Now().Add(3 * parkAfter))
			if n, err := tcp.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
				t.Errorf("half a record: got %d bytes, %v; want patience", n, err)
			}
			_ = tcp.SetReadDeadline(time.Now().Add(10 * time.Second))
			slow.between = nil
		}
		ask()
	})
	t.Run("a server that shuts down closes them", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		c.Get("/")
		g.parkedAll(1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
	})
}

// Requests come just when connections are parked, or have been, or are about to be.
func TestHammerOfParking(t *testing.T) {
	g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Echo()))
	var wg sync.WaitGroup
	for i := range 100 {
		c := g.dial()
		r := rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for j := range 4 {
				time.Sleep(parkAfter + time.Duration(r.Int64N(int64(parkAfter)*11/10)))
				body := fmt.Sprint(i, " ", j)
				c.Send(gatewaytest.Head("POST", "/", fmt.Sprint("Content-Length: ", len(body))) + body)
				if a, err := c.Next("POST"); err != nil || a.StatusCode != 200 || a.Text != body {
					t.Errorf("client %d, request %d: got %v, %v", i, j, a, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// twoWrites makes two writes of each, if there is something to do between them.
type twoWrites struct {
	net.Conn
	between func()
}

func (c *twoWrites) Write(p []byte) (int, error) {
	if c.between == nil {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	c.between()
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}
