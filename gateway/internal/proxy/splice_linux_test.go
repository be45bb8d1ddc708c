package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// A body of half a MiB, of which some comes with its head, and the rest by the pipe.
func TestSplicedBodies(t *testing.T) {
	body := func(seed uint64) string {
		b := make([]byte, 512<<10)
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
		return string(b)
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 512<<10)

	t.Run("come whole, one after the other on the same connections", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, body(1)), gatewaytest.Respond(200, "small"), gatewaytest.Respond(200, body(2)))
		c := start(t, options{}, e).dial()
		for i, want := range []string{body(1), "small", body(2)} {
			if r := c.Get("/"); r.StatusCode != 200 || r.Text != want {
				t.Errorf("answer %d: got %d with %d bytes that differ", i, r.StatusCode, len(r.Text))
			}
		}
		if n := e.Accepted(); n != 1 {
			t.Errorf("%d connections to the endpoint; want 1", n)
		}
	})
	t.Run("come as they are sent", func(t *testing.T) {
		gate := make(chan struct{})
		want := body(3)
		parts := []string{head, want[:1], want[1:200000], want[200000:200003], want[200003:]}
		c := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, parts...))).dial()
		c.Send(gatewaytest.Head("GET", "/"))
		gate <- struct{}{}
		r, err := c.Head("GET")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range parts[1:] {
			gate <- struct{}{}
			got := make([]byte, len(p))
			if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != p {
				t.Fatalf("part %d: %v", i, err)
			}
		}
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("got %d bytes more, %v", n, err)
		}
	})
	for name, act := range map[string]func(string) gatewaytest.Act{"closed": gatewaytest.RawClose, "reset": gatewaytest.RawReset} {
		t.Run("that are cut off do not look whole: "+name, func(t *testing.T) {
			want := body(4)
			g := start(t, options{}, gatewaytest.NewEndpoint(t, act(head+want[:300000])))
			c := g.dial()
			c.Send(gatewaytest.Head("GET", "/"))
			r, err := c.Head("GET")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			if err == nil || !strings.HasPrefix(want, string(got)) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			gatewaytest.Eventually(t, "it is counted", func() bool { return g.Stats().Aborted == 1 })
		})
	}
	t.Run("end when the client goes", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw(head+body(5)[:300000]))
		g := start(t, options{}, e)
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		if _, err := c.Head("GET"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		gatewaytest.Eventually(t, "the endpoint's connection is closed", func() bool { return e.Open() == 0 })
	})
	t.Run("with more behind them poison nothing", func(t *testing.T) {
		want := body(6)
		e := gatewaytest.NewEndpoint(t, gatewaytest.Raw(head+want+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), gatewaytest.Respond(200, "good"))
		c := start(t, options{}, e).dial()
		if r := c.Get("/"); r.Text != want {
			t.Errorf("got %d bytes that differ", len(r.Text))
		}
		if r := c.Get("/"); r.Text != "good" {
			t.Errorf("got %q; want the answer to the second request", r.Text)
		}
	})
	t.Run("go without a pipe over TLS", func(t *testing.T) {
		want := body(7)
		g, config := secured(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, want)))
		c := g.dialTLS(config)
		if _, err := io.WriteString(c, gatewaytest.Head("GET", "/", "Connection: close")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, io.EOF) || !bytes.HasSuffix(got, []byte(want)) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}
