package proxy

import (
	"io"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// TestRescue lets an endpoint hang with requests on it, none of which has a timeout that would end it in the test's
// time, and then be found down.
func TestRescue(t *testing.T) {
	goDown := func(g *gateway) { g.apply(discovery.Critical, discovery.Passing) }
	t.Run("a GET goes elsewhere as soon as its endpoint is down", func(t *testing.T) {
		hung, other := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "other"))
		g := start(t, options{route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}, hung, other)
		c := g.dial()
		done := make(chan *gatewaytest.Response, 1)
		go func() { done <- c.Get("/") }()
		gatewaytest.Eventually(t, "the request hangs", func() bool { return hung.Count("GET") == 1 })
		goDown(g)
		if r := <-done; r.StatusCode != 200 || r.Text != "other" {
			t.Errorf("got %d %q, want 200 of the other endpoint", r.StatusCode, r.Text)
		}
	})
	t.Run("a POST waits where it may have been executed", func(t *testing.T) {
		gate := make(chan struct{})
		slow, other := gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, gatewaytest.Answer(200, "slow"))), gatewaytest.NewEndpoint(t)
		g := start(t, options{route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}, slow, other)
		c := g.dial()
		c.Send(gatewaytest.Head("POST", "/", "Content-Length: 0"))
		gatewaytest.Eventually(t, "the request waits", func() bool { return slow.Count("POST") == 1 })
		goDown(g)
		close(gate)
		if r, err := c.Next("POST"); err != nil || r.Text != "slow" || other.Count("POST") != 0 {
			t.Errorf("got %+v, %v; the other endpoint had %d POSTs; want the slow answer, and 0", r, err, other.Count("POST"))
		}
	})
	t.Run("a response that has begun is not cut", func(t *testing.T) {
		gate := make(chan struct{}, 1)
		gate <- struct{}{}
		slow := gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"))
		g := start(t, options{route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}, slow, gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "other")))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		resp, err := c.Head("GET")
		if err != nil {
			t.Fatal(err)
		}
		goDown(g)
		close(gate)
		if body, err := io.ReadAll(resp.Body); string(body) != "abcd" || err != nil {
			t.Errorf("body %q, %v; want abcd", body, err)
		}
	})
	for _, method := range []string{"GET", "POST"} {
		t.Run("a "+method+" whose endpoint goes down between pick and connection is not sent there", func(t *testing.T) {
			hung, other := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "other"))
			var g *gateway
			p := picker(func(r *policies.Request, _ *policies.View) int {
				if r.Attempt == 0 {
					goDown(g)
					return 0
				}
				return 1
			})
			g = start(t, options{policy: p, route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}, hung, other)
			if r := g.dial().Do(gatewaytest.Head(method, "/", "Content-Length: 0")); r.Text != "other" || hung.Count(method) != 0 {
				t.Errorf("got %q, and %d requests at the endpoint that is down; want that of the other, and none", r.Text, hung.Count(method))
			}
		})
	}
}
