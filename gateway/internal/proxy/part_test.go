package proxy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/policies"
)

// fleet is n endpoints that answer 200.
func fleet(t *testing.T, n int) (es []*gatewaytest.Endpoint) {
	for range n {
		es = append(es, gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "ok")))
	}
	return es
}

func zonesHereAndThere(i int, in *discovery.Instance) { in.Zone = []string{"here", "there"}[i%2] }

func secondHalfIsStandby(n int) func(int, *discovery.Instance) {
	return func(i int, in *discovery.Instance) { in.Tier = uint8(i / (n / 2)) }
}

func TestParts(t *testing.T) {
	t.Run("requests_stay_in_the_zone_that_can_bear_them", func(t *testing.T) {
		es := fleet(t, 4)
		g := start(t, asking(options{policy: &roundRobin{}, split: policies.Split{OwnZone: true}, instance: zonesHereAndThere}), es...)
		c := g.dial()
		for range 20 {
			c.Get("/")
		}
		if n := es[1].Count("GET") + es[3].Count("GET"); n != 0 || es[0].Count("GET") != 10 {
			t.Errorf("%d requests left the zone, %d of 20 came to its first endpoint; want 0, 10", n, es[0].Count("GET"))
		}
		e := read(t, c.Get("/", askToken))
		if p := e.Part; p == nil || p.Number != 1 || p.Of != 1 || p.Share != 1 || p.Left != "" || e.Up != 2 {
			t.Errorf("part %+v of %d endpoints", e.Part, e.Up)
		}
		if got := fmt.Sprint(e.Excluded); got != "[{1 other part} {3 other part}]" {
			t.Errorf("excluded %s", got)
		}
	})
	t.Run("a_retry_leaves_the_part_that_it_used_up", func(t *testing.T) {
		es := []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t, gatewaytest.Respond(503, "")), gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "ok"))}
		g := start(t, asking(options{split: policies.Split{OwnZone: true}, instance: zonesHereAndThere}), es...)
		r := g.dial().Get("/", askToken)
		e := read(t, r)
		if r.StatusCode != 200 || e.Part == nil || e.Part.Left != "nothing left in the part" || e.Up != 2 {
			t.Errorf("status %d, part %+v, %d up; want an answer of the other zone", r.StatusCode, e.Part, e.Up)
		}
	})
	t.Run("a_policy_that_finds_nothing_in_the_part_gets_the_whole", func(t *testing.T) {
		es := fleet(t, 2)
		only1 := picker(func(_ *policies.Request, v *policies.View) int {
			if v.Usable(1) {
				return 1
			}
			return policies.None
		})
		g := start(t, asking(options{policy: only1, split: policies.Split{OwnZone: true}, instance: zonesHereAndThere}), es...)
		r := g.dial().Get("/", askToken)
		if e := read(t, r); r.StatusCode != 200 || e.Part.Left != "the policy found none in the part" || len(e.Decisions) != 2 {
			t.Errorf("status %d, part %+v, decisions %+v", r.StatusCode, e.Part, e.Decisions)
		}
	})
	t.Run("a_session_outside_of_the_part_goes_on", func(t *testing.T) {
		for name, weight := range map[string]int{"with a weight": 1, "with weight 0": 0} {
			es := fleet(t, 2)
			b := &binder{keeps: true}
			g := start(t, asking(options{policy: b, sticky: sticky, split: policies.Split{OwnZone: true}, instance: func(i int, in *discovery.Instance) {
				zonesHereAndThere(i, in)
				in.Weight = []int{1, weight}[i]
			}}), es...)
			field := string(g.cluster.Load().Sticky.Field(1))
			r := g.dial().Get("/", "Cookie: "+field[:len("lb=")+22], askToken)
			if e := read(t, r); es[1].Count("GET") != 1 || weight == 1 && (e.Part == nil || e.Part.Number != 0) {
				t.Errorf("%s: %d requests at the session's endpoint, part %+v", name, es[1].Count("GET"), e.Part)
			}
		}
	})
	t.Run("a_key_keeps_its_part", func(t *testing.T) {
		es := fleet(t, 4)
		o := options{split: policies.Split{Overprovision: 1.4}, instance: secondHalfIsStandby(4), route: Route{Affinity: Affinity{HeaderKey, "X-User"}}}
		g := start(t, asking(o), es...)
		g.apply(discovery.Passing, discovery.Critical, discovery.Passing, discovery.Passing)
		c := g.dial()
		parts := map[int]int{}
		for u := range 60 {
			first := read(t, c.Get("/", askToken, fmt.Sprint("X-User: ", u))).Part.Number
			parts[first]++
			for range 3 {
				if again := read(t, c.Get("/", askToken, fmt.Sprint("X-User: ", u))).Part.Number; again != first {
					t.Fatalf("user %d was in part %d and then in %d", u, first, again)
				}
			}
		}
		if parts[1] < 30 || parts[2] < 6 {
			t.Errorf("60 users in parts %v, want about 42 and 18", parts)
		}
	})
	t.Run("panic_asks_endpoints_that_look_down_and_says_so", func(t *testing.T) {
		es := fleet(t, 4)
		g := start(t, asking(options{policy: &roundRobin{}, split: policies.Split{PanicBelow: 0.5}}), es...)
		g.apply(discovery.Critical, discovery.Critical, discovery.Critical, discovery.Passing)
		if !g.cluster.Status().Panic {
			t.Error("the status says nothing of panic")
		}
		c := g.dial()
		for range 8 {
			c.Get("/")
		}
		if es[0].Count("GET") != 2 {
			t.Errorf("%d of 8 requests came to an endpoint that looks down, want 2", es[0].Count("GET"))
		}
		if e := read(t, c.Get("/", askToken)); e.Part == nil || !e.Part.Panic || e.Up != 4 || len(e.Excluded) != 0 {
			t.Errorf("part %+v, up %d, excluded %v", e.Part, e.Up, e.Excluded)
		}
		if err := g.cluster.SetOverride("0", cluster.ForceDrain); err != nil {
			t.Fatal(err)
		}
		n := es[0].Count("GET")
		for range 8 {
			c.Get("/")
		}
		if es[0].Count("GET") != n {
			t.Error("panic overrules the operator")
		}
		g.apply(discovery.Passing, discovery.Passing, discovery.Passing, discovery.Passing)
		if g.cluster.Status().Panic {
			t.Error("panic does not end")
		}
	})
	t.Run("all_down_in_panic_is_asked_again_too", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(503, ""), gatewaytest.Respond(200, "ok"))
		g := start(t, options{split: policies.Split{PanicBelow: 0.5}}, e)
		g.apply(discovery.Critical)
		if r := g.dial().Get("/"); r.StatusCode != 200 {
			t.Errorf("status %d, want the second answer of the only endpoint", r.StatusCode)
		}
	})
	t.Run("a_rehearsal_has_parts", func(t *testing.T) {
		es := fleet(t, 4)
		g := start(t, options{split: policies.Split{OwnZone: true}, instance: zonesHereAndThere}, es...)
		e, err := g.Explain(ExplainRequest{URL: "http://a/"})
		var ids []string
		for _, a := range e.Attempts {
			ids = append(ids, a.Endpoint)
		}
		if err != nil || !slices.Equal(ids, []string{"0", "2", "1"}) || e.Part.Left == "" {
			t.Errorf("attempts %v, part %+v, %v; want its own zone first", ids, e.Part, err)
		}
	})
}
