package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// hedging is a learner that wants a second attempt after 20 ms.
func hedging() *learner {
	return &learner{ask: func(r *policies.Request) { r.Hedge = 20 * time.Millisecond }}
}

// held does what act does once the gate opens.
func held(gate <-chan struct{}, act gatewaytest.Act) gatewaytest.Act {
	return func(x *gatewaytest.Exchange) {
		_ = x.ReadBody()
		select {
		case <-gate:
			act(x)
		case <-x.Stopped:
			x.Close()
		}
	}
}

// scene is the server that acts look at.
type scene struct{ atomic.Pointer[Server] }

// once does what act does, but d after the server has counted a hedge.
func (s *scene) once(count func(HedgeStats) uint64, d time.Duration, act gatewaytest.Act) gatewaytest.Act {
	return func(x *gatewaytest.Exchange) {
		_ = x.ReadBody()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for count(s.Load().Stats().Clusters[0].Hedges) == 0 {
			select {
			case <-tick.C:
			case <-x.Stopped:
				x.Close()
				return
			}
		}
		gatewaytest.Then(gatewaytest.Slow(d, 100, ""), act)(x) // an interim answer is no head
	}
}

func started(s HedgeStats) uint64 { return s.Started }
func denied(s HedgeStats) uint64  { return s.Denied }

func TestHedge(t *testing.T) {
	s := new(scene)
	// The first endpoint acts when the hedge is on its way; whoever acts late does it well after the other.
	then := func(act gatewaytest.Act) gatewaytest.Act { return s.once(started, 0, act) }
	late := s.once(started, 200*time.Millisecond, ok)
	get := gatewaytest.Head("GET", "/")
	hang := gatewaytest.Hang()
	put := gatewaytest.Head("PUT", "/", "Content-Length: 4") + "body"
	large := gatewaytest.Head("PUT", "/", "Content-Length: 100000") + strings.Repeat("x", 100000)
	minute := Route{Timeout: time.Minute, PerTryTimeout: time.Minute}
	short := Route{PerTryTimeout: 300 * time.Millisecond}
	slow := gatewaytest.Slow(60*time.Millisecond, 200, "slow")
	for _, c := range []struct {
		name    string
		request string
		acts    []gatewaytest.Act // nil: the port is closed
		route   Route
		status  int
		want    []string
		hedges  HedgeStats
	}{
		{"a slow first loses", get, []gatewaytest.Act{hang, ok}, minute, 200, []string{"0 at 0: cancelled 0 loser", "1 at 1: ok 200 final"}, HedgeStats{Started: 1, Won: 1}},
		{"a slow second loses", get, []gatewaytest.Act{then(ok), hang}, minute, 200, []string{"1 at 1: cancelled 0 loser", "0 at 0: ok 200 final"}, HedgeStats{Started: 1}},
		{"a PUT is sent to both with its body", put, []gatewaytest.Act{hang, gatewaytest.Echo()}, minute, 200, []string{"0 at 0: cancelled 0 loser", "1 at 1: ok 200 final"}, HedgeStats{Started: 1, Won: 1}},
		{"a 404 is an answer", get, []gatewaytest.Act{hang, gatewaytest.Respond(404, "no")}, minute, 404, []string{"0 at 0: cancelled 0 loser", "1 at 1: ok 404 final"}, HedgeStats{Started: 1, Won: 1}},
		{"a first that resets leaves it to the second", get, []gatewaytest.Act{then(cut), late}, minute, 200, []string{"0 at 0: reset 0", "1 at 1: ok 200 final"}, HedgeStats{Started: 1, Won: 1}},
		{"a second that resets leaves it to the first", get, []gatewaytest.Act{late, cut}, minute, 200, []string{"1 at 1: reset 0", "0 at 0: ok 200 final"}, HedgeStats{Started: 1}},
		{"a second that is refused leaves it to the first", get, []gatewaytest.Act{late, nil}, minute, 200, []string{"1 at 1: refused 0", "0 at 0: ok 200 final"}, HedgeStats{Started: 1}},
		{"a first that answers 503 leaves it to the second", get, []gatewaytest.Act{then(fail503), late}, minute, 200, []string{"0 at 0: bad_status 503", "1 at 1: ok 200 final"}, HedgeStats{Started: 1, Won: 1}},
		{"a second that answers 503 leaves it to the first", get, []gatewaytest.Act{late, fail503}, minute, 200, []string{"1 at 1: bad_status 503", "0 at 0: ok 200 final"}, HedgeStats{Started: 1}},
		{"when both fail a third is tried", get, []gatewaytest.Act{hang, hang, ok}, short, 200, []string{"0 at 0: header_timeout 0", "1 at 1: header_timeout 0", "2 at 2: ok 200 final"}, HedgeStats{Started: 1}},
		{"a 503 is more than no answer", get, []gatewaytest.Act{then(gatewaytest.Respond(500, "mine")), hang}, short, 500, []string{"1 at 1: header_timeout 0", "0 at 0: bad_status 500 final"}, HedgeStats{Started: 1}},
		{"nobody answers", get, []gatewaytest.Act{hang, hang}, Route{PerTryTimeout: 200 * time.Millisecond, Attempts: 2}, 504, []string{"0 at 0: header_timeout 0", "1 at 1: header_timeout 0 final"}, HedgeStats{Started: 1}},
		{"a POST is never hedged", gatewaytest.Head("POST", "/", "Content-Length: 4") + "body", []gatewaytest.Act{slow, ok}, minute, 200, []string{"0 at 0: ok 200 final"}, HedgeStats{}},
		{"a body that is not all here is not hedged", large, []gatewaytest.Act{slow, ok}, minute, 200, []string{"0 at 0: ok 200 final"}, HedgeStats{}},
		{"a last attempt is not hedged", get, []gatewaytest.Act{slow, ok}, Route{Attempts: 1}, 200, []string{"0 at 0: ok 200 final"}, HedgeStats{}},
		{"one endpoint alone is not hedged", get, []gatewaytest.Act{slow}, minute, 200, []string{"0 at 0: ok 200 final"}, HedgeStats{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var es []*gatewaytest.Endpoint
			for _, act := range c.acts {
				e := gatewaytest.NewEndpoint(t, act)
				if act == nil {
					e.Stop()
				}
				es = append(es, e)
			}
			l := hedging()
			g := start(t, options{policy: l, route: c.route}, es...)
			s.Store(g.Server)
			if r := g.dial().Do(c.request); r.StatusCode != c.status {
				t.Errorf("got %d %s, want %d", r.StatusCode, r.Text, c.status)
			}
			g.settled()
			if got := l.lines(t, g); !slices.Equal(got, c.want) {
				t.Errorf("heard %q\nwant  %q", got, c.want)
			}
			stats := g.Stats().Clusters[0]
			if stats.Hedges != c.hedges {
				t.Errorf("hedges %+v, want %+v", stats.Hedges, c.hedges)
			}
			var attempts uint64
			for _, n := range stats.Attempts {
				attempts += n
			}
			if attempts != uint64(len(c.want)) {
				t.Errorf("%d attempts counted, want %d", attempts, len(c.want))
			}
			for i, e := range g.cluster.Status().Endpoints {
				blamed := slices.ContainsFunc(l.all(), func(f policies.Feedback) bool { return f.Endpoint == i && f.Class.EndpointFault() })
				if (e.Failures > 0) != blamed {
					t.Errorf("endpoint %d has %d failures; it is blamed: %t", i, e.Failures, blamed)
				}
			}
			for i, want := range es {
				for _, r := range want.Requests() {
					if _, body, _ := strings.Cut(c.request, "\r\n\r\n"); r.Complete && r.Length > 0 && r.Body != body {
						t.Errorf("endpoint %d got a body of %d bytes, want %d", i, len(r.Body), len(body))
					}
				}
			}
		})
	}
}

func TestHedgeUnderWay(t *testing.T) {
	get := gatewaytest.Head("GET", "/")
	minute := Route{Timeout: time.Minute, PerTryTimeout: time.Minute}
	t.Run("the winner's body comes whole", func(t *testing.T) {
		for _, chunked := range []bool{false, true} {
			const size = 8 << 20
			g := start(t, options{policy: hedging(), route: minute}, gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t, gatewaytest.Pour(size, chunked)))
			c := g.dial()
			c.Send(get)
			r, err := c.Head("GET")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
				t.Errorf("chunked %t: %d bytes, %v; want %d", chunked, n, err, size)
			}
		}
	})
	t.Run("the winner's connection is used again, the loser's is not", func(t *testing.T) {
		slow, quick := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t)
		g := start(t, options{policy: hedging(), route: minute}, slow, quick)
		g.dial().Get("/")
		g.settled()
		if a, b := g.pool(0).Stats(), g.pool(1).Stats(); a.Open != 0 || b.Idle != 1 {
			t.Errorf("the loser has %d connections and the winner %d idle, want 0 and 1", a.Open, b.Idle)
		}
	})
	t.Run("a second that waits for a connection is given up at once", func(t *testing.T) {
		gate, first := make(chan struct{}), make(chan struct{})
		busy := gatewaytest.NewEndpoint(t, held(gate, ok))
		l := hedging()
		g := start(t, options{policy: l, route: minute, pool: upstream.Config{MaxConns: 1, QueueTimeout: time.Minute}}, gatewaytest.NewEndpoint(t, held(first, ok)), busy)
		hold, err := g.pool(1).Take(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		c := g.dial()
		c.Send(get)
		gatewaytest.Eventually(t, "the hedge waits in the queue", func() bool { return g.pool(1).Stats().Waiting == 1 })
		close(first)
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		hold.Abort()
		g.settled()
		if s := g.pool(1).Stats(); s.Waiting != 0 || s.Open != 0 || s.Exhausted != 0 {
			t.Errorf("%+v, want nothing left behind", s)
		}
		if got, want := l.lines(t, g), []string{"1 at 1: cancelled 0 loser", "0 at 0: ok 200 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("the retry budget bounds it", func(t *testing.T) {
		s := new(scene)
		late := s.once(denied, 0, gatewaytest.Respond(200, "late"))
		g := start(t, options{policy: hedging(), route: minute}, gatewaytest.NewEndpoint(t, late), gatewaytest.NewEndpoint(t))
		s.Store(g.Server)
		cs := g.clusters["web"]
		cs.retrying.Add(minRetries)
		if r := g.dial().Get("/"); r.Text != "late" {
			t.Errorf("got %q, want the first endpoint's answer", r.Text)
		}
		cs.retrying.Add(-minRetries)
		if s := g.Stats().Clusters[0]; s.Hedges != (HedgeStats{Denied: 1}) || s.Retrying != 0 {
			t.Errorf("hedges %+v, %d retrying; want one denied, 0", s.Hedges, s.Retrying)
		}
	})
	t.Run("a client that is gone leaves nothing behind", func(t *testing.T) {
		gate := make(chan struct{})
		a, b := gatewaytest.NewEndpoint(t, held(gate, gatewaytest.Pour(16<<20, true))), gatewaytest.NewEndpoint(t, held(gate, gatewaytest.Pour(16<<20, true)))
		l := hedging()
		g := start(t, options{policy: l, route: minute}, a, b)
		c := g.dial()
		c.Send(get)
		gatewaytest.Eventually(t, "both attempts wait", func() bool { return a.Count("GET")+b.Count("GET") == 2 })
		_ = c.SetLinger(0)
		_ = c.Close()
		close(gate)
		gatewaytest.Eventually(t, "both attempts are told of", func() bool { return len(l.all()) == 2 })
		g.settled()
		final := 0
		for _, f := range l.all() {
			if f.Class != policies.Cancelled || f.Loser == f.Final {
				t.Errorf("%+v, want a cancelled loser and a cancelled last one", f)
			}
			if f.Final {
				final++
			}
		}
		if final != 1 {
			t.Errorf("%d last attempts, want 1", final)
		}
	})
	t.Run("a first that is quick enough has no company", func(t *testing.T) {
		for hedge, route := range map[time.Duration]Route{
			10 * time.Second: minute,
			time.Second:      {PerTryTimeout: 400 * time.Millisecond}, // the attempt ends before
		} {
			l := &learner{ask: func(r *policies.Request) { r.Hedge = hedge }}
			first := gatewaytest.NewEndpoint(t)
			if hedge > route.PerTryTimeout {
				first.Script(gatewaytest.Hang())
			}
			g := start(t, options{policy: l, route: route}, first, gatewaytest.NewEndpoint(t))
			if r := g.dial().Get("/"); r.StatusCode != 200 || g.Stats().Clusters[0].Hedges != (HedgeStats{}) {
				t.Errorf("hedge after %v: got %d, %+v; want 200 and no hedge", hedge, r.StatusCode, g.Stats().Clusters[0].Hedges)
			}
		}
	})
	t.Run("the rest of a list comes first", func(t *testing.T) {
		asked := 0
		p := picker(func(r *policies.Request, _ *policies.View) int {
			asked++
			r.Hedge, r.NList, r.List = 20*time.Millisecond, 3, [8]uint32{99, 0, 2} // neither there nor untried, then good
			return 0
		})
		es := []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t)}
		start(t, options{policy: p, route: minute}, es...).dial().Get("/")
		if es[1].Count("") != 0 || es[2].Count("") != 1 || asked != 1 {
			t.Errorf("endpoints got %d and %d requests after %d picks, want 0, 1, 1", es[1].Count(""), es[2].Count(""), asked)
		}
	})
	t.Run("a policy that finds no second is asked as before when the first fails", func(t *testing.T) {
		for _, answer := range []int{policies.None, policies.Rejected} {
			var attempts []uint8
			p := picker(func(r *policies.Request, v *policies.View) int {
				attempts = append(attempts, r.Attempt)
				if len(attempts) == 2 { // the hedge
					r.NoRetry = true
					return answer
				}
				r.Hedge = 20 * time.Millisecond
				return inOrder{}.Pick(r, v)
			})
			g := start(t, options{policy: p, route: Route{PerTryTimeout: 400 * time.Millisecond}}, gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t))
			if r := g.dial().Get("/"); r.StatusCode != 200 || !slices.Equal(attempts, []uint8{0, 1, 1}) {
				t.Errorf("answer %d: got %d, picks of attempts %v; want 200, [0 1 1]", answer, r.StatusCode, attempts)
			}
		}
	})
	t.Run("a policy that panics about it costs its request alone", func(t *testing.T) {
		p := picker(func(r *policies.Request, _ *policies.View) int {
			if r.Attempt > 0 {
				panic("policy")
			}
			r.Hedge = 20 * time.Millisecond
			return 0
		})
		g := start(t, options{policy: p, route: minute}, gatewaytest.NewEndpoint(t, gatewaytest.Hang(), ok), gatewaytest.NewEndpoint(t))
		if r := g.dial().Get("/"); r.StatusCode != 500 {
			t.Errorf("got %d, want 500", r.StatusCode)
		}
		g.settled()
	})
	t.Run("a policy that wants no retry has none after both failed", func(t *testing.T) {
		first := true
		l := &learner{ask: func(r *policies.Request) {
			r.Hedge, r.NoRetry, first = 20*time.Millisecond, first, false
		}}
		hang, third := gatewaytest.Hang(), gatewaytest.NewEndpoint(t)
		g := start(t, options{policy: l, route: Route{PerTryTimeout: 400 * time.Millisecond}}, gatewaytest.NewEndpoint(t, hang), gatewaytest.NewEndpoint(t, hang), third)
		if r := g.dial().Get("/"); r.StatusCode != 504 || third.Count("") != 0 {
			t.Errorf("got %d and %d requests at the third, want 504 and 0", r.StatusCode, third.Count(""))
		}
	})
	t.Run("a cookie names the winner", func(t *testing.T) {
		l := &learner{ask: func(r *policies.Request) { r.Hedge, r.SetSticky = 20*time.Millisecond, true }}
		g := start(t, options{policy: l, sticky: sticky, route: minute}, gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t))
		r := g.dial().Get("/")
		if got := r.Header.Get("Set-Cookie"); got != string(g.cluster.Load().Sticky.Field(1)) {
			t.Errorf("cookie %q, want that of endpoint 1", got)
		}
	})
}

// TestHedgeHammer has many clients at endpoints that are slow at random, and hedges race with all of it.
func TestHedgeHammer(t *testing.T) {
	const clients, each = 12, 60
	act := func(x *gatewaytest.Exchange) {
		gatewaytest.Slow(rand.N(4*time.Millisecond), 100, "")(x) // an interim answer is no head
		switch rand.N(12) {
		case 0:
			x.Reset()
		case 1:
			x.Send(gatewaytest.Answer(503, "busy"))
		default:
			reflect(x)
		}
	}
	var es []*gatewaytest.Endpoint
	for range 4 {
		es = append(es, gatewaytest.NewEndpoint(t, act))
	}
	l := &learner{ask: func(r *policies.Request) { r.Hedge = rand.N(3 * time.Millisecond) }}
	g := start(t, options{policy: l, route: Route{Attempts: 8}}, es...)
	var wg sync.WaitGroup
	for n := range clients {
		c := g.dial()
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d.%d", n, i)
				c.Send(gatewaytest.Head("GET", "/"+id, "X-User: "+id))
				r, err := c.Next("GET")
				if err != nil || r.StatusCode == 200 && (r.Text != "/"+id+" " || r.Header.Get("X-User") != id) {
					t.Errorf("%s: got %v, %v", id, r, err)
					return
				}
			}
		})
	}
	wg.Wait()
	g.settled()
	final := 0
	for _, f := range l.all() {
		if f.Final {
			final++
		}
	}
	s := g.Stats().Clusters[0]
	var attempts uint64
	for _, n := range s.Attempts {
		attempts += n
	}
	if final != clients*each || attempts != uint64(len(l.all())) || s.Hedges.Started == 0 || s.Hedges.Won == 0 {
		t.Errorf("%d last attempts of %d requests, %d attempts, heard of %d, hedges %+v", final, clients*each, attempts, len(l.all()), s.Hedges)
	}
}
