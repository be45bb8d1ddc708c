package consul

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul/agent"
)

// start runs a real agent until the test ends.
func start(t testing.TB, o agent.Options) *agent.Agent {
	t.Helper()
	a, err := agent.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// register registers instances of the service "web" at distinct ports.
func register(t testing.TB, a *agent.Agent, ids ...string) {
	t.Helper()
	for _, id := range ids {
		must(t, a.Register(t.Context(), agent.Service{ID: id, Name: "web", Port: 9000 + int(id[0])}))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLive(t *testing.T) {
	a := start(t, agent.Options{})
	ctx := t.Context()
	register(t, a, "a", "b")
	r := watching(t, client(t, Options{Address: a.Addr()}).Service(Query{Service: "web"}))
	r.until(t, "both instances", is("live a=passing b=passing"))

	var worst time.Duration
	step := func(t *testing.T, want string, do func() error) {
		t.Helper()
		began := time.Now()
		must(t, do())
		worst = max(worst, r.until(t, want, is(want)).when.Sub(began))
	}
	t.Run("checks and maintenance decide the status", func(t *testing.T) {
		for range 3 {
			step(t, "live a=critical b=passing", func() error { return a.Fail(ctx, "a") })
			step(t, "live a=passing b=passing", func() error { return a.Pass(ctx, "a") })
			step(t, "live a=passing b=warning", func() error { return a.Warn(ctx, "b") })
			step(t, "live a=maintenance b=warning", func() error { return a.Maintenance(ctx, "a", true) })
			step(t, "live a=passing b=warning", func() error { return a.Maintenance(ctx, "a", false) })
			step(t, "live a=passing b=passing", func() error { return a.Pass(ctx, "b") })
		}
	})
	t.Run("one of two may leave and come back", func(t *testing.T) {
		step(t, "live a=passing", func() error { return a.Deregister(ctx, "b") })
		step(t, "live a=passing b=passing", func() error {
			return a.Register(ctx, agent.Service{ID: "b", Name: "web", Port: 9098})
		})
	})
	t.Run("a change after quiet passes at once", func(t *testing.T) {
		n := len(r.all())
		step(t, "live a=passing b=critical", func() error { return a.Fail(ctx, "b") })
		if got := len(r.all()) - n; got > 1 {
			t.Errorf("%d states published for one change, want 1", got)
		}
		step(t, "live a=passing b=passing", func() error { return a.Pass(ctx, "b") })
	})
	t.Logf("from the call at the agent to the published state, at worst: %v", worst)
}

func TestLiveInstanceCarriesWhatWasRegistered(t *testing.T) {
	a := start(t, agent.Options{Config: []string{`node_meta { rack = "r1", zone = "z9" }`}})
	must(t, a.Register(t.Context(), agent.Service{
		ID: "w1", Name: "web", Port: 80, Tags: []string{"v2", "canary"}, Weights: &agent.Weights{Passing: 10, Warning: 3},
		Meta: map[string]string{"tier": "2", "zone": "z1"},
	}))
	must(t, a.Register(t.Context(), agent.Service{ID: "w2", Name: "web", Port: 81, Address: "::1", Tags: []string{"v1"}}))
	c := client(t, Options{Address: strings.TrimPrefix(a.Addr(), "http://")})

	s := watching(t, c.Service(Query{Service: "web"})).until(t, "both", is("live w1=passing w2=passing"))
	one, two := s.Instances[0], s.Instances[1]
	if one.Address != "127.0.0.1:80" || two.Address != "[::1]:81" {
		t.Errorf("addresses %q and %q, want the node's 127.0.0.1:80 and [::1]:81", one.Address, two.Address)
	}
	if one.Weight != 10 || two.Weight != 1 {
		t.Errorf("weights %d and %d, want 10 as registered and 1 by default", one.Weight, two.Weight)
	}
	if one.Zone != "z1" || two.Zone != "z9" || one.Tier != 2 || !one.Canary || two.Canary || one.Datacenter != "dc1" ||
		!slices.Equal(one.Tags, []string{"v2", "canary"}) || one.Meta["tier"] != "2" || two.Meta["node.rack"] != "r1" {
		t.Errorf("got %+v and %+v", one, two)
	}
	if node, ok := strings.CutSuffix(one.ID, "/w1"); !ok || len(node) != 36 {
		t.Errorf("ID %q, want node ID/w1", one.ID)
	}
	filtered := watching(t, c.Service(Query{Service: "web", Filter: `"v2" in Service.Tags`, Datacenter: "dc1"}))
	filtered.until(t, "the one that the filter lets pass", is("live w1=passing"))
	must(t, a.Warn(t.Context(), "w1"))
	if s = filtered.until(t, "the warning", is("live w1=warning")); s.Instances[0].Weight != 3 {
		t.Errorf("weight %d while it warns, want 3", s.Instances[0].Weight)
	}
	bad := watching(t, c.Service(Query{Service: "web", Filter: "1 >"}))
	bad.until(t, "a refusal of the filter", stale("none", Failed))
	far := watching(t, c.Service(Query{Service: "web", Datacenter: "dc9"}))
	far.until(t, "a refusal of the datacenter", stale("none", UnknownDatacenter))
}

func TestLiveNoEndpointIsLost(t *testing.T) {
	a := start(t, agent.Options{})
	register(t, a, "a", "b", "c")
	const all = "live a=passing b=passing c=passing"
	c := client(t, Options{
		Address: a.Addr(), Wait: time.Second, Timeout: time.Second, Hold: 200 * time.Millisecond,
	})
	r := watching(t, c.Service(Query{Service: "web"}))
	r.until(t, "all", is(all))
	keeps := func(t *testing.T) {
		t.Helper()
		for _, s := range r.all() {
			if len(s.Instances) < 3 {
				t.Fatalf("lost instances: %s, error %v", sketch(s.State), s.Err)
			}
		}
	}
	t.Run("while the agent hangs", func(t *testing.T) {
		must(t, a.Pause())
		old := r.until(t, "no answer", stale(all, Unreachable))
		must(t, a.Resume())
		fresh := r.until(t, "fresh", is(all))
		if !fresh.At.After(old.At) {
			t.Errorf("the answer is of %v, want one after %v", fresh.At, old.At)
		}
		keeps(t)
	})
	t.Run("while the agent is dead", func(t *testing.T) {
		must(t, a.Kill())
		one := r.until(t, "no agent", stale(all, Unreachable))
		two := r.until(t, "no agent, again", stale(all, Unreachable))
		if !one.At.Equal(two.At) {
			t.Errorf("the age of the answer moved from %v to %v without an answer", one.At, two.At)
		}
		keeps(t)
	})
	t.Run("when the agent comes back empty", func(t *testing.T) {
		must(t, a.Restart(t.Context()))
		r.until(t, "doubt", stale(all, Doubted))
		// Far more time than an honest shrink is doubted for; the empty catalogue answers all the while.
		quiet := time.After(10 * c.opts.Hold)
		<-quiet
		if s := r.last(); sketch(s.State) != all || kind(s.Err) != Doubted {
			t.Errorf("got %s, %v, want all three and doubt", sketch(s.State), s.Err)
		}
		register(t, a, "a")
		register(t, a, "b")
		register(t, a, "c")
		r.until(t, "all of the new catalogue", is(all))
		must(t, a.Fail(t.Context(), "b"))
		r.until(t, "news from the new catalogue", is("live a=passing b=critical c=passing"))
		keeps(t)
	})
}

func TestLiveShrinkIsBelievedOnceConfirmed(t *testing.T) {
	a := start(t, agent.Options{})
	register(t, a, "a", "b", "c")
	const hold = 300 * time.Millisecond
	r := watching(t, client(t, Options{Address: a.Addr(), Hold: hold}).Service(Query{Service: "web"}))
	r.until(t, "all", is("live a=passing b=passing c=passing"))
	must(t, a.Deregister(t.Context(), "a"))
	r.until(t, "one of three gone at once", is("live b=passing c=passing"))
	must(t, a.Fail(t.Context(), "b"))
	must(t, a.Deregister(t.Context(), "b"))
	r.until(t, "one that was critical gone at once", is("live c=passing"))
	for _, s := range r.all() {
		if s.Err != nil {
			t.Errorf("%v, want no doubt about one of three, or about one that was critical", s.Err)
		}
	}
	must(t, a.Deregister(t.Context(), "c"))
	doubted := r.until(t, "doubt", stale("live c=passing", Doubted))
	believed := r.until(t, "nobody left", is("live"))
	if d := believed.when.Sub(doubted.when); d < hold {
		t.Errorf("an empty list was believed after %v, want %v", d, hold)
	}
}

func TestLiveTokens(t *testing.T) {
	const root = "5ca1ab1e-0000-4000-8000-000000000001"
	a := start(t, agent.Options{Token: root, Config: []string{
		`acl { enabled = true, default_policy = "deny", tokens { initial_management = "` + root + `", agent = "` + root + `" } }`,
	}})
	register(t, a, "a", "b")
	token := t.TempDir() + "/token"
	write := func(s string) { must(t, writeFile(token, s)) }

	write("5ca1ab1e-0000-4000-8000-00000000dead\n")
	r := watching(t, client(t, Options{Address: a.Addr(), TokenFile: token, Wait: 200 * time.Millisecond}).
		Service(Query{Service: "web"}))
	r.until(t, "refusal of an unknown token", stale("none", Denied))
	write(root)
	r.until(t, "answers once the file has a good token", is("live a=passing b=passing"))
	write("5ca1ab1e-0000-4000-8000-00000000dead")
	r.until(t, "the last good after the token was revoked", stale("live a=passing b=passing", Denied))

	anonymous := watching(t, client(t, Options{Address: a.Addr()}).Service(Query{Service: "web"}))
	s := anonymous.until(t, "an answer emptied by ACLs", stale("none", Filtered))
	if s.Origin != discovery.OriginNone {
		t.Errorf("origin %v, want none: an emptied list is no answer", s.Origin)
	}
}

func TestLiveManyServicesShareOneAgent(t *testing.T) {
	a := start(t, agent.Options{})
	register(t, a, "a")
	c := client(t, Options{Address: a.Addr()})
	var records []*record
	for range 100 {
		records = append(records, watching(t, c.Service(Query{Service: "web"})))
	}
	for _, r := range records {
		r.until(t, "the instance", is("live a=passing"))
	}
	must(t, a.Warn(context.Background(), "a"))
	for _, r := range records {
		r.until(t, "the warning", is("live a=warning"))
	}
}

// BenchmarkChange measures from the call that changes a check to the published state: of a change after quiet, which waits
// for nothing, and of changes that follow one another as fast as they can.
func BenchmarkChange(b *testing.B) {
	a := start(b, agent.Options{})
	register(b, a, "a", "b", "c")
	for _, c := range []struct {
		name string
		pace time.Duration
	}{{"after_quiet", time.Nanosecond}, {"in_a_series", 0}} {
		b.Run(c.name, func(b *testing.B) {
			r := watching(b, client(b, Options{Address: a.Addr(), Pace: c.pace}).Service(Query{Service: "web"}))
			r.until(b, "all", is("live a=passing b=passing c=passing"))
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				must(b, a.Fail(b.Context(), "a"))
				took = append(took, r.until(b, "failure", is("live a=critical b=passing c=passing")).when.Sub(began))
				began = time.Now()
				must(b, a.Pass(b.Context(), "a"))
				took = append(took, r.until(b, "recovery", is("live a=passing b=passing c=passing")).when.Sub(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
