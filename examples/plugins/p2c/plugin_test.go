package p2c_test

import (
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

var claims = policytest.Options{Shares: policytest.ByLoad}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "p2c", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

func TestTheLessLoadedOfTwoIsPicked(t *testing.T) {
	for _, c := range []struct {
		name     string
		weights  []uint32
		inflight []int32
		want     int
	}{
		{"fewer_requests", []uint32{1, 1}, []int32{3, 2}, 1},
		{"an_idle_one", []uint32{1, 1}, []int32{0, 1}, 0},
		{"more_weight_for_the_same_requests", []uint32{2, 3}, []int32{4, 4}, 1},
		{"more_requests_but_far_more_weight", []uint32{100, 1}, []int32{50, 1}, 0},
		{"loads_beyond_32_bits_of_product", []uint32{65535, 65534}, []int32{1 << 30, 1 << 29}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := policytest.Table(1, policytest.Weights(c.weights...)...)
			for i, n := range c.inflight {
				table.Endpoints[i].AddInflight(n)
			}
			p, err := build(t).Build(table)
			if err != nil {
				t.Fatal(err)
			}
			v := policytest.View(table, 1)
			for seq := range uint64(200) {
				r := policytest.Request(1, seq)
				if got := p.Pick(&r, v); got != c.want {
					t.Fatalf("request %d went to endpoint %d, want %d of the two with weights %v and %v requests in flight",
						seq, got, c.want, c.weights, c.inflight)
				}
			}
		})
	}
}

func TestConfigurationIsRefusedButForAnEmptyObject(t *testing.T) {
	for config, ok := range map[string]bool{"": true, "{}": true, " { } ": true, "[]": false, `{"choices":3}`: false, "{}x": false} {
		if _, err := plugintest.Load(t, "p2c", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
