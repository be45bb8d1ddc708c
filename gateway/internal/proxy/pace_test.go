package proxy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

func TestPace(t *testing.T) {
	exponential := func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(10*time.Millisecond)) }
	bimodal := func(r *rand.Rand) time.Duration {
		if r.IntN(10) == 0 {
			return 200*time.Millisecond + rand.N(10*time.Millisecond)
		}
		return 2 * time.Millisecond
	}
	for name, draw := range map[string]func(*rand.Rand) time.Duration{"exponential": exponential, "one_in_ten_is_slow": bimodal} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var p pace
			for range paceKnown - 1 {
				p.took(draw(r), false)
			}
			if d := p.after(); d != 0 {
				t.Errorf("after %d attempts %v, want nothing yet", paceKnown-1, d)
			}
			for range 5000 {
				p.took(draw(r), false)
			}
			slower, n := 0, 20000
			for range n {
				d := draw(r)
				hedged := d > p.after() // then nobody knows how long it would have taken
				if hedged {
					slower++
				}
				p.took(min(d, p.after()), hedged)
			}
			if share := float64(slower) / float64(n); share < 0.04 || share > 0.06 {
				t.Errorf("%.1f%% are slower than %v, want 5%%", 100*share, p.after())
			}
		})
	}
}

func TestHedgesOfTheConfiguration(t *testing.T) {
	tail := func() *gatewaytest.Endpoint { return gatewaytest.NewEndpoint(t, gatewaytest.Hang()) }
	t.Run("a_slow_attempt_gets_company_after_the_time", func(t *testing.T) {
		g := start(t, options{route: Route{Timeout: time.Minute, Hedge: &Hedge{After: 10 * time.Millisecond, Budget: 100}}}, tail(), gatewaytest.NewEndpoint(t))
		if r := g.dial().Get("/"); r.StatusCode != 200 {
			t.Errorf("got %d, want the second endpoint's 200", r.StatusCode)
		}
		if h := g.Stats().Clusters[0].Hedges; h != (HedgeStats{Started: 1, Won: 1}) {
			t.Errorf("hedges %+v, want one that won", h)
		}
	})
	t.Run("they_are_no_more_than_their_budget", func(t *testing.T) {
		first := gatewaytest.NewEndpoint(t, gatewaytest.Slow(20*time.Millisecond, 200, "slow"))
		g := start(t, options{route: Route{Hedge: &Hedge{After: time.Millisecond, Budget: 5}}}, first, gatewaytest.NewEndpoint(t))
		c := g.dial()
		for range 60 {
			if r := c.Get("/"); r.StatusCode != 200 {
				t.Fatalf("got %d", r.StatusCode)
			}
		}
		if h := g.Stats().Clusters[0].Hedges; h.Started != 3 || h.Denied == 0 {
			t.Errorf("hedges %+v of 60 requests, want 3, and others denied", h)
		}
	})
	t.Run("a_policy_may_forbid_them", func(t *testing.T) {
		no := picker(func(r *policies.Request, v *policies.View) int {
			r.NoRetry = true
			return 0
		})
		g := start(t, options{policy: no, route: Route{PerTryTimeout: 100 * time.Millisecond, Hedge: &Hedge{After: time.Millisecond, Budget: 100}}}, tail(), gatewaytest.NewEndpoint(t))
		if r := g.dial().Get("/"); r.StatusCode != 504 || g.Stats().Clusters[0].Hedges != (HedgeStats{}) {
			t.Errorf("got %d, hedges %+v; want 504 and none", r.StatusCode, g.Stats().Clusters[0].Hedges)
		}
	})
	t.Run("by_default_they_are_for_the_slowest_twentieth", func(t *testing.T) {
		first := gatewaytest.NewEndpoint(t)
		g := start(t, options{route: Route{Timeout: time.Minute, Hedge: &Hedge{Budget: 5}}}, first, gatewaytest.NewEndpoint(t))
		c := g.dial()
		for range paceKnown {
			c.Get("/")
		}
		if g.Stats().Clusters[0].Hedges.Started > 1 { // the 200th may be slow
			t.Errorf("hedges %+v before the pace is known", g.Stats().Clusters[0].Hedges)
		}
		if d := g.clusters["web"].pace.after(); d <= 0 || d > 10*time.Second {
			t.Errorf("the pace is %v", d)
		}
		before := g.Stats().Clusters[0].Hedges.Won
		first.Script(gatewaytest.Hang())
		if r := c.Get("/"); r.StatusCode != 200 || g.Stats().Clusters[0].Hedges.Won != before+1 {
			t.Errorf("got %d, hedges %+v; want one more that won", r.StatusCode, g.Stats().Clusters[0].Hedges)
		}
	})
}
