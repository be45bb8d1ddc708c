package proxy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// learner picks in order, marks each answer, and keeps what it is told of the attempts.
type learner struct {
	inOrder
	ask func(*policies.Request) // may ask for more

	mu    sync.Mutex
	heard []policies.Feedback
}

func (l *learner) Build(*policies.Table) (policies.Picker, error) { return l, nil }

func (l *learner) Pick(r *policies.Request, v *policies.View) int {
	i := l.inOrder.Pick(r, v)
	r.Tag, r.ShadowTag, r.Instance = uint64(100+i), uint64(200+i), uint32(300+i)
	if l.ask != nil {
		l.ask(r)
	}
	return i
}

func (l *learner) Observe(_ *policies.View, f policies.Feedback) {
	l.mu.Lock()
	l.heard = append(l.heard, f)
	l.mu.Unlock()
}

func (l *learner) all() []policies.Feedback {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// lines writes one record a line: the attempt, its endpoint, what came of it. It checks what must hold of any record.
func (l *learner) lines(t *testing.T, g *gateway) []string {
	t.Helper()
	var out []string
	for _, f := range l.all() {
		s := fmt.Sprintf("%d at %d: %s %d", f.Attempt, f.Endpoint, f.Class, f.Status)
		if f.Final {
			s += " final"
		}
		if f.Loser {
			s += " loser"
		}
		if f.Unmade {
			s += " unmade"
		}
		out = append(out, s)
		i := uint64(f.Endpoint)
		if f.Tag != 100+i || f.Shadow != 200+i || f.Instance != uint32(300+i) || f.Num != g.cluster.Load().Table.Endpoints[i].Num {
			t.Errorf("%s: tag %d, shadow tag %d, instance %d, num %d are not those of its pick", s, f.Tag, f.Shadow, f.Instance, f.Num)
		}
		if f.Unmade {
			continue
		}
		if f.Total <= 0 || f.Total < f.FirstByte || f.Now < time.Now().Add(-time.Minute).UnixNano() {
			t.Errorf("%s: total %v, first byte %v, now %d", s, f.Total, f.FirstByte, f.Now)
		}
	}
	return out
}

// TestObserve lets attempts end in every way there is. A policy hears of each once, and which was the last.
func TestObserve(t *testing.T) {
	get, post := gatewaytest.Head("GET", "/"), gatewaytest.Head("POST", "/", "Content-Length: 4")+"body"
	stall := gatewaytest.Then(gatewaytest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), gatewaytest.Hang())
	short := options{route: Route{PerTryTimeout: 300 * time.Millisecond}}
	for _, c := range []struct {
		name    string
		request string
		acts    []gatewaytest.Act // nil: the port is closed
		o       options
		want    []string
	}{
		{"a response", get, []gatewaytest.Act{ok}, options{}, []string{"0 at 0: ok 200 final"}},
		{"a response of 404", get, []gatewaytest.Act{gatewaytest.Respond(404, "no")}, options{}, []string{"0 at 0: ok 404 final"}},
		{"a streamed response", get, []gatewaytest.Act{gatewaytest.Pour(200<<10, true)}, options{}, []string{"0 at 0: ok 200 final"}},
		{"a refused attempt and a good one", get, []gatewaytest.Act{nil, ok}, options{}, []string{"0 at 0: refused 0", "1 at 1: ok 200 final"}},
		{"all refused", get, []gatewaytest.Act{nil, nil, nil}, options{}, []string{"0 at 0: refused 0", "1 at 1: refused 0", "2 at 2: refused 0 final"}},
		{"a 503 that is repeated", get, []gatewaytest.Act{fail503, ok}, options{}, []string{"0 at 0: bad_status 503", "1 at 1: ok 200 final"}},
		{"a 503 that is not", post, []gatewaytest.Act{fail503, ok}, options{}, []string{"0 at 0: bad_status 503 final"}},
		{"a reset that must not be repeated", post, []gatewaytest.Act{cut, ok}, options{}, []string{"0 at 0: reset 0 final"}},
		{"a hang", get, []gatewaytest.Act{gatewaytest.Hang(), ok}, short, []string{"0 at 0: header_timeout 0", "1 at 1: ok 200 final"}},
		{"no HTTP", get, []gatewaytest.Act{garbage, ok}, options{}, []string{"0 at 0: malformed 0", "1 at 1: ok 200 final"}},
		{"no connection in time", get, []gatewaytest.Act{ok}, options{pool: upstream.Config{ConnectTimeout: 1}, route: Route{Attempts: 1}}, []string{"0 at 0: connect_timeout 0 final"}},
		{"a body cut off by the endpoint", get, []gatewaytest.Act{gatewaytest.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")}, options{}, []string{"0 at 0: reset 200 final"}},
		{"a body that stalls", get, []gatewaytest.Act{stall}, options{config: Config{BodyTimeout: 50 * time.Millisecond}}, []string{"0 at 0: body_timeout 200 final"}},
		{"a body of no sense", get, []gatewaytest.Act{gatewaytest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}, options{}, []string{"0 at 0: malformed 200 final"}},
		{"no endpoint at all", get, nil, options{}, nil},
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
			l := new(learner)
			c.o.policy = l
			g := start(t, c.o, es...)
			client := g.dial()
			client.Send(c.request)
			_, _ = client.Next(strings.Fields(c.request)[0])
			g.settled()
			if got := l.lines(t, g); !slices.Equal(got, c.want) {
				t.Errorf("heard %q\nwant  %q", got, c.want)
			}
		})
	}
	t.Run("a client that leaves", func(t *testing.T) {
		l := new(learner)
		g := start(t, options{policy: l}, gatewaytest.NewEndpoint(t, gatewaytest.Pour(64<<20, false)))
		c := g.dial()
		c.Send(get)
		if _, err := c.Head("GET"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: cancelled 200 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("a client that stops within its body", func(t *testing.T) {
		l := new(learner)
		g := start(t, options{policy: l}, gatewaytest.NewEndpoint(t, gatewaytest.Echo()))
		c := g.dial()
		c.Send(gatewaytest.Head("PUT", "/", "Content-Length: 90000") + strings.Repeat("x", 20000))
		_ = c.CloseWrite()
		_, _ = c.Next("PUT")
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: cancelled 0 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("no connection to be had", func(t *testing.T) {
		l := new(learner)
		gate := make(chan struct{})
		e := gatewaytest.NewEndpoint(t, gatewaytest.Trickle(gate, gatewaytest.Answer(200, "late")))
		g := start(t, options{policy: l, route: Route{Attempts: 1}, pool: upstream.Config{MaxConns: 1, Queue: -1}}, e)
		first := g.dial()
		first.Send(get)
		gatewaytest.Eventually(t, "the only connection is taken", func() bool { return e.Count("GET") == 1 })
		g.dial().Get("/")
		close(gate)
		if _, err := first.Next("GET"); err != nil {
			t.Fatal(err)
		}
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: pool_exhausted 0 final", "0 at 0: ok 200 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("a rescue", func(t *testing.T) {
		l := new(learner)
		hung, other := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t)
		g := start(t, options{policy: l, route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}, hung, other)
		c := g.dial()
		c.Send(get)
		gatewaytest.Eventually(t, "the request hangs", func() bool { return hung.Count("GET") == 1 })
		g.apply(discovery.Critical, discovery.Passing)
		if r, err := c.Next("GET"); err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: header_timeout 0", "1 at 1: ok 200 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("a stale connection is no attempt of its own", func(t *testing.T) {
		l := new(learner)
		die := func(x *gatewaytest.Exchange) { x.Close() }
		g := start(t, options{policy: l}, gatewaytest.NewEndpoint(t, ok, die, ok))
		c := g.dial()
		c.Get("/")
		c.Get("/")
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: ok 200 final", "0 at 0: ok 200 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
	t.Run("the instance that answered last is a hint for the next request", func(t *testing.T) {
		hints := map[uint32]int{}
		p := picker(func(r *policies.Request, _ *policies.View) int {
			hints[r.Instance]++
			r.Instance = 7
			return 0
		})
		c := start(t, options{policy: p}, gatewaytest.NewEndpoint(t)).dial()
		for range 50 {
			c.Get("/")
		}
		if hints[7] == 0 {
			t.Errorf("hints %v, want some of instance 7", hints)
		}
	})
	t.Run("a policy that panics about a failure", func(t *testing.T) {
		l := new(learner)
		g := start(t, options{policy: l, failover: panics{}}, gatewaytest.NewEndpoint(t, cut))
		if r := g.dial().Get("/"); r.StatusCode != 500 {
			t.Errorf("got %d, want 500", r.StatusCode)
		}
		g.settled()
		if got, want := l.lines(t, g), []string{"0 at 0: reset 0 final"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

// insists wants every request again, at endpoint 1.
type insists struct{}

func (insists) Next(r *policies.Request, _ *policies.View, _ policies.Outcome) policies.Verdict {
	r.Tag, r.ShadowTag, r.Instance = 101, 201, 301
	return policies.Verdict{Action: policies.Retry, Endpoint: 1}
}

// TestAPolicyHearsOfWhatWasNotMade: a policy that counts what it hands out gets everything back.
func TestAPolicyHearsOfWhatWasNotMade(t *testing.T) {
	get, post := gatewaytest.Head("GET", "/"), gatewaytest.Head("POST", "/", "Content-Length: 4")+"body"
	for _, c := range []struct {
		name, request string
		route         Route
		want          []string
	}{
		{"attempts are used up", get, Route{Attempts: 1}, []string{"0 at 1: cancelled 0 unmade", "0 at 0: reset 0 final"}},
		{"the request must not be sent again", post, Route{Attempts: 3}, []string{"0 at 1: cancelled 0 unmade", "0 at 0: reset 0 final"}},
		{"a tried endpoint is named", get, Route{Attempts: 3}, []string{
			"0 at 0: reset 0", "1 at 1: reset 0", "1 at 1: cancelled 0 unmade", "2 at 2: reset 0 final", "2 at 1: cancelled 0 unmade",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := new(learner)
			g := start(t, options{policy: l, failover: insists{}, route: c.route},
				gatewaytest.NewEndpoint(t, cut), gatewaytest.NewEndpoint(t, cut), gatewaytest.NewEndpoint(t, cut))
			client := g.dial()
			client.Send(c.request)
			_, _ = client.Next(strings.Fields(c.request)[0])
			g.settled()
			got := l.lines(t, g)
			for i, s := range got { // it does not matter at which attempt
				got[i] = s[1:]
			}
			for i, s := range c.want {
				c.want[i] = s[1:]
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("heard %q\nwant  %q", got, c.want)
			}
		})
	}
}

type panics struct{}

func (panics) Next(*policies.Request, *policies.View, policies.Outcome) policies.Verdict {
	panic("policy")
}
