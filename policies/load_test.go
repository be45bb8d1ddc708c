package policies_test

import (
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// picksUnder counts picks of a policy over endpoints with these weights and requests in flight.
func picksUnder(t *testing.T, name string, weights []uint32, inflight []int32, picks int) []int {
	t.Helper()
	table := policytest.Table(1, policytest.Weights(weights...)...)
	for i, n := range inflight {
		table.Endpoints[i].AddInflight(n)
	}
	p, err := named(t, name).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	v := policytest.View(table, 1)
	count := make([]int, len(weights))
	for seq := range uint64(picks) {
		r := policytest.Request(1, seq)
		count[p.Pick(&r, v)]++
	}
	return count
}

func TestLoad(t *testing.T) {
	t.Run("least_request_takes_the_least_for_its_weight", func(t *testing.T) {
		// (inflight+1)/weight: 4, 2, 1.75, 2
		got := picksUnder(t, "least_request", []uint32{1, 2, 4, 1}, []int32{3, 3, 6, 1}, 100)
		if got[2] != 100 {
			t.Errorf("picks %v, want all at endpoint 2", got)
		}
	})
	t.Run("least_request_divides_ties_evenly", func(t *testing.T) {
		got := picksUnder(t, "least_request", []uint32{1, 1, 1, 1}, []int32{0, 9, 0, 0}, 3000)
		for _, i := range []int{0, 2, 3} { // 1000 each, five standard deviations of 26
			if got[i] < 870 || got[i] > 1130 {
				t.Errorf("picks %v, want about 1000 at each idle endpoint", got)
			}
		}
		if got[1] != 0 {
			t.Errorf("picks %v, want none at the busy endpoint", got)
		}
	})
	t.Run("p2c_never_takes_the_most_loaded", func(t *testing.T) {
		got := picksUnder(t, "p2c", []uint32{1, 1, 1, 3}, []int32{5, 6, 7, 20}, 3000)
		if got[2] != 0 || got[0] == 0 || got[1] == 0 || got[3] == 0 {
			t.Errorf("picks %v, want some at all but endpoint 2, which loses to any other", got)
		}
	})
	t.Run("p2c_takes_the_less_loaded_of_two", func(t *testing.T) {
		got := picksUnder(t, "p2c", []uint32{policies.MaxWeight, policies.MaxWeight - 1}, []int32{1 << 30, 1 << 29}, 200)
		if got[1] != 200 {
			t.Errorf("picks %v, want all at endpoint 1", got)
		}
	})
}
