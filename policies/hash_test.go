package policies_test

import (
	"math"
	"slices"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

const keys = 20_000

// keyed returns request seq with a key of its own.
func keyed(seq uint64) policies.Request {
	r := policytest.Request(1, seq)
	r.Flags |= policies.HasKey
	r.KeyHash = seq*0x9e3779b97f4a7c15 ^ 0x5bd1e995
	return r
}

// places returns where each of many keys goes.
func places(t *testing.T, name string, table *policies.Table, v *policies.View) []int {
	t.Helper()
	p, err := named(t, name).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int, keys)
	for k := range out {
		r := keyed(uint64(k))
		out[k] = p.Pick(&r, v)
	}
	return out
}

// hashing is held by laws too: that keys stay, and which move.
var hashing = map[string]float64{ // largest error of a share of 1/10, as a part of it
	"jump_hash":    0.1, // five standard deviations of 20,000 keys, each 2.1 %
	"maglev":       0.1, // the table's 0.02 %, and five standard deviations of 20,000 keys, each 2.1 %
	"rendezvous":   0.1,
	"ring_hash":    0.5, // 8 % a standard deviation
	"bounded_hash": 0.5,
}

func TestHashing(t *testing.T) {
	ten := policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{1}, 10)...)...)
	for name, off := range hashing {
		before := places(t, name, ten, policytest.View(ten, 1))
		t.Run(name+"_spreads_keys_evenly", func(t *testing.T) {
			count := make([]int, 10)
			for _, i := range before {
				count[i]++
			}
			for i, n := range count {
				if math.Abs(float64(n)-keys/10) > off*keys/10 {
					t.Errorf("endpoint %d has %d keys of %d (%v)", i, n, keys, count)
				}
			}
		})
		t.Run(name+"_spreads_the_keys_of_an_endpoint_that_is_down", func(t *testing.T) {
			count := make([]int, 10)
			for k, i := range places(t, name, ten, policytest.View(ten, 2, 3)) {
				if before[k] == 3 {
					count[i]++
				}
			}
			for i, n := range count {
				if i != 3 && n == 0 {
					t.Errorf("endpoint %d got none of the keys of endpoint 3 (%v)", i, count)
				}
			}
		})
		t.Run(name+"_draws_for_a_request_without_a_key", func(t *testing.T) {
			p, err := named(t, name).Build(ten)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[int]bool{}
			for seq := range uint64(200) {
				r := policytest.Request(1, seq)
				r.KeyHash = 7
				seen[p.Pick(&r, policytest.View(ten, 1))] = true
			}
			if len(seen) != 10 {
				t.Errorf("%d endpoints got requests, want 10", len(seen))
			}
		})
	}
}

// TestBoundedHash: with one hot key alone, no endpoint gets more than its part times 1.25, rounded up.
func TestBoundedHash(t *testing.T) {
	table := policytest.Table(1, policytest.Weights(1, 1, 2, 4)...)
	p, err := named(t, "bounded_hash").Build(table)
	if err != nil {
		t.Fatal(err)
	}
	v := policytest.View(table, 1)
	first := -1
	for n := 1; n <= 400; n++ {
		r := keyed(1)
		i := p.Pick(&r, v)
		if n == 1 {
			first = i
		}
		e := table.Endpoints[i]
		e.AddInflight(1)
		if most := math.Ceil(1.25 * float64(n) * float64(e.Weight) / 8); float64(e.Inflight()) > most {
			t.Fatalf("with %d requests in flight endpoint %d has %d, want at most %v", n, i, e.Inflight(), most)
		}
	}
	for _, e := range table.Endpoints {
		e.AddInflight(-int32(e.Inflight()))
	}
	if r := keyed(1); p.Pick(&r, v) != first {
		t.Error("the key does not come back to its endpoint when that is idle again")
	}
}
