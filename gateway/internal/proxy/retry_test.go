package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

var (
	ok      = gatewaytest.Respond(200, "ok")
	fail503 = gatewaytest.Respond(503, "busy", "X-Mine: yes")
	cut     = gatewaytest.RawReset("")
	halfCut = gatewaytest.RawReset("HTTP/1.1 200 OK\r\nContent-")
	garbage = gatewaytest.Raw("SSH-2.0-OpenSSH_9.2\r\n")
)

func TestRetry(t *testing.T) {
	get, post, put := gatewaytest.Head("GET", "/"), gatewaytest.Head("POST", "/", "Content-Length: 4")+"body", gatewaytest.Head("PUT", "/", "Content-Length: 4")+"body"
	large := gatewaytest.Head("PUT", "/", "Content-Length: 100000") + strings.Repeat("x", 100000)
	medium := gatewaytest.Head("PUT", "/", "Content-Length: 60000") + strings.Repeat("x", 60000)
	chunked := gatewaytest.Head("PUT", "/", "Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n"
	for _, c := range []struct {
		name     string
		request  string
		acts     []gatewaytest.Act // nil: the port is closed
		status   int
		attempts []int // how many requests each endpoint got
		problem  string
	}{
		{"a refused GET goes to the next endpoint", get, []gatewaytest.Act{nil, ok, ok}, 200, []int{0, 1, 0}, ""},
		{"a refused POST goes to the next endpoint", post, []gatewaytest.Act{nil, ok, ok}, 200, []int{0, 1, 0}, ""},
		{"a reset GET goes to the next endpoint", get, []gatewaytest.Act{cut, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a GET reset within the head goes to the next endpoint", get, []gatewaytest.Act{halfCut, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a reset PUT is sent again with its body", put, []gatewaytest.Act{cut, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a reset PUT of 60 kB is sent again with its body", medium, []gatewaytest.Act{cut, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a reset chunked PUT is sent again with its body", chunked, []gatewaytest.Act{cut, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a body too large to keep is not sent again", large, []gatewaytest.Act{cut, ok, ok}, 502, []int{1, 0, 0}, "connection_reset"},
		{"a large body goes on if nothing of it was sent", large, []gatewaytest.Act{nil, ok, ok}, 200, []int{0, 1, 0}, ""},
		{"a reset POST may have been executed and is not sent again", post, []gatewaytest.Act{cut, ok, ok}, 502, []int{1, 0, 0}, "connection_reset"},
		{"a 503 to a POST is passed on", post, []gatewaytest.Act{fail503, ok, ok}, 503, []int{1, 0, 0}, ""},
		{"a 503 to a GET is tried elsewhere", get, []gatewaytest.Act{fail503, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a 500 is passed on", get, []gatewaytest.Act{gatewaytest.Respond(500, "mine"), ok, ok}, 500, []int{1, 0, 0}, ""},
		{"a 404 is passed on", get, []gatewaytest.Act{gatewaytest.Respond(404, "mine"), ok, ok}, 404, []int{1, 0, 0}, ""},
		{"what is not HTTP is tried elsewhere", get, []gatewaytest.Act{garbage, ok, ok}, 200, []int{1, 1, 0}, ""},
		{"attempts end at three, and the last answer counts", get, []gatewaytest.Act{cut, cut, fail503, ok}, 503, []int{1, 1, 1, 0}, ""},
		{"all refused is a 502", get, []gatewaytest.Act{nil, nil, nil}, 502, []int{0, 0, 0}, "connection_refused"},
		{"a hang ends with the attempt and goes elsewhere", get, []gatewaytest.Act{gatewaytest.Hang(), ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a slow answer is not waited for", get, []gatewaytest.Act{gatewaytest.Slow(time.Minute, 200, "late"), ok, ok}, 200, []int{1, 1, 0}, ""},
		{"a hung POST is a 504 and nothing more", post, []gatewaytest.Act{gatewaytest.Hang(), ok, ok}, 504, []int{1, 0, 0}, "response_timeout"},
		{"one endpoint alone is asked again", get, []gatewaytest.Act{cut}, 502, []int{3}, "connection_reset"},
		{"a 503 that wants no retry yet is tried elsewhere", get, []gatewaytest.Act{tired, ok}, 200, []int{1, 1}, ""},
		{"one endpoint alone that wants no retry yet has none", get, []gatewaytest.Act{tired}, 503, []int{1}, ""},
		{"nobody who wants no retry yet is asked again", get, []gatewaytest.Act{tired, tired}, 503, []int{1, 1}, ""},
		{"those who want one are", get, []gatewaytest.Act{tired, cut}, 502, []int{1, 2}, "connection_reset"},
		{"a wish that nobody can read is none", get, []gatewaytest.Act{gatewaytest.Respond(503, "", "Retry-After: soon")}, 503, []int{3}, ""},
		{"no endpoint is a 503", get, nil, 503, nil, "no_endpoint"},
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
			g := start(t, options{route: Route{PerTryTimeout: 300 * time.Millisecond}}, es...)
			r := g.dial().Do(c.request)
			if r.StatusCode != c.status || c.problem != "" && !strings.Contains(r.Text, "#"+c.problem+`"`) {
				t.Errorf("got %d %s; want %d %s", r.StatusCode, r.Text, c.status, c.problem)
			}
			var attempts []int
			for _, e := range es {
				attempts = append(attempts, e.Count(""))
				for _, r := range e.Requests() {
					if want := c.request[strings.Index(c.request, "\r\n\r\n")+4:]; r.Complete && r.Length > 0 && r.Body != want {
						t.Errorf("endpoint got a body of %d bytes; want %d", len(r.Body), len(want))
					}
				}
			}
			if !slices.Equal(attempts, c.attempts) {
				t.Errorf("endpoints got %v requests; want %v", attempts, c.attempts)
			}
		})
	}
}

func TestUploadCutOffMidway(t *testing.T) {
	body := strings.Repeat("0123456789", 5000)
	for name, head := range map[string]string{"fixed": gatewaytest.Head("PUT", "/", "Content-Length: 50000"), "chunked": gatewaytest.Head("PUT", "/", "Transfer-Encoding: chunked") + "c350\r\n"} {
		gone := make(chan struct{})
		a := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { x.ReadPart(10); x.Reset(); close(gone) })
		b := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		c := start(t, options{}, a, b).dial()
		c.Send(head + body[:20000])
		<-gone
		c.Send(body[20000:])
		if name == "chunked" {
			c.Send("\r\n0\r\n\r\n")
		}
		if r, err := c.Next("PUT"); err != nil || r.Text != body || r.Close {
			t.Errorf("%s: got %v, %v; want the whole body from the second endpoint, and the connection kept", name, r, err)
		}
	}
}

// TestPerTryTimeoutIsSharedOut lets one endpoint hang under a route that sets no per-try timeout.
func TestPerTryTimeoutIsSharedOut(t *testing.T) {
	hung, other := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t, ok)
	g := start(t, options{route: Route{Timeout: 600 * time.Millisecond}}, hung, other)
	if r := g.dial().Get("/"); r.StatusCode != 200 || hung.Count("GET") != 1 {
		t.Errorf("a GET got %d after %d attempts at the endpoint that hangs, want 200 after 1", r.StatusCode, hung.Count("GET"))
	}
	if r := g.dial().Post("/", "order"); r.StatusCode != 504 || other.Count("POST") != 0 {
		t.Errorf("a POST got %d, the other endpoint %d POSTs; want 504, 0", r.StatusCode, other.Count("POST"))
	}
}

func TestPolicyTimeout(t *testing.T) {
	for name, c := range map[string]struct{ policy, route time.Duration }{
		"a shorter one holds":   {50 * time.Millisecond, time.Minute},
		"a longer one does not": {time.Minute, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p := picker(func(r *policies.Request, v *policies.View) int {
				r.Timeout = c.policy
				return inOrder{}.Pick(r, v)
			})
			hung := gatewaytest.NewEndpoint(t, gatewaytest.Hang())
			g := start(t, options{policy: p, route: Route{Timeout: 2 * time.Minute, PerTryTimeout: c.route}}, hung, gatewaytest.NewEndpoint(t))
			if r := g.dial().Get("/"); r.StatusCode != 200 || hung.Count("GET") != 1 {
				t.Errorf("got %d after %d attempts at the endpoint that hangs, want 200 after 1", r.StatusCode, hung.Count("GET"))
			}
		})
	}
}

func TestStaleConnection(t *testing.T) {
	t.Run("a POST on a connection that died idle is sent on a new one", func(t *testing.T) {
		for name, kill := range map[string]func(*gatewaytest.Endpoint){
			"closed": (*gatewaytest.Endpoint).CloseConns, "reset": (*gatewaytest.Endpoint).ResetConns,
		} {
			e := gatewaytest.NewEndpoint(t)
			g := start(t, options{route: Route{Attempts: 1}}, e)
			c := g.dial()
			c.Post("/", "1")
			gatewaytest.Eventually(t, "connection is idle", func() bool { return g.pool(0).Stats().Idle == 1 })
			kill(e)
			gatewaytest.Eventually(t, "endpoint's side is gone", func() bool { return e.Open() == 0 })
			if r := c.Post("/", "2"); r.StatusCode != 200 {
				t.Errorf("%s: got %d", name, r.StatusCode)
			}
			if got := e.Executed("POST"); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("%s: executed %q; want each once", name, got)
			}
			if s := g.pool(0).Stats(); s.Discarded[upstream.Stale] != 1 {
				t.Errorf("%s: %+v; want one stale connection", name, s)
			}
		}
	})
	t.Run("a GET whose reused connection closes in the moment of sending is sent on a new one", func(t *testing.T) {
		die := func(x *gatewaytest.Exchange) { x.Close() } // as if it had closed before the request came
		e := gatewaytest.NewEndpoint(t, ok, die, ok)
		g := start(t, options{route: Route{Attempts: 1}}, e)
		c := g.dial()
		c.Get("/")
		if r := c.Get("/"); r.StatusCode != 200 || e.Count("GET") != 3 {
			t.Errorf("got %d after %d requests; want 200 after 3", r.StatusCode, e.Count("GET"))
		}
		if s := g.Stats().Clusters[0]; s.Stale != 1 || s.Retries["granted"] != 0 {
			t.Errorf("%+v; want one stale attempt, which is no retry", s)
		}
	})
	t.Run("a POST in the same place is not", func(t *testing.T) {
		die := func(x *gatewaytest.Exchange) { _ = x.ReadBody(); x.Close() }
		e := gatewaytest.NewEndpoint(t, ok, die, ok)
		c := start(t, options{}, e).dial()
		c.Get("/")
		if r := c.Post("/", "x"); r.StatusCode != 502 || e.Count("POST") != 1 {
			t.Errorf("got %d after %d requests; want 502 after 1", r.StatusCode, e.Count("POST"))
		}
	})
}

// script answers from a list.
type script struct{ verdicts []policies.Verdict }

func (s *script) Next(*policies.Request, *policies.View, policies.Outcome) policies.Verdict {
	v := s.verdicts[0]
	if len(s.verdicts) > 1 {
		s.verdicts = s.verdicts[1:]
	}
	return v
}

func TestHostilePolicy(t *testing.T) {
	three := func(t *testing.T, acts ...gatewaytest.Act) (es []*gatewaytest.Endpoint) {
		for _, a := range acts {
			es = append(es, gatewaytest.NewEndpoint(t, a))
		}
		return es
	}
	t.Run("picks that are no endpoint are replaced", func(t *testing.T) {
		for _, bad := range []int{1e6, -77, 3} {
			es := three(t, ok, ok, ok)
			g := start(t, options{policy: picker(func(*policies.Request, *policies.View) int { return bad })}, es...)
			if r := g.dial().Get("/"); r.StatusCode != 200 || g.Stats().Clusters[0].BadPicks != 1 {
				t.Errorf("pick %d: got %d, %d bad picks", bad, r.StatusCode, g.Stats().Clusters[0].BadPicks)
			}
		}
	})
	t.Run("an endpoint that was tried is not tried again while another is left", func(t *testing.T) {
		es := three(t, cut, ok, ok)
		g := start(t, options{policy: picker(func(*policies.Request, *policies.View) int { return 0 }), failover: &script{[]policies.Verdict{{Action: policies.Retry, Endpoint: 0}}}}, es...)
		if r := g.dial().Get("/"); r.StatusCode != 200 || es[0].Count("") != 1 || es[1].Count("") != 1 {
			t.Errorf("got %d; endpoints had %d and %d requests, want 1 and 1", r.StatusCode, es[0].Count(""), es[1].Count(""))
		}
	})
	t.Run("a verdict names the endpoint", func(t *testing.T) {
		es := three(t, cut, ok, ok)
		g := start(t, options{failover: &script{[]policies.Verdict{{Action: policies.Retry, Endpoint: 2}}}}, es...)
		if r := g.dial().Get("/"); r.StatusCode != 200 || es[1].Count("") != 0 || es[2].Count("") != 1 {
			t.Errorf("got %d; want the third endpoint's answer", r.StatusCode)
		}
	})
	t.Run("a verdict cannot make a POST be executed twice", func(t *testing.T) {
		es := three(t, cut, ok, ok)
		g := start(t, options{failover: &script{[]policies.Verdict{{Action: policies.Retry, Endpoint: 1}}}}, es...)
		if r := g.dial().Post("/", "x"); r.StatusCode != 502 || es[1].Count("") != 0 {
			t.Errorf("got %d; the second endpoint had %d requests, want 0", r.StatusCode, es[1].Count(""))
		}
	})
	t.Run("a verdict cannot send a body again that is gone", func(t *testing.T) {
		es := three(t, cut, ok, ok)
		g := start(t, options{failover: &script{[]policies.Verdict{{Action: policies.Retry, Endpoint: 1}}}}, es...)
		if r := g.dial().Do(gatewaytest.Head("PUT", "/", "Content-Length: 100000") + strings.Repeat("x", 100000)); r.StatusCode != 502 || es[1].Count("") != 0 {
			t.Errorf("got %d; the second endpoint had %d requests, want 0", r.StatusCode, es[1].Count(""))
		}
	})
	t.Run("a verdict cannot widen the number of attempts", func(t *testing.T) {
		es := three(t, cut, cut, cut)
		g := start(t, options{route: Route{Attempts: 2}, failover: &script{[]policies.Verdict{{Action: policies.Retry, Endpoint: policies.None}}}}, es...)
		if r := g.dial().Get("/"); r.StatusCode != 502 || es[2].Count("") != 0 || g.Stats().Clusters[0].Retries["attempts"] != 1 {
			t.Errorf("got %d, %v", r.StatusCode, g.Stats().Clusters[0].Retries)
		}
	})
	t.Run("policies reject with their own status", func(t *testing.T) {
		es := three(t, ok)
		g := start(t, options{policy: picker(func(r *policies.Request, _ *policies.View) int {
			r.RejectStatus = 429
			return policies.Rejected
		})}, es...)
		r := g.dial().Get("/")
		if r.StatusCode != 429 || r.Header.Get("Retry-After") != "1" || !strings.Contains(r.Text, `"status":429`) || es[0].Count("") != 0 {
			t.Errorf("got %d %v %s", r.StatusCode, r.Header, r.Text)
		}
	})
	t.Run("a panic costs its request and no other", func(t *testing.T) {
		first := true
		g := start(t, options{policy: picker(func(*policies.Request, *policies.View) int {
			if first {
				first = false
				panic("policy")
			}
			return 0
		})}, three(t, ok)...)
		c := g.dial()
		if r := c.Get("/"); r.StatusCode != 500 {
			t.Errorf("got %d; want 500", r.StatusCode)
		}
		if r := c.Get("/"); r.StatusCode != 200 || g.Stats().Panics != 1 {
			t.Errorf("then got %d, %d panics", r.StatusCode, g.Stats().Panics)
		}
	})
}

func TestRetryBudget(t *testing.T) {
	const clients = 20
	come, gate := make(chan struct{}, 2*clients), make(chan struct{})
	held := func(x *gatewaytest.Exchange) { come <- struct{}{}; <-gate; ok(x) }
	e := gatewaytest.NewEndpoint(t)
	e.Stop()
	e2 := gatewaytest.NewEndpoint(t, held)
	g := start(t, options{route: Route{Budget: 10}}, e, e2)
	codes := make(chan int, clients)
	for range clients {
		c := g.dial()
		go func() { codes <- c.Get("/").StatusCode }()
	}
	for range minRetries {
		<-come // these hold the floor of the budget
	}
	for range clients - minRetries {
		if code := <-codes; code != http.StatusBadGateway {
			t.Errorf("got %d beyond the budget; want 502", code)
		}
	}
	if s := g.Stats().Clusters[0]; s.Retrying != minRetries || s.Retries["budget"] != clients-minRetries {
		t.Errorf("%d retries in flight, verdicts %v; want %d", s.Retrying, s.Retries, minRetries)
	}
	close(gate)
	for range minRetries {
		if code := <-codes; code != 200 {
			t.Errorf("got %d within the budget; want 200", code)
		}
	}
}

func TestRetriesBeyondTheBudgetWaitTheirTurn(t *testing.T) {
	const clients = 30
	come, gate := make(chan struct{}, clients), make(chan struct{})
	dying := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { come <- struct{}{}; <-gate; x.Reset() })
	g := start(t, options{route: Route{Budget: 10}}, dying, gatewaytest.NewEndpoint(t))
	codes := make(chan int, clients)
	for range clients {
		c := g.dial()
		go func() { codes <- c.Get("/").StatusCode }()
	}
	for range clients {
		<-come
	}
	close(gate) // all at once, as when a process dies
	for range clients {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("got %d; want every request saved", code)
		}
	}
}

func TestConcurrencyLimit(t *testing.T) {
	come, gate := make(chan struct{}, 4), make(chan struct{})
	e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) { come <- struct{}{}; <-gate; ok(x) })
	g := start(t, options{route: Route{MaxRequests: 1}}, e)
	first := g.dial()
	first.Send(gatewaytest.Head("GET", "/"))
	<-come
	second := g.dial()
	if r := second.Get("/"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !strings.Contains(r.Text, "#overloaded") {
		t.Errorf("got %d %v %s", r.StatusCode, r.Header, r.Text)
	}
	close(gate)
	if r, err := first.Next("GET"); err != nil || r.StatusCode != 200 {
		t.Errorf("the first got %v, %v", r, err)
	}
	gatewaytest.Eventually(t, "a slot is free", func() bool { return g.Stats().Clusters[0].Active == 0 })
	if r := second.Get("/"); r.StatusCode != 200 {
		t.Errorf("afterwards got %d", r.StatusCode)
	}
}

// TestARetryKnowsWhoWentDownMeanwhile lets an endpoint go down while a request waits for another one.
func TestARetryKnowsWhoWentDownMeanwhile(t *testing.T) {
	route := Route{PerTryTimeout: 300 * time.Millisecond}
	t.Run("with the whole view", func(t *testing.T) {
		hung, gone, other := gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "other"))
		g := start(t, options{route: route}, hung, gone, other)
		c := g.dial()
		done := make(chan *gatewaytest.Response, 1)
		go func() { done <- c.Get("/") }()
		gatewaytest.Eventually(t, "the request hangs", func() bool { return hung.Count("GET") == 1 })
		g.apply(discovery.Passing, discovery.Critical, discovery.Passing)
		if r := <-done; r.StatusCode != 200 || r.Text != "other" || gone.Count("GET") != 0 {
			t.Errorf("got %d %q, and %d attempts at the endpoint that is down; want 200 of the other, and none", r.StatusCode, r.Text, gone.Count("GET"))
		}
	})
	t.Run("with a part of it", func(t *testing.T) {
		down, hung, gone, other := gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "other"))
		g := start(t, options{
			route: route, split: policies.Split{Overprovision: 1},
			instance: func(i int, in *discovery.Instance) { in.Tier = uint8(i / 2) },
		}, down, hung, gone, other)
		g.apply(discovery.Critical, discovery.Passing, discovery.Passing, discovery.Passing)
		if n := len(g.cluster.Load().View.Parts); n != 2 {
			t.Fatalf("%d parts, want one for each tier", n)
		}
		c := g.dial()
		done := make(chan *gatewaytest.Response, 1)
		go func() {
			for r := c.Get("/"); ; r = c.Get("/") {
				if hung.Count("GET") == 1 { // else it was drawn to the other tier
					done <- r
					return
				}
			}
		}()
		gatewaytest.Eventually(t, "a request hangs", func() bool { return hung.Count("GET") == 1 })
		before := gone.Count("GET")
		g.apply(discovery.Critical, discovery.Passing, discovery.Critical, discovery.Passing)
		if r := <-done; r.StatusCode != 200 || r.Text != "other" || gone.Count("GET") != before {
			t.Errorf("got %d %q, and %d more attempts at the endpoint that is down; want 200 of the other, and none", r.StatusCode, r.Text, gone.Count("GET")-before)
		}
	})
}
