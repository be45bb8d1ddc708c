package proxy

import (
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestSmallUploads: a body that comes along with its head is whole, and one that pauses keeps no endpoint from its head.
func TestSmallUploads(t *testing.T) {
	head := gatewaytest.Head("PUT", "/", "Content-Length: 6")
	t.Run("the head goes on while the body pauses, and the pieces as they come", func(t *testing.T) {
		heard := make(chan string)
		g := start(t, options{}, gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			heard <- "head"
			for range 3 {
				heard <- x.ReadPart(2)
			}
			x.Send(gatewaytest.Answer(200, "ok"))
		}))
		c := g.dial()
		c.Send(head)
		for _, piece := range []string{"head", "ab", "cd", "ef"} {
			if piece != "head" {
				c.Send(piece)
			}
			if got := <-heard; got != piece {
				t.Fatalf("the endpoint got %q; want %q", got, piece)
			}
		}
		if r, err := c.Next("PUT"); err != nil || r.StatusCode != 200 || r.Close {
			t.Errorf("got %v, %v; want 200, and the connection open", r, err)
		}
	})
	t.Run("an answer before the end is passed on", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Early(gatewaytest.Answer(403, "no"))))
		c := g.dial()
		c.Send(head + "ab")
		if r, err := c.Next("PUT"); err != nil || r.StatusCode != 403 || !r.Close {
			t.Errorf("got %v, %v; want 403 and Connection: close", r, err)
		}
	})
	t.Run("what came in pieces is kept for another attempt", func(t *testing.T) {
		read := make(chan struct{})
		first := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			close(read)
			_ = x.ReadBody()
			x.Reset()
		})
		second := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g := start(t, options{}, first, second)
		c := g.dial()
		c.Send(head + "ab")
		<-read
		c.Send("cdef")
		if r, err := c.Next("PUT"); err != nil || r.StatusCode != 200 || r.Text != "abcdef" {
			t.Errorf("got %v, %v; want the whole body from the second endpoint", r, err)
		}
	})
}
