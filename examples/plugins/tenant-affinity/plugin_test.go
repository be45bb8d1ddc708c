package tenantaffinity_test

import (
	"fmt"
	"math/rand/v2"
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
	noTenant
	drawn
)

// tenants are as many as a test asks for, each the same in every test.
func tenants(n int) []*plugintest.Header { return plugintest.Headers("x-tenant", n) }

// request is number seq of a stream, of tenant k.
func request(seq uint64, k int) policies.Request {
	return plugintest.NthHeader("x-tenant", k).Request(seq)
}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "tenant-affinity", "") }

// Without the header requests go to the less loaded of two.
func TestLaws(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// No shares are promised for tenants: TestTenantsAreSpreadByWeight holds them.
func TestLawsWithTenants(t *testing.T) {
	policytest.Run(t, func(t *testing.T) policies.Policy { return plugintest.WithHeaders(build(t), tenants(1000)) },
		policytest.Options{Shares: policytest.Unclaimed})
}

func TestAllocations(t *testing.T) {
	policytest.NoAllocations(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// homes returns where each of n tenants goes while nothing is in flight, by the endpoint's ID.
func homes(t *testing.T, p policies.Policy, v *policies.View, n int) []string {
	t.Helper()
	return plugintest.Homes(t, p, v, tenants(n), home)
}

func TestATenantHasOneEndpointWhateverTheChance(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	want := homes(t, build(t), policytest.View(table, 1), 500)
	other := build(t) // another gateway
	pk, v := plugintest.Picker(t, other, table), policytest.View(table, 1)
	for seq := range uint64(5000) {
		k := int(seq % 500)
		r := request(seq*7+1, k)
		if got := table.Endpoints[pk.Pick(&r, v)].ID; got != want[k] {
			t.Fatalf("tenant %d went to %s, and at another gateway to %s", k, got, want[k])
		}
	}
}

// TestOnlyTheTenantsOfAnEndpointThatLeavesMove holds that one which is down is treated as one that is gone, so that its
// tenants move once, and that they come back with it.
func TestOnlyTheTenantsOfAnEndpointThatLeavesMove(t *testing.T) {
	const n = 5000
	p := build(t)
	table := plugintest.Fleet(1, 12)
	before := homes(t, p, policytest.View(table, 1), n)
	down := homes(t, p, policytest.View(table, 2, 3), n)
	gone := plugintest.Fleet(2, 12, 3)
	after := homes(t, p, policytest.View(gone, 3), n)
	again := homes(t, p, policytest.View(plugintest.Fleet(3, 12), 4), n)
	moved := 0
	for k := range before {
		switch {
		case before[k] != plugintest.Endpoint(3) && after[k] != before[k]:
			t.Fatalf("tenant %d moved from %s to %s when endpoint 3 left", k, before[k], after[k])
		case after[k] != down[k]:
			t.Fatalf("tenant %d went to %s when endpoint 3 was down, and to %s when it was gone", k, down[k], after[k])
		case again[k] != before[k]:
			t.Fatalf("tenant %d went to %s before, and to %s when endpoint 3 was back", k, before[k], again[k])
		case before[k] == plugintest.Endpoint(3):
			moved++
		}
	}
	if moved < n/30 || moved > n/4 { // its share is 2/18
		t.Errorf("%d of %d tenants moved, want about %d", moved, n, n/9)
	}
}

// TestTenantsAreSpreadByWeight: with 32 points the share of an endpoint deviates by 1/sqrt(32) = 18 % as a rule.
func TestTenantsAreSpreadByWeight(t *testing.T) {
	const n = 20_000
	count := map[string]float64{}
	table := plugintest.Fleet(1, 12)
	for _, id := range homes(t, build(t), policytest.View(table, 1), n) {
		count[id] += 1.0 / n
	}
	for _, e := range table.Endpoints {
		if want := float64(e.Weight) / 18; count[e.ID] < want*0.5 || count[e.ID] > want*1.6 {
			t.Errorf("%s of weight %d has %.4f of the tenants, want about %.4f", e.ID, e.Weight, count[e.ID], want)
		}
	}
}

func TestARetryGoesWhereTheTenantWouldGoIfTheEndpointWereDown(t *testing.T) {
	p := build(t)
	table := plugintest.Fleet(1, 12)
	pk := plugintest.Picker(t, p, table)
	all := policytest.View(table, 1)
	for k := range 300 {
		r := request(uint64(k), k)
		first := pk.Pick(&r, all)
		r.MarkTried(uint32(first))
		r.Attempt = 1
		second := pk.Pick(&r, all)
		again := request(uint64(k), k)
		if without := pk.Pick(&again, policytest.View(table, uint32(2+k), first)); without != second {
			t.Fatalf("tenant %d: endpoint %d after %d failed, but %d when it was down", k, second, first, without)
		}
	}
}

// TestNoEndpointHasMoreThanItsShareOfTheLoad sends requests of few, uneven tenants that stay in flight, in the way of the
// paper: never does an endpoint get one that is above load_percent of its share.
func TestNoEndpointHasMoreThanItsShareOfTheLoad(t *testing.T) {
	for percent, config := range map[uint64]string{125: "", 150: `{"load_percent":150}`, 100: `{"load_percent":100}`} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			table := plugintest.Fleet(1, 12)
			v := policytest.View(table, 1, 5)
			pk := plugintest.Picker(t, plugintest.Policy(t, "tenant-affinity", config), table)
			var weight uint64
			for _, i := range v.Up {
				weight += uint64(table.Endpoints[i].Weight)
			}
			var inflight []int
			reasons := map[uint32]int{}
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.2, 1, 1000)
			for seq := range uint64(20_000) {
				r := request(seq, int(zipf.Uint64()))
				i := pk.Pick(&r, v)
				e := table.Endpoints[i]
				reasons[r.Reason]++
				// in flight < percent * share of the total with this one, rounded up
				if total := uint64(len(inflight)) + 1; r.Reason != drawn && uint64(e.Inflight())*100*weight >= percent*total*uint64(e.Weight) {
					t.Fatalf("request %d: endpoint %d of weight %d has %d of %d in flight, and was given one more", seq, i, e.Weight, e.Inflight(), total-1)
				}
				e.AddInflight(1)
				if inflight = append(inflight, i); len(inflight) > 400 {
					table.Endpoints[inflight[0]].AddInflight(-1)
					inflight = inflight[1:]
				}
			}
			if reasons[spilled] < 1000 || reasons[home] < 5000 || reasons[drawn] > 20_000/50 {
				t.Errorf("reasons %v: want some at home, some spilled, hardly any drawn", reasons)
			}
		})
	}
}

func TestATenantThatSpillsComesHome(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	pk, v := plugintest.Picker(t, build(t), table), policytest.View(table, 1)
	r := request(0, 1)
	first := pk.Pick(&r, v)
	table.Endpoints[first].AddInflight(10)
	second := pk.Pick(&r, v)
	if second == first || r.Reason != spilled {
		t.Errorf("with 10 of 10 requests at endpoint %d the next went to %d for reason %d", first, second, r.Reason)
	}
	table.Endpoints[first].AddInflight(-10)
	if i := pk.Pick(&r, v); i != first || r.Reason != home {
		t.Errorf("with none in flight a request went to %d for reason %d, want %d at home", i, r.Reason, first)
	}
}

func TestTheHeaderIsConfigured(t *testing.T) {
	table := plugintest.Fleet(1, 12)
	pk, v := plugintest.Picker(t, plugintest.Policy(t, "tenant-affinity", `{"header":"Org-ID"}`), table), policytest.View(table, 1)
	for name, want := range map[string]uint32{"org-id": home, "x-tenant": noTenant} {
		r := plugintest.NthHeader(name, 1).Request(1)
		if pk.Pick(&r, v); r.Reason != want {
			t.Errorf("with the header %s the reason is %d, want %d", name, r.Reason, want)
		}
	}
}

// TestManyEndpointsStayWithinTheFuel holds a pick among many to two thirds of its budget, also when nearly all are down and
// each request comes in a millisecond of its own, so that the load is summed up afresh, and tables to their budget.
func TestManyEndpointsStayWithinTheFuel(t *testing.T) {
	for _, n := range []int{1000, 1024, 4096, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := build(t)
			endpoints := policytest.Weights(slices.Repeat([]uint32{policies.MaxWeight}, n)...)
			table := policytest.Table(1, endpoints...)
			down := make([]int, 0, n)
			for i := range n {
				if i%50 != 0 {
					down = append(down, i)
				}
			}
			pk := plugintest.Picker(t, p, table)
			for gen, v := range []*policies.View{policytest.View(table, 1), policytest.View(table, 2, down...)} {
				for seq := range uint64(500) {
					r := request(seq, int(seq))
					if i := pk.Pick(&r, v); !v.Usable(i) {
						t.Fatalf("view %d, request %d: picked %d", gen, seq, i)
					}
				}
			}
			s := p.(*wasmhost.Policy).Stats()
			most := len(s.Fuel.Counts) - 1
			for s.Fuel.Counts[most] == 0 {
				most--
			}
			if most > 16 {
				t.Errorf("some picks took 2^%d fuel or more, want less than 2^16", most-1)
			}
			t.Logf("%d fuel a pick on average, at most 2^%d", s.Fuel.Sum/s.Fuel.Count(), most)
		})
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                                      true,
		"{}":                                    true,
		`{"header":"X-Org"}`:                    true,
		` { "load_percent" : 1000 } `:           true,
		`{"header":"a","load_percent":100}`:     true,
		`{"header":""}`:                         false,
		`{"header":5}`:                          false,
		`{"load_percent":99}`:                   false,
		`{"load_percent":1001}`:                 false,
		`{"load_percent":"125"}`:                false,
		`{"load_percent":12.5}`:                 false,
		`{"percent":125}`:                       false,
		`{"header":"a\"b"}`:                     false,
		`{"header":"a"`:                         false,
		`{"header":"a"}{}`:                      false,
		`{"header":"a",}`:                       false,
		`[]`:                                    false,
		`{"load_percent":99999999999999999999}`: false,
		`{"header" "a"}`:                        false,
		`{"load_percent":0125}`:                 false,
	} {
		if _, err := plugintest.Load(t, "tenant-affinity", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
