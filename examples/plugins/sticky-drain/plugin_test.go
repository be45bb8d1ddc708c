package stickydrain_test

import (
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "sticky-drain", "") }

// Where nothing drains and nobody has a session, it is p2c.
func TestLaws(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// An endpoint that drains is left aside even if it is the last of its tier.
func TestLawsWithEndpointsThatDrain(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.Unclaimed, AnyTier: true, Shape: func(i int, e *policies.Endpoint) {
		if i%3 == 0 {
			e.Meta = draining
		}
	}})
}

func TestAllocations(t *testing.T) {
	policytest.NoAllocations(t, build, policytest.Options{Shares: policytest.ByLoad})
}

var draining = []policies.Pair{{Key: "drain", Value: "true"}, {Key: "zone", Value: "a"}}

// fleet is: 0 and 1 serve, 2 drains by its metadata, 3 by its weight of 0. 4 is a standby.
func fleet() *policies.Table {
	return policytest.Table(1,
		policies.Endpoint{Weight: 1}, policies.Endpoint{Weight: 1}, policies.Endpoint{Weight: 1, Meta: draining},
		policies.Endpoint{Weight: 0}, policies.Endpoint{Weight: 1, Tier: 1})
}

func TestSessions(t *testing.T) {
	const none = policies.None
	for _, c := range []struct {
		name    string
		session int
		tried   []uint32
		down    []int
		want    []int // one of these
		sticky  bool  // a session begins there
	}{
		{"without_one_go_to_those_that_do_not_drain", none, nil, nil, []int{0, 1}, true},
		{"stay_where_they_are", 1, nil, nil, []int{1}, false},
		{"stay_at_an_endpoint_that_drains_by_metadata", 2, nil, nil, []int{2}, false},
		{"stay_at_an_endpoint_of_weight_0", 3, nil, nil, []int{3}, false},
		{"stay_at_a_standby_that_served_once", 4, nil, nil, []int{4}, false},
		{"leave_an_endpoint_that_is_down", 1, nil, []int{1}, []int{0}, true},
		{"leave_an_endpoint_of_weight_0_that_is_down", 3, nil, []int{3}, []int{0, 1}, true},
		{"leave_an_endpoint_that_failed_them", 2, []uint32{2}, nil, []int{0, 1}, true},
		{"leave_an_endpoint_of_weight_0_that_failed_them", 3, []uint32{3}, nil, []int{0, 1}, true},
		{"begin_at_a_standby_before_they_begin_where_it_drains", none, nil, []int{0, 1}, []int{4}, true},
		{"begin_where_it_drains_if_nothing_else_is_left", none, nil, []int{0, 1, 4}, []int{2}, true},
		{"never_begin_at_an_endpoint_of_weight_0", none, nil, []int{0, 1, 2, 4}, []int{none}, false},
		{"of_a_table_that_is_gone_begin_anew", 99, nil, nil, []int{0, 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := fleet()
			p, err := build(t).Build(table)
			if err != nil {
				t.Fatal(err)
			}
			v := policytest.View(table, 1, c.down...)
			got := map[int]int{}
			for seq := range uint64(200) {
				r := policytest.Request(1, seq)
				r.StickyEP = c.session
				for _, i := range c.tried {
					r.MarkTried(i)
				}
				i := p.Pick(&r, v)
				got[i]++
				if i != none && r.SetSticky != c.sticky {
					t.Fatalf("picked %d with SetSticky %t, want %t", i, r.SetSticky, c.sticky)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("requests went to %v, want %v", got, c.want)
			}
			for _, i := range c.want {
				if n := got[i]; n < 200/len(c.want)-40 { // of 100, over five standard deviations of 7
					t.Errorf("requests went to %v, want as many at each of %v", got, c.want)
				}
			}
		})
	}
}

// TestADrainingEndpointKeepsEverySession drains an endpoint while its users come and go, by metadata and by weight.
func TestADrainingEndpointKeepsEverySession(t *testing.T) {
	for name, drain := range map[string]func(e *policies.Endpoint){
		"metadata": func(e *policies.Endpoint) { e.Meta = draining },
		"weight":   func(e *policies.Endpoint) { e.Weight = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			p := build(t)
			table := policytest.Table(1, policytest.Weights(1, 1, 1, 1)...)
			session := make([]int, 1000)
			ask := func(user int, pk policies.Picker, v *policies.View) int {
				r := policytest.Request(3, uint64(user))
				r.StickyEP = session[user]
				i := pk.Pick(&r, v)
				if r.SetSticky {
					session[user] = i
				}
				return i
			}
			pk, err := p.Build(table)
			if err != nil {
				t.Fatal(err)
			}
			v := policytest.View(table, 1)
			for user := range session {
				session[user] = policies.None
				ask(user, pk, v)
			}
			before := append([]int(nil), session...)
			endpoints := policytest.Weights(1, 1, 1, 1)
			drain(&endpoints[1])
			table = policytest.Table(2, endpoints...)
			if pk, err = p.Build(table); err != nil {
				t.Fatal(err)
			}
			v = policytest.View(table, 2)
			kept := 0
			for user := range session {
				if user%2 == 0 {
					session[user] = policies.None // the cookie is gone: another user
				}
				i := ask(user, pk, v)
				switch {
				case user%2 == 1 && i != before[user]:
					t.Fatalf("user %d moved from %d to %d", user, before[user], i)
				case user%2 == 0 && i == 1:
					t.Fatalf("a new user went to the endpoint that drains")
				case i == 1:
					kept++
				}
			}
			if kept < 80 { // of 125, over four standard deviations of 10
				t.Errorf("%d of 500 users are at the endpoint that drains, want about 125", kept)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                        true,
		"{}":                      true,
		`{"meta":"drain=true"}`:   true,
		`{"meta":"state="}`:       true,
		`{"meta":"state=a=b"}`:    true,
		`{"meta":"drain"}`:        false,
		`{"meta":"=true"}`:        false,
		`{"meta":true}`:           false,
		`{"drain":"true"}`:        false,
		`{"meta":"drain=true",}`:  false,
		`{"meta":"drain=\u0074"}`: false,
	} {
		if _, err := plugintest.Load(t, "sticky-drain", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}

func TestMetadataThatDrainsCanBeChosen(t *testing.T) {
	endpoints := policytest.Weights(1, 1)
	endpoints[0].Meta = []policies.Pair{{Key: "state", Value: "leaving"}}
	endpoints[1].Meta = draining
	table := policytest.Table(1, endpoints...)
	p, err := plugintest.Policy(t, "sticky-drain", `{"meta": "state=leaving"}`).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	v := policytest.View(table, 1)
	for seq := range uint64(50) {
		r := policytest.Request(1, seq)
		if i := p.Pick(&r, v); i != 1 {
			t.Fatalf("a request without a session went to %d, want 1", i)
		}
	}
}
