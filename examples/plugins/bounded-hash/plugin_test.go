package boundedhash_test

import (
	"fmt"
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

var claims = policytest.Options{Shares: policytest.Some, Keyed: true}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "bounded-hash", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

// request is number seq of a stream, with a key that follows from it.
func request(seq uint64) policies.Request {
	r := policytest.Request(1, seq)
	r.Flags |= policies.HasKey
	r.KeyHash = r.Rand
	return r
}

// TestTwin: the same key, load and health, and the same endpoint as that of the built-in policy.
func TestTwin(t *testing.T) {
	for name, weights := range map[string][]uint32{
		"two":                {1, 1},
		"twenty":             {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"of_several_weights": {3, 1, 7, 2, 2, 5, 100, 9},
	} {
		t.Run(name, func(t *testing.T) {
			table := policytest.Table(1, policytest.Weights(weights...)...)
			native, guest := plugintest.Picker(t, policies.BoundedHash{}, table), plugintest.Picker(t, build(t), table)
			further := 0
			for gen, down := range [][]int{nil, {0}} {
				v := policytest.View(table, uint32(gen), down...)
				for seq := range uint64(2000) {
					r := request(seq)
					if seq%5 == 0 {
						r.MarkTried(uint32(seq) % uint32(len(weights)))
						r.Attempt++
					}
					again := r
					want, got := native.Pick(&r, v), guest.Pick(&again, v)
					if got != want {
						t.Fatalf("request %d went to endpoint %d, and to %d by the built-in policy", seq, got, want)
					}
					if again.Reason == 2 {
						further++
					}
					if got >= 0 && seq < 1500 { // so that loads differ, and endpoints become full
						table.Endpoints[got].AddInflight(1)
					}
				}
			}
			if further < 100 {
				t.Errorf("%d requests went further than their first endpoint, want a hundred at least", further)
			}
		})
	}
}

func TestTheBoundIsHeldForAHotKey(t *testing.T) {
	for percent, most := range map[int]int{110: 22, 125: 25, 200: 40} {
		p := plugintest.Policy(t, "bounded-hash", fmt.Sprintf(`{"bound_percent": %d}`, percent))
		table := policytest.Table(1, policytest.Weights(1, 1, 1, 1, 1)...)
		pk, v := plugintest.Picker(t, p, table), policytest.View(table, 1)
		for range 100 {
			r := request(7) // always the same key
			table.Endpoints[pk.Pick(&r, v)].AddInflight(1)
		}
		fullest := 0
		for _, e := range table.Endpoints {
			fullest = max(fullest, int(e.Inflight()))
		}
		if fullest != most {
			t.Errorf("bound %d %%: the fullest of 5 has %d of 100 requests, want %d", percent, fullest, most)
		}
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"": true, "{}": true, `{"bound_percent": 150}`: true, `{"bound_percent": 100}`: false, `{"bound_percent": 1.25}`: false, `{"bound": 150}`: false, "[]": false,
	} {
		if _, err := plugintest.Load(t, "bounded-hash", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
