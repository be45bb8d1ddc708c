package llmprefix_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/wasmhost"
)

// Values of out_reason.
const (
	home = 1 + iota
	spilled
	drawn
	full
)

// prefixes are as many as a test asks for, each the same in every test.
func prefixes(n int) []*plugintest.Header { return plugintest.Headers("x-prompt-prefix", n) }

// request is number seq of a stream, with prefix k.
func request(seq uint64, k int) policies.Request {
	return plugintest.NthHeader("x-prompt-prefix", k).Request(seq)
}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "llm-prefix", "") }

// Without a prefix requests go to the less loaded of two.
func TestLaws(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// No shares are promised for prefixes: TestPrefixesAreSpreadByWeight holds them.
func TestLawsWithPrefixes(t *testing.T) {
	policytest.Run(t, func(t *testing.T) policies.Policy { return plugintest.WithHeaders(build(t), prefixes(1000)) },
		policytest.Options{Shares: policytest.Unclaimed})
}

func TestAllocations(t *testing.T) {
	policytest.NoAllocations(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// homes returns where each of n prefixes goes while nothing is in flight, by the endpoint's ID.
func homes(t *testing.T, p policies.Policy, v *policies.View, n int) []string {
	t.Helper()
	return plugintest.Homes(t, p, v, prefixes(n), home)
}

func TestAPrefixHasOneEndpointWhateverTheChance(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	v := policytest.View(table, 1)
	want := homes(t, build(t), v, 500)
	pk := plugintest.Picker(t, build(t), table) // another gateway
	for seq := range uint64(3000) {
		k := int(seq % 500)
		r := request(seq*7+1, k)
		if got := table.Endpoints[pk.Pick(&r, v)].ID; got != want[k] {
			t.Fatalf("prefix %d went to %s, and at another gateway to %s", k, got, want[k])
		}
	}
}

// TestOnlyThePrefixesOfAnEndpointThatLeavesMove holds that one which is down is treated as one that is gone.
func TestOnlyThePrefixesOfAnEndpointThatLeavesMove(t *testing.T) {
	const n = 3000
	p := build(t)
	before := homes(t, p, policytest.View(plugintest.Fleet(1, 12), 1), n)
	down := homes(t, p, policytest.View(plugintest.Fleet(2, 12), 2, 3), n)
	after := homes(t, p, policytest.View(plugintest.Fleet(3, 12, 3), 3), n)
	moved := 0
	for k := range before {
		switch {
		case before[k] != plugintest.Endpoint(3) && after[k] != before[k]:
			t.Fatalf("prefix %d moved from %s to %s when endpoint 3 left", k, before[k], after[k])
		case after[k] != down[k]:
			t.Fatalf("prefix %d went to %s when endpoint 3 was down, and to %s when it was gone", k, down[k], after[k])
		case before[k] == plugintest.Endpoint(3):
			moved++
		}
	}
	if moved < n/11 || moved > n/7 { // its share is 2/18
		t.Errorf("%d of %d prefixes moved, want about %d", moved, n, n/9)
	}
}

// TestAmongManyEndpointsFewPrefixesMove takes more endpoints than a pick looks at: what it looks at moves by one at most.
func TestAmongManyEndpointsFewPrefixesMove(t *testing.T) {
	const n = 2000
	p := build(t)
	before := homes(t, p, policytest.View(plugintest.Fleet(1, 1000), 1), n)
	after := homes(t, p, policytest.View(plugintest.Fleet(2, 1000, 77), 2), n)
	moved := 0
	for k := range before {
		if before[k] != after[k] {
			moved++
		}
	}
	if moved == 0 || moved > n/40 {
		t.Errorf("%d of %d prefixes moved when one of 1000 endpoints left, want some and at most %d", moved, n, n/40)
	}
}

func TestPrefixesAreSpreadByWeight(t *testing.T) {
	const n = 20_000
	weights := []uint32{1, 2, 3, 10, 100, 1, 1}
	table := policytest.Table(1, policytest.Weights(weights...)...)
	count := map[string]float64{}
	for _, id := range homes(t, build(t), policytest.View(table, 1), n) {
		count[id]++
	}
	for _, e := range table.Endpoints {
		share := float64(e.Weight) / 118
		// Four and a half standard deviations, and what the logarithm is off by.
		want, bound := n*share, 4.5*math.Sqrt(n*share*(1-share))+0.1*n*share
		if math.Abs(count[e.ID]-want) > bound {
			t.Errorf("%s of weight %d has %g of %d prefixes, want %.0f +- %.0f", e.ID, e.Weight, count[e.ID], n, want, bound)
		}
	}
}

// load puts n requests in flight at endpoint i.
func load(table *policies.Table, i int, n int32) { table.Endpoints[i].AddInflight(n) }

func TestAboveTheCeilingTheNextOfTheOrderTakesOver(t *testing.T) {
	table := policytest.Table(1, policytest.Weights(1, 1, 1, 1)...)
	pk, v := plugintest.Picker(t, build(t), table), policytest.View(table, 1)
	r := request(0, 1)
	first := pk.Pick(&r, v)
	if r.NList != 3 || r.Reason != home {
		t.Fatalf("after endpoint %d the list has %d more for reason %d, want 3 for reason %d", first, r.NList, r.Reason, home)
	}
	second := int(r.List[0])
	for _, c := range []struct {
		name   string
		loads  map[int]int32
		want   int
		reason uint32
	}{
		{"three_are_few", map[int]int32{first: 3}, first, home},
		{"four_are_above_150_percent_of_the_mean", map[int]int32{first: 4}, second, spilled},
		{"many_are_not_while_all_have_many", map[int]int32{0: 40, 1: 40, 2: 40, 3: 40}, first, home},
		{"half_as_many_again_is_the_ceiling", map[int]int32{0: 40, 1: 40, 2: 40, 3: 40, first: 67}, first, home},
		{"more_than_that_is_above_it", map[int]int32{0: 40, 1: 40, 2: 40, 3: 40, first: 80}, second, spilled},
		{"two_above_leave_it_to_the_third", map[int]int32{first: 50, second: 60}, int(r.List[1]), spilled},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, n := range c.loads {
				load(table, i, n)
				defer load(table, i, -n)
			}
			r := request(0, 1)
			if got := pk.Pick(&r, v); got != c.want || r.Reason != c.reason {
				t.Errorf("picked %d for reason %d, want %d for reason %d; the order begins %d, %d", got, r.Reason, c.want, c.reason, first, second)
			}
			if r.NList != 3 || slices.Contains(r.List[:3], uint32(c.want)) {
				t.Errorf("the list for failover is %v", r.List[:r.NList])
			}
		})
	}
}

func TestWhenTheHeadOfTheOrderIsFullTheLeastLoadedOfItIsTaken(t *testing.T) {
	table := plugintest.Fleet(1, 40)
	pk, v := plugintest.Picker(t, build(t), table), policytest.View(table, 1)
	r := request(0, 1)
	head := []int{pk.Pick(&r, v), int(r.List[0]), int(r.List[1]), int(r.List[2])}
	for k, n := range []int32{90, 95, 80, 99} {
		load(table, head[k], n)
	}
	if got := pk.Pick(&r, v); got != head[2] || r.Reason != full {
		t.Errorf("picked %d for reason %d, want %d for reason %d", got, r.Reason, head[2], full)
	}
}

func TestARetryKeepsToTheOrder(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	pk, v := plugintest.Picker(t, build(t), table), policytest.View(table, 1)
	for k := range 200 {
		r := request(uint64(k), k)
		first := pk.Pick(&r, v)
		order := append([]uint32{uint32(first)}, r.List[:r.NList]...)
		for _, want := range order {
			again := request(uint64(k), k)
			again.Tried, again.NTried = r.Tried, r.NTried
			if got := pk.Pick(&again, v); got != int(want) {
				t.Fatalf("prefix %d, tried %v: picked %d, want %d of %v", k, r.Tried[:r.NTried], got, want, order)
			}
			r.MarkTried(want)
		}
	}
}

func TestThePathCanStandForThePrefix(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	pk, v := plugintest.Picker(t, plugintest.Policy(t, "llm-prefix", `{"header":""}`), table), policytest.View(table, 1)
	seen := map[int]bool{}
	for path := range uint64(100) {
		r := policytest.Request(1, 2*path)
		r.PathHash = (path + 1) * 0x9e3779b97f4a7c15
		first := pk.Pick(&r, v)
		r.Rand++
		if got := pk.Pick(&r, v); got != first || r.Reason != home {
			t.Fatalf("path %d went to %d, then to %d for reason %d", path, first, got, r.Reason)
		}
		seen[first] = true
	}
	if len(seen) < 10 {
		t.Errorf("100 paths went to %d of 12 endpoints", len(seen))
	}
}

// TestManyEndpointsStayWithinTheFuel holds a pick with a prefix to its default budget.
func TestManyEndpointsStayWithinTheFuel(t *testing.T) {
	for _, n := range []int{16, 64, 128, 1000, 4000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := build(t)
			table := plugintest.Fleet(1, n)
			pk, v := plugintest.Picker(t, p, table), policytest.View(table, 1)
			for seq := range uint64(300) {
				r := request(seq, int(seq))
				for range policies.MaxTried {
					i := pk.Pick(&r, v)
					if !v.Usable(i) || r.HasTried(uint32(i)) {
						t.Fatalf("request %d, attempt %d: picked %d", seq, r.Attempt, i)
					}
					r.MarkTried(uint32(i))
					r.Attempt++
				}
			}
			s := p.(*wasmhost.Policy).Stats()
			t.Logf("%d fuel a pick on average", s.Fuel.Sum/s.Fuel.Count())
		})
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                       true,
		"{}":                     true,
		`{"header":"X-Session"}`: true,
		`{"header":""}`:          true,
		`{"load_ceiling_percent":100,"min_inflight":0}`: true,
		`{"load_ceiling_percent":99}`:                   false,
		`{"load_ceiling_percent":1001}`:                 false,
		`{"min_inflight":"4"}`:                          false,
		`{"min_inflight":-1}`:                           false,
		`{"min_inflight":9999999}`:                      false,
		`{"header":1}`:                                  false,
		`{"headers":"a"}`:                               false,
		`{"header":"a",}`:                               false,
		`{"header":"a"} x`:                              false,
		`[]`:                                            false,
	} {
		if _, err := plugintest.Load(t, "llm-prefix", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
