package policies_test

import (
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

func TestChoices(t *testing.T) {
	three := func(*testing.T) policies.Policy { return policies.P2C{Choices: 3} }
	t.Run("laws", func(t *testing.T) { policytest.Run(t, three, claims["p2c"]) })
	t.Run("allocations", func(t *testing.T) { policytest.NoAllocations(t, three, claims["p2c"]) })
	t.Run("the_busiest_of_four_gets_none_where_three_are_drawn", func(t *testing.T) {
		table := policytest.Table(1, policytest.Weights(1, 1, 1, 1)...)
		v := policytest.View(table, 1)
		for i, e := range table.Endpoints {
			e.AddInflight(int32(i))
		}
		for choices, idle := range map[int]float64{2: 1. / 2, 3: 2. / 3, 10: 0.97} {
			p, err := policies.P2C{Choices: choices}.Build(table)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float64, 4)
			for seq := range uint64(10_000) {
				r := policytest.Request(1, seq)
				got[p.Pick(&r, v)] += 1. / 10_000
			}
			if got[3] > 0 || got[0] < idle-0.03 || got[0] > idle+0.05 {
				t.Errorf("%d choices: shares %.3f, want %.2f for the idle one and none for the busiest", choices, got, idle)
			}
		}
	})
	t.Run("are_2_to_10", func(t *testing.T) {
		for choices, ok := range map[int]bool{-1: false, 0: true, 1: false, 2: true, 10: true, 11: false} {
			if _, err := (policies.P2C{Choices: choices}).Build(policytest.Table(1, policytest.Weights(1)...)); (err == nil) != ok {
				t.Errorf("%d choices: error %v, want accepted %t", choices, err, ok)
			}
		}
	})
}
