package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// Times to drain in: what is due has come within brief, and long does not come within a test.
const (
	brief = 50 * time.Millisecond
	long  = time.Hour
)

func draining(requests, tunnels time.Duration) func(*cluster.Settings) {
	return func(s *cluster.Settings) { s.Drain = cluster.Drain{Requests: requests, Tunnels: tunnels} }
}

// waysToDrain are all that make the first endpoint of two drain.
var waysToDrain = map[string]func(t *testing.T, g *gateway){
	"by an operator": func(t *testing.T, g *gateway) {
		if err := g.cluster.SetOverride("0", cluster.ForceDrain); err != nil {
			t.Error(err)
		}
	},
	"by maintenance":     func(_ *testing.T, g *gateway) { g.apply(discovery.Maintenance, discovery.Passing) },
	"by weight 0":        func(_ *testing.T, g *gateway) { g.only(func(in *discovery.Instance) { in.Weight = 0 }) },
	"by deregistration":  func(_ *testing.T, g *gateway) { g.only(nil) },
	"by another address": func(_ *testing.T, g *gateway) { g.only(func(in *discovery.Instance) { in.Address = "127.0.0.1:1" }) },
}

// only changes the first endpoint, or takes it out if change is nil.
func (g *gateway) only(change func(*discovery.Instance)) {
	s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
	for i, e := range g.cluster.Load().Endpoints {
		in := discovery.Instance{ID: e.ID, Address: e.Address, Weight: 1, Status: discovery.Passing}
		if i == 0 && change != nil {
			change(&in)
		}
		if i > 0 || change != nil {
			s.Instances = append(s.Instances, in)
		}
	}
	g.cluster.Apply(s)
}

// dripping answers with the beginning of a body that goes on until its connection ends.
func dripping(fields ...string) gatewaytest.Act {
	return func(x *gatewaytest.Exchange) {
		_ = x.ReadBody()
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", strings.Join(fields, "\r\n"), "\r\n1\r\nx\r\n")
		for {
			select {
			case <-x.Stopped:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := io.WriteString(x.Conn, "1\r\nx\r\n"); err != nil {
				x.Close()
				return
			}
		}
	}
}

func TestDraining(t *testing.T) {
	for name, drain := range waysToDrain {
		t.Run("tunnels_are_ended_"+name, func(t *testing.T) {
			first := gatewaytest.NewEndpoint(t, parrot)
			g := start(t, options{settings: draining(long, brief)}, first, gatewaytest.NewEndpoint(t))
			c := g.dial()
			c.Send(websocket())
			if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
				t.Fatalf("got %v, %v", r, err)
			}
			drain(t, g)
			if r := g.dial().Get("/"); r.StatusCode != 200 || first.Count("GET") != 1 {
				t.Errorf("a new request got %d, the endpoint that drains %d of them; want 200 of the other", r.StatusCode, first.Count("GET"))
			}
			if b, err := io.ReadAll(c.Reader()); string(b) != "hello " {
				t.Errorf("got %q, %v; want the end after the greeting", b, err)
			}
			gatewaytest.Eventually(t, "it is counted", func() bool { return g.cluster.Status().EndedTunnels == 1 })
			gatewaytest.Eventually(t, "nobody leaves any more", func() bool { return len(g.cluster.Status().Leaving) == 0 })
		})
		t.Run("downloads_are_cut_visibly_"+name, func(t *testing.T) {
			g := start(t, options{settings: draining(brief, long)}, gatewaytest.NewEndpoint(t, dripping()), gatewaytest.NewEndpoint(t))
			c := g.dial()
			c.Send(gatewaytest.Head("GET", "/"))
			r, err := c.Head("GET")
			if err != nil || r.StatusCode != 200 {
				t.Fatalf("got %v, %v", r, err)
			}
			drain(t, g)
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("the body ended as if it were whole")
			}
			gatewaytest.Eventually(t, "it is counted", func() bool { return g.cluster.Status().EndedRequests == 1 })
			if s := g.cluster.Status(); s.EndedTunnels != 0 {
				t.Errorf("%d tunnels were ended, want 0", s.EndedTunnels)
			}
		})
	}
	t.Run("what_waits_for_an_answer_is_made_elsewhere", func(t *testing.T) {
		first := gatewaytest.NewEndpoint(t, gatewaytest.Hang())
		g := start(t, options{settings: draining(brief, long), route: Route{Attempts: 2, Timeout: time.Minute}}, first, gatewaytest.NewEndpoint(t))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		gatewaytest.Eventually(t, "the first is asked", func() bool { return first.Count("GET") == 1 })
		waysToDrain["by an operator"](t, g)
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 200 {
			t.Errorf("got %v, %v; want 200 of the other", r, err)
		}
		if s := g.cluster.Status(); s.EndedRequests != 0 || s.Endpoints[0].Failures != 0 {
			t.Errorf("%d ended, %d failures; want 0 and 0", s.EndedRequests, s.Endpoints[0].Failures)
		}
	})
	t.Run("streams_of_events_have_the_time_of_tunnels", func(t *testing.T) {
		g := start(t, options{settings: draining(brief, 4*brief)}, gatewaytest.NewEndpoint(t, dripping("Content-Type: text/event-stream; charset=utf-8\r\n")), gatewaytest.NewEndpoint(t))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		r, err := c.Head("GET")
		if err != nil {
			t.Fatal(err)
		}
		waysToDrain["by an operator"](t, g)
		_, _ = io.Copy(io.Discard, r.Body)
		gatewaytest.Eventually(t, "it is counted", func() bool { return g.cluster.Status().EndedTunnels == 1 })
		if d := g.cluster.Status().Endpoints[0].Draining; d == nil || d.EndedRequests != 0 || d.EndedTunnels != 1 || d.TunnelsUntil.Sub(d.Since) != 4*brief {
			t.Errorf("draining %+v; want one stream ended, as a tunnel", d)
		}
	})
	t.Run("calls_of_gRPC_have_the_time_of_tunnels", func(t *testing.T) {
		address := endpoint2(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		g := startAt(t, options{config: Config{H2C: true}, pool: upstream.Config{HTTP2: true}, settings: draining(brief, 4*brief)}, address, "127.0.0.1:1")
		in, out := io.Pipe()
		defer out.Close()
		r := request2(t, g, "POST", "/watch", in)
		r.Header.Set("Content-Type", "application/grpc")
		resp, err := g.client2().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		waysToDrain["by deregistration"](t, g)
		if s := g.cluster.Status(); len(s.Leaving) != 1 || s.Leaving[0].ID != "0" || s.Leaving[0].Inflight != 1 || s.Leaving[0].Draining == nil {
			t.Errorf("leaving %+v; want endpoint 0 with one call", s.Leaving)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the call ended as if it were whole; want its stream reset")
		}
		gatewaytest.Eventually(t, "it is counted", func() bool { return g.cluster.Status().EndedTunnels == 1 })
		if n := g.cluster.Status().EndedRequests; n != 0 {
			t.Errorf("%d requests were ended; want 0", n)
		}
	})
	t.Run("weight_0_keeps_tunnels_where_there_are_sessions", func(t *testing.T) {
		b := &binder{}
		g := start(t, options{policy: b, sticky: sticky, settings: draining(brief, brief)}, gatewaytest.NewEndpoint(t, parrot), gatewaytest.NewEndpoint(t))
		c := g.dial()
		c.Send(websocket())
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
			t.Fatalf("got %v, %v", r, err)
		}
		waysToDrain["by weight 0"](t, g)
		if d := g.cluster.Status().Endpoints[0].Draining; d != nil {
			t.Errorf("draining %+v; want none", d)
		}
		c.Send("still here")
		want := []byte("hello still here")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.Reader(), got); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v", got, err)
		}
		waysToDrain["by an operator"](t, g)
		_, _ = io.Copy(io.Discard, c.Reader())
		gatewaytest.Eventually(t, "an operator's drain ends them", func() bool { return g.cluster.Status().EndedTunnels == 1 })
	})
	t.Run("what_comes_back_in_time_loses_nothing", func(t *testing.T) {
		g := start(t, options{settings: draining(long, long)}, gatewaytest.NewEndpoint(t, parrot), gatewaytest.NewEndpoint(t))
		c := g.dial()
		c.Send(websocket())
		if r, err := c.Head("GET"); err != nil || r.StatusCode != 101 {
			t.Fatalf("got %v, %v", r, err)
		}
		waysToDrain["by an operator"](t, g)
		if d := g.cluster.Status().Endpoints[0].Draining; d == nil || d.RequestsUntil.Sub(d.Since) != long {
			t.Errorf("draining %+v; want an hour", d)
		}
		if err := g.cluster.SetOverride("0", cluster.NoOverride); err != nil {
			t.Fatal(err)
		}
		if d := g.cluster.Status().Endpoints[0].Draining; d != nil {
			t.Errorf("draining %+v; want none", d)
		}
		_ = c.Close()
	})
}
