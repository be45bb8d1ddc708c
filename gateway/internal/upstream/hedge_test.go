package upstream

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// asked is a connection with a request on it.
func asked(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c := mustTake(t, p)
	if _, err := io.WriteString(c, get); err != nil {
		t.Fatal(err)
	}
	c.Written()
	return c
}

func TestAwait(t *testing.T) {
	t.Run("what comes late is still read", func(t *testing.T) {
		gate := make(chan struct{}, 1)
		p := newPool(t, gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, gatewaytest.Answer(200, "late"))).Address(), Config{})
		c := asked(t, p)
		for range 3 {
			if came, err := c.Await(5 * time.Millisecond); came || err != nil {
				t.Fatalf("%t, %v; want nothing yet", came, err)
			}
		}
		gate <- struct{}{}
		if came, err := c.Await(patience); !came || err != nil {
			t.Fatalf("%t, %v; want the first byte", came, err)
		}
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); err != nil || h.Status != 200 {
			t.Fatal(h.Status, err)
		}
		if b, err := io.ReadAll(c); string(b) != "late" || err != nil {
			t.Errorf("body %q, %v", b, err)
		}
		c.Release()
		if s := p.Stats(); s.Idle != 1 {
			t.Errorf("%+v, want the connection kept", s)
		}
	})
	t.Run("an end is an error of its class", func(t *testing.T) {
		c := asked(t, newPool(t, gatewaytest.NewEndpoint(t, gatewaytest.RawReset("")).Address(), Config{}))
		if came, err := c.Await(patience); came || ClassOf(err) != policies.Reset || err == nil {
			t.Errorf("%t, %v; want a reset", came, err)
		}
		c.Abort()
	})
	t.Run("a rescue is not waited over", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t, gatewaytest.Hang()).Address(), Config{})
		c := asked(t, p)
		c.MayBeRescued()
		p.Rescue()
		if came, err := c.Await(patience); came || !errors.Is(err, errAbandoned) {
			t.Errorf("%t, %v; want it abandoned", came, err)
		}
		c.Abort()
	})
	t.Run("the deadline of the request stays", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t, gatewaytest.Hang()).Address(), Config{})
		c, err := p.Take(50 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, get); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Await(time.Millisecond)
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); ClassOf(err) != policies.HeaderTimeout {
			t.Errorf("%v, want a header timeout", err)
		}
		c.Abort()
	})
}

func TestTakeContext(t *testing.T) {
	cancelled := func(t *testing.T, p *Pool, waits func() bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() {
			_, err := p.TakeContext(ctx, patience)
			end <- err
		}()
		gatewaytest.Eventually(t, "it waits", waits)
		cancel()
		if err := <-end; err == nil || ClassOf(err) != policies.Cancelled {
			t.Errorf("%v, want it cancelled", err)
		}
	}
	t.Run("ends in the middle of a dial", func(t *testing.T) {
		p := newPool(t, backlogged(t), Config{ConnectTimeout: patience})
		cancelled(t, p, func() bool { return p.Stats().Dials == 1 })
	})
	t.Run("ends in the queue", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{MaxConns: 1, QueueTimeout: patience})
		c := mustTake(t, p)
		cancelled(t, p, func() bool { return p.Stats().Waiting == 1 })
		if s := p.Stats(); s.Waiting != 0 || s.Exhausted != 0 {
			t.Errorf("%+v, want nobody waiting and nothing exhausted", s)
		}
		c.Abort()
	})
}
