package proxy

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestShutdown(t *testing.T) {
	come, gate := make(chan struct{}, 8), make(chan struct{})
	held := func(x *gatewaytest.Exchange) {
		if x.Request.Target == "/held" {
			come <- struct{}{}
			select {
			case <-gate:
			case <-x.Stopped:
			}
		}
		ok(x)
	}
	t.Run("requests in flight finish, and every kind of idle connection goes", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, held)
		g := start(t, options{}, e)
		inFlight, idle, silent := g.dial(), g.dial(), g.dial()
		streaming := g.dial()
		inFlight.Send(gatewaytest.Head("GET", "/held"))
		<-come
		idle.Get("/")
		streaming.Send(gatewaytest.Head("POST", "/", "Transfer-Encoding: chunked") + "1\r\nx\r\n")
		gatewaytest.Eventually(t, "the upload is on its way", func() bool { return g.Stats().Clusters[0].Active == 2 })

		down := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			down <- g.Shutdown(ctx)
		}()
		gatewaytest.Eventually(t, "shutdown has begun", g.stopping.Load)
		if r := idle.Get("/"); r.StatusCode != 200 || !r.Close {
			t.Errorf("a request that was on the wire got %d, close %v; want 200 and Connection: close", r.StatusCode, r.Close)
		}
		if err := silent.Ended(); err != nil {
			t.Errorf("silent connection: %v", err)
		}
		select {
		case err := <-down:
			t.Fatalf("shutdown returned %v with requests in flight", err)
		default:
		}
		close(gate)
		if r, err := inFlight.Next("GET"); err != nil || r.StatusCode != 200 || !r.Close {
			t.Errorf("request in flight got %v, %v", r, err)
		}
		streaming.Send("0\r\n\r\n")
		if r, err := streaming.Next("POST"); err != nil || r.StatusCode != 200 {
			t.Errorf("upload in flight got %v, %v", r, err)
		}
		if err := <-down; err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	t.Run("its deadline ends what does not finish", func(t *testing.T) {
		gate = make(chan struct{})
		g := start(t, options{}, gatewaytest.NewEndpoint(t, held))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/held"))
		<-come
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want its deadline", err)
		}
		if _, err := c.Next("GET"); err == nil {
			t.Error("the request was answered; want its connection reset")
		}
		close(gate)
	})
}
