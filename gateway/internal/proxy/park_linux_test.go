package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
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
