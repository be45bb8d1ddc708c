package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/policies"
)

const askToken = "Weir-Explain: s3cret"

// asking are options under which that token asks.
func asking(o options) options {
	o.config.ExplainToken = "s3cret"
	return o
}

// read parses the explanation in a response.
func read(t *testing.T, r *gatewaytest.Response) (e Explanation) {
	t.Helper()
	h := r.Header.Get("Weir-Explain")
	if len(h) > 4<<10 || strings.ContainsFunc(h, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("a field of %d bytes, want one line of ASCII of at most 4 KiB: %q", len(h), h)
	}
	if err := json.Unmarshal([]byte(h), &e); err != nil {
		t.Fatalf("Weir-Explain %q: %v", h, err)
	}
	return e
}

func attempts(e Explanation) (all []string) {
	for _, a := range e.Attempts {
		s := fmt.Sprintf("%s %s %d %s", a.Endpoint, a.Outcome, a.Status, a.Verdict)
		if a.Hedge {
			s += " hedge"
		}
		if a.Loser {
			s += " loser"
		}
		all = append(all, s)
	}
	return all
}

func excluded(e Explanation) (all []string) {
	for _, x := range e.Excluded {
		all = append(all, x.Endpoint+" "+x.Reason)
	}
	return all
}

func TestExplain(t *testing.T) {
	t.Run("a request that asks is told how it went", func(t *testing.T) {
		es := []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t, cut), gatewaytest.NewEndpoint(t, fail503), gatewaytest.NewEndpoint(t)}
		g := start(t, asking(options{route: Route{Name: "front"}}), es...)
		r := g.dial().Get("/a%20b?c=d", askToken)
		e := read(t, r)
		if e.Method != "GET" || e.Host != "test" || e.Path != "/a%20b" || e.Client != "127.0.0.1" || e.Route != "all" || e.Cluster != "web" || e.Policy != "in_order" || e.Digest != "d1" || e.Status != 200 || e.Up != 3 || e.Of != 3 || e.Rehearsed || e.Cut {
			t.Errorf("explanation %+v", e)
		}
		if got, want := attempts(e), []string{"0 reset 0 granted", "1 bad_status 503 granted", "2 ok 200 "}; !slices.Equal(got, want) {
			t.Errorf("attempts %q, want %q", got, want)
		}
		if got, want := excluded(e), []string{"0 tried", "1 tried"}; !slices.Equal(got, want) {
			t.Errorf("excluded %q, want %q", got, want)
		}
		if len(e.Decisions) != 3 || e.Decisions[1].Call != "pick" || e.Decisions[1].Result != "ok" || e.Decisions[1].Endpoint != "1" || e.Decisions[1].Policy != "" {
			t.Errorf("decisions %+v", e.Decisions)
		}
		for _, en := range es {
			for _, r := range en.Requests() {
				if r.Header.Get("Weir-Explain") != "" {
					t.Error("the token went on to an endpoint")
				}
			}
		}
		g.settled()
		kept := g.Explanations(9)
		if len(kept) != 1 || kept[0].Micros <= 0 || kept[0].Time.IsZero() || !slices.Equal(attempts(kept[0]), attempts(e)) {
			t.Errorf("kept %+v, want the same", kept)
		}
	})
	t.Run("who does not know the token is told nothing", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t)
		g := start(t, asking(options{}), e)
		off := start(t, options{}, e)
		for _, c := range []struct {
			g     *gateway
			field string
		}{{g, "Weir-Explain: "}, {g, "Weir-Explain: s3cre"}, {g, "Weir-Explain: s3cret2"}, {g, "X: s3cret"}, {off, "Weir-Explain: "}, {off, askToken}} {
			if r := c.g.dial().Get("/", c.field); r.StatusCode != 200 || r.Header.Get("Weir-Explain") != "" {
				t.Errorf("%s: got %d %q", c.field, r.StatusCode, r.Header.Get("Weir-Explain"))
			}
		}
		for _, r := range e.Requests() {
			if r.Header.Get("Weir-Explain") != "" {
				t.Error("the field went on to the endpoint")
			}
		}
		if n := len(g.Explanations(9)) + len(off.Explanations(9)); n != 0 {
			t.Errorf("%d explanations kept, want 0", n)
		}
	})
	t.Run("why endpoints are out", func(t *testing.T) {
		var es []*gatewaytest.Endpoint
		for range 7 {
			es = append(es, gatewaytest.NewEndpoint(t))
		}
		g := start(t, asking(options{}), es...)
		s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
		for i, e := range es {
			s.Instances = append(s.Instances, discovery.Instance{ID: fmt.Sprint(i), Address: e.Address(), Weight: 1})
		}
		s.Instances[0].Status = discovery.Critical
		s.Instances[1].Status = discovery.Maintenance
		s.Instances[2].Weight = 0
		s.Instances[6].Tier = 1
		g.cluster.Apply(s)
		if err := g.cluster.SetOverride("3", cluster.ForceDrain); err != nil {
			t.Fatal(err)
		}
		if !g.cluster.Load().Table.Ejector.Eject(4, time.Minute) {
			t.Fatal("not ejected")
		}
		gatewaytest.Eventually(t, "it is ejected", func() bool { return len(g.cluster.Load().View.Up) == 2 })
		e := read(t, g.dial().Get("/", askToken))
		want := []string{"0 down: critical", "1 draining: maintenance", "2 weight 0", "3 draining: operator", "4 ejected: policy", "6 other tier"}
		if got := excluded(e); !slices.Equal(got, want) || e.Up != 2 || e.Of != 7 {
			t.Errorf("excluded %q with %d of %d up, want %q with 2 of 7", got, e.Up, e.Of, want)
		}
	})
	t.Run("the gateway's own answers are explained", func(t *testing.T) {
		closed := gatewaytest.NewEndpoint(t)
		closed.Stop()
		g := start(t, asking(options{route: Route{Host: "test", Attempts: 1}}), closed)
		e := read(t, g.dial().Get("/", askToken))
		if e.Status != 502 || e.Problem != "connection_refused" || !slices.Equal(attempts(e), []string{"0 refused 0 attempts"}) {
			t.Errorf("explanation %+v", e)
		}
		e = read(t, g.dial().Do("GET / HTTP/1.1\r\nHost: nobody\r\n"+askToken+"\r\n\r\n"))
		if e.Status != 404 || e.Problem != "no_route" || e.Cluster != "" {
			t.Errorf("explanation %+v", e)
		}
		g.config.Routes[0].MaxRequests = 1
		g.Update(&g.config)
		g.clusters["web"].active.Add(1)
		e = read(t, g.dial().Get("/", askToken))
		g.clusters["web"].active.Add(-1)
		if e.Status != 503 || e.Problem != "overloaded" || e.Cluster != "web" {
			t.Errorf("explanation %+v", e)
		}
		g = start(t, asking(options{policy: picker(func(r *policies.Request, _ *policies.View) int {
			r.RejectStatus, r.Reason = 429, 7
			return policies.Rejected
		})}), closed)
		e = read(t, g.dial().Get("/", askToken))
		if e.Status != 429 || e.Problem != "rejected" || e.Decisions[0].Result != "reject" || e.Decisions[0].Reason != 7 {
			t.Errorf("explanation %+v", e)
		}
	})
	t.Run("what a policy says of itself stands", func(t *testing.T) {
		p := picker(func(r *policies.Request, _ *policies.View) int {
			if r.Trace != nil {
				r.Trace.Decisions = append(r.Trace.Decisions, policies.Decision{Policy: "in_order", Digest: "d1", Call: "pick", Result: "trap", Answer: -7, Endpoint: 0, Fuel: 42, Nanos: 9, Fallback: "p2c", Why: "unreachable"})
			}
			return 0
		})
		g := start(t, asking(options{policy: p}), gatewaytest.NewEndpoint(t))
		c := g.dial()
		if r := c.Get("/"); r.StatusCode != 200 {
			t.Fatal(r.StatusCode)
		}
		got, _ := json.Marshal(read(t, c.Get("/", askToken)).Decisions)
		if want := `[{"call":"pick","result":"trap","answer":-7,"endpoint":"0","fuel":42,"ns":9,"fallback":"p2c","why":"unreachable"}]`; string(got) != want {
			t.Errorf("decisions %s, want %s", got, want)
		}
	})
	t.Run("a hedge shows both attempts", func(t *testing.T) {
		g := start(t, asking(options{policy: hedging(), route: Route{Timeout: time.Minute, PerTryTimeout: time.Minute}}), gatewaytest.NewEndpoint(t, gatewaytest.Hang()), gatewaytest.NewEndpoint(t))
		e := read(t, g.dial().Get("/", askToken))
		if got, want := attempts(e), []string{"0 cancelled 0  hedge loser", "1 ok 200  hedge"}; !slices.Equal(got, want) || e.Attempts[1].Began < 20_000 {
			t.Errorf("attempts %q, the second after %d us; want %q, at least 20000", got, e.Attempts[1].Began, want)
		}
	})
	t.Run("a stream is explained at its head, and kept at its end", func(t *testing.T) {
		g := start(t, asking(options{config: Config{}}), gatewaytest.NewEndpoint(t, gatewaytest.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nWeir-Explain: mine\r\n\r\nhalf")))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/", askToken))
		r, err := c.Head("GET")
		if err != nil {
			t.Fatal(err)
		}
		if e := read(t, &gatewaytest.Response{Response: r}); len(r.Header["Weir-Explain"]) != 1 || !slices.Equal(attempts(e), []string{"0 ok 200 "}) {
			t.Errorf("attempts %q, fields %q", attempts(e), r.Header["Weir-Explain"])
		}
		_, _ = io.Copy(io.Discard, r.Body)
		g.settled()
		if e := g.Explanations(1)[0]; !slices.Equal(attempts(e), []string{"0 reset 200 "}) {
			t.Errorf("kept %q", attempts(e))
		}
	})
	t.Run("only the last 256 are kept, the newest first", func(t *testing.T) {
		g := start(t, asking(options{}), gatewaytest.NewEndpoint(t))
		c := g.dial()
		for i := range keptExplanations + 10 {
			c.Get(fmt.Sprint("/", i), askToken)
		}
		g.settled()
		kept := g.Explanations(1000)
		if len(kept) != keptExplanations || kept[0].Path != "/265" || kept[255].Path != "/10" || g.Explanations(2)[1].Path != "/264" || len(g.Explanations(-1)) != 0 {
			t.Errorf("%d kept, from %s to %s", len(kept), kept[0].Path, kept[len(kept)-1].Path)
		}
	})
	t.Run("a panic in what explains costs the request alone", func(t *testing.T) {
		g := start(t, asking(options{policy: picker(func(r *policies.Request, _ *policies.View) int {
			if r.Trace != nil {
				panic("policy")
			}
			return 0
		})}), gatewaytest.NewEndpoint(t))
		if r := g.dial().Get("/", askToken); r.StatusCode != 500 {
			t.Errorf("got %d, want 500", r.StatusCode)
		}
		if r := g.dial().Get("/"); r.StatusCode != 200 {
			t.Errorf("then got %d, want 200", r.StatusCode)
		}
	})
}

func TestExplanationFitsIntoAField(t *testing.T) {
	long := strings.Repeat("ü\u2028\n\x7f😀\"", 300)
	for n := range 40 {
		e := Explanation{Method: "GET", Host: long[:min(n*20, 264)], Path: long[:min(n*20, 256)]}
		for range n * 3 {
			e.Excluded = append(e.Excluded, Exclusion{long[:n], "tried"})
			e.Decisions = append(e.Decisions, ExplainedDecision{Call: "pick", Why: long[:n*20]})
		}
		for range n % 9 {
			e.Attempts = append(e.Attempts, ExplainedAttempt{Endpoint: long[:n*10]})
		}
		b := e.header()
		var back Explanation
		if err := json.Unmarshal(b, &back); err != nil || len(b) > 4<<10 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if i := slices.IndexFunc(b, func(c byte) bool { return c < ' ' || c > '~' }); i >= 0 {
			t.Fatalf("byte 0x%02x in %q", b[i], b)
		}
		if want, _ := json.Marshal(e); !back.Cut && len(back.Decisions) != len(e.Decisions) || back.Cut && len(want) < 3<<10 {
			t.Errorf("%d decisions of %d, cut %t", len(back.Decisions), len(e.Decisions), back.Cut)
		}
	}
	e := Explanation{Path: "/ü😀\x7f"}
	if b := e.header(); !strings.Contains(string(b), `/\u00fc\ud83d\ude00\u007f`) {
		t.Errorf("%s", b)
	}
}

// rehearsed is a policy with a state: the turn of round robin, of which a rehearsal has a copy.
type rehearsed struct {
	turn   atomic.Uint32
	open   atomic.Int32
	refuse bool
}

func (p *rehearsed) Build(*policies.Table) (policies.Picker, error) { return p, nil }

func (p *rehearsed) Pick(r *policies.Request, v *policies.View) int {
	i := inOrder{turn: &p.turn}.Pick(r, v)
	if r.Attempt == 0 {
		p.turn.Add(1)
	}
	return i
}

func (p *rehearsed) Rehearse(t *policies.Table) (policies.Rehearsal, error) {
	if t.Ejector != nil {
		return nil, errors.New("a rehearsal that can eject")
	}
	if p.refuse {
		return nil, errors.New("no rehearsal today")
	}
	p.open.Add(1)
	c := &rehearsal{of: p}
	c.turn.Store(p.turn.Load())
	return c, nil
}

type rehearsal struct {
	rehearsed
	of *rehearsed
}

func (c *rehearsal) Close() error { c.of.open.Add(-1); return nil }

func (c *rehearsal) Next(*policies.Request, *policies.View, policies.Outcome) policies.Verdict {
	return policies.Verdict{Action: policies.Retry, Endpoint: policies.None}
}

func TestRehearse(t *testing.T) {
	three := func(t *testing.T, o options) (*gateway, []*gatewaytest.Endpoint) {
		es := []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t)}
		return start(t, o, es...), es
	}
	// places is what could tell a rehearsal from nothing at all.
	places := func(g *gateway) string {
		c := g.cluster.Status()
		return fmt.Sprintf("%+v %+v %d", g.Stats(), c, g.cluster.Seq())
	}
	t.Run("a built-in policy", func(t *testing.T) {
		l := new(learner)
		g, es := three(t, options{policy: l})
		before := places(g)
		e, err := g.Explain(ExplainRequest{URL: "http://shop/x?y=z"})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := attempts(e), []string{"0  0 granted", "1  0 granted", "2  0 attempts"}; !slices.Equal(got, want) || e.Problem != "" || !e.Rehearsed || e.Method != "GET" || e.Host != "shop" || e.Path != "/x" || e.Cluster != "web" || e.Policy != "in_order" || len(e.Decisions) != 3 {
			t.Errorf("explanation %+v, attempts %q; want %q", e, got, want)
		}
		if after := places(g); after != before || es[0].Accepted() != 0 || len(l.all()) != 0 || len(g.Explanations(1)) != 0 {
			t.Errorf("it left traces:\n%s\n%s", before, after)
		}
	})
	t.Run("a policy with a state", func(t *testing.T) {
		p := new(rehearsed)
		p.turn.Store(1)
		g, _ := three(t, options{policy: p})
		for range 2 {
			e, err := g.Explain(ExplainRequest{Method: "GET", URL: "/x", Header: http.Header{"Host": {"a"}}})
			if got, want := attempts(e), []string{"1  0 granted", "2  0 granted", "0  0 attempts"}; err != nil || !slices.Equal(got, want) || p.open.Load() != 0 {
				t.Errorf("%v, attempts %q, %d left open; want %q", err, got, p.open.Load(), want)
			}
		}
		if n := p.turn.Load(); n != 1 {
			t.Errorf("it is turn %d, want 1 still", n)
		}
		p.refuse = true
		if _, err := g.Explain(ExplainRequest{URL: "http://a/"}); err == nil || !strings.Contains(err.Error(), "no rehearsal today") {
			t.Errorf("%v, want the policy's own words", err)
		}
	})
	t.Run("what depends on the request", func(t *testing.T) {
		g, _ := three(t, options{sticky: sticky, route: Route{Affinity: Affinity{HeaderKey, "X-User"}}, policy: &binder{}})
		token, _, _ := strings.Cut(string(g.cluster.Load().Sticky.Field(2)), ";")
		e, err := g.Explain(ExplainRequest{Method: "POST", URL: "http://a/", ClientIP: "2001:db8::1", Header: http.Header{"Cookie": {token}, "X-User": {"u"}, "Content-Length": {"5"}}})
		if err != nil || e.Client != "2001:db8::1" || !e.Keyed || e.Sticky != "2" || !slices.Equal(attempts(e), []string{"2  0 unsafe"}) {
			t.Errorf("%v, explanation %+v; want a POST that is not repeated, at its sticky endpoint", err, e)
		}
	})
	t.Run("problems", func(t *testing.T) {
		g, _ := three(t, options{route: Route{Host: "known", MaxRequests: 1}})
		for _, c := range []struct {
			req     ExplainRequest
			problem string
			status  int
		}{
			{ExplainRequest{URL: "http://unknown/"}, "no_route", 404},
			{ExplainRequest{Method: "CONNECT", URL: "http://known/"}, "method_not_allowed", 405},
			{ExplainRequest{URL: "http://known/../x"}, "bad_target", 400},
			{ExplainRequest{URL: "http://known/", Header: http.Header{"Via": {"1.1 weir"}}}, "loop", 508},
			{ExplainRequest{URL: "http://known/", Header: http.Header{"X_Forwarded_For": {"1"}}}, "alias_field", 400},
		} {
			if e, err := g.Explain(c.req); err != nil || e.Problem != c.problem || e.Status != c.status {
				t.Errorf("%+v: %v, %q %d; want %q %d", c.req, err, e.Problem, e.Status, c.problem, c.status)
			}
		}
		g.clusters["web"].active.Add(1)
		if e, err := g.Explain(ExplainRequest{URL: "http://known/"}); err != nil || e.Problem != "overloaded" {
			t.Errorf("%v, %q; want overloaded", err, e.Problem)
		}
		g.clusters["web"].active.Add(-1)
		g.apply(discovery.Critical, discovery.Critical, discovery.Critical)
		if e, err := g.Explain(ExplainRequest{URL: "http://known/"}); err != nil || e.Problem != "no_endpoint" || len(e.Excluded) != 3 {
			t.Errorf("%v, %q, excluded %v; want no_endpoint and three", err, e.Problem, e.Excluded)
		}
	})
	t.Run("what is no request", func(t *testing.T) {
		g, _ := three(t, options{})
		for _, bad := range []ExplainRequest{
			{},
			{URL: "x"},
			{URL: "/x"},
			{URL: "ftp://a/"},
			{URL: "http://a/x y"},
			{Method: "G\r\nX: y", URL: "http://a/"},
			{URL: "http://a/", Header: http.Header{"X": {"a\r\nb: c"}}},
			{URL: "http://a/", ClientIP: "nobody"},
			{URL: "http://a\n/"},
		} {
			if e, err := g.Explain(bad); err == nil {
				t.Errorf("%+v is explained: %+v", bad, e)
			}
		}
	})
}

func TestAttrs(t *testing.T) {
	var got []string
	p := picker(func(r *policies.Request, _ *policies.View) int {
		got = nil
		for a := policies.AttrPath; a < policies.NumAttrs; a++ {
			got = append(got, string(r.Attrs.Attr(a)))
		}
		got = append(got, netip.AddrFrom16(r.ClientIP).String(), fmt.Sprint(r.ClientPort > 0))
		return 0
	})
	trusted := map[string][]netip.Prefix{"http": {netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range []struct {
		name, request string
		config        Config
		want          []string
	}{
		{"of a GET", "GET /a%20b/c?d=e&f HTTP/1.1\r\nHost: Shop.example:8080\r\n\r\n", Config{}, []string{"/a%20b/c", "d=e&f", "Shop.example:8080", "GET", "", "all", "web", "127.0.0.1", "", "::ffff:127.0.0.1", "true"}},
		{"of a proxy's request", "PURGE http://other/x HTTP/1.1\r\nHost: a\r\n\r\n", Config{}, []string{"/x", "", "other", "PURGE", "", "all", "web", "127.0.0.1", "", "::ffff:127.0.0.1", "true"}},
		{"of a client behind a trusted proxy", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2001:db8::7, 127.0.0.9\r\n\r\n", Config{Trusted: trusted}, []string{"/", "", "a", "GET", "", "all", "web", "2001:db8::7", "", "2001:db8::7", "false"}},
		{"of a client that claims to be one", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2001:db8::7\r\n\r\n", Config{}, []string{"/", "", "a", "GET", "", "all", "web", "127.0.0.1", "", "::ffff:127.0.0.1", "true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, options{policy: p, config: c.config}, gatewaytest.NewEndpoint(t))
			if r := g.dial().Do(c.request); r.StatusCode != 200 || !slices.Equal(got, c.want) {
				t.Errorf("got %d, attributes %q, want %q", r.StatusCode, got, c.want)
			}
		})
	}
}

// TestListenersAreNumbered has policies see which listener a request came to, by the order in which they were served.
func TestListenersAreNumbered(t *testing.T) {
	var saw atomic.Uint32
	g := start(t, options{policy: picker(func(r *policies.Request, _ *policies.View) int {
		saw.Store(uint32(r.Listener))
		return 0
	})}, gatewaytest.NewEndpoint(t))
	g.dial().Get("/")
	if saw.Load() != 0 {
		t.Errorf("the first listener is number %d, want 0", saw.Load())
	}
	for name, want := range map[string]uint32{"other": 1, "http": 0} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- g.Serve(name, ln) }()
		if r := gatewaytest.Dial(t, ln.Addr().String()).Get("/"); r.StatusCode != 200 || saw.Load() != want {
			t.Errorf("listener %s: got %d, number %d; want 200, %d", name, r.StatusCode, saw.Load(), want)
		}
		_ = ln.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// TestExplainHammer asks for explanations of both kinds while there is traffic and everything changes.
func TestExplainHammer(t *testing.T) {
	es := []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t, fail503), gatewaytest.NewEndpoint(t)}
	g := start(t, asking(options{policy: policies.WeightedRoundRobin{}, sticky: sticky}), es...)
	var wg sync.WaitGroup
	for range 3 {
		c := g.dial()
		wg.Go(func() {
			for range 100 {
				if r := c.Get("/", askToken); r.StatusCode != 200 || r.Header.Get("Weir-Explain") == "" {
					t.Errorf("got %d %q", r.StatusCode, r.Header.Get("Weir-Explain"))
				}
				if e, err := g.Explain(ExplainRequest{URL: "http://a/"}); err != nil || len(e.Attempts) == 0 {
					t.Errorf("%v, %+v", err, e)
				}
				g.Explanations(5)
			}
		})
	}
	for i := range 60 {
		s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
		for k, e := range es[:2+i%2] {
			s.Instances = append(s.Instances, discovery.Instance{ID: fmt.Sprint(k), Address: e.Address(), Weight: 1 + i%3})
		}
		g.cluster.Apply(s)
		g.Update(&g.config)
	}
	wg.Wait()
}
