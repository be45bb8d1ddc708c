package roundrobin_test

import (
	"slices"
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

var claims = policytest.Options{Shares: policytest.Evenly}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "round-robin", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

func TestTurnsAreExact(t *testing.T) {
	p := build(t)
	table := policytest.Table(1, policytest.Weights(9, 1, 1, 1)...)
	picker, err := p.Build(table)
	if err != nil {
		t.Fatal(err)
	}
	picks := func(v *policies.View, n int) (got []int) {
		for range n {
			r := policytest.Request(1, 1)
			got = append(got, picker.Pick(&r, v))
		}
		return got
	}
	if got := picks(policytest.View(table, 1), 6); !slices.Equal(got, []int{0, 1, 2, 3, 0, 1}) {
		t.Errorf("requests went to %v, want each its turn", got)
	}
	// The seventh turn, of three that are left.
	if got := picks(policytest.View(table, 2, 2), 4); !slices.Equal(got, []int{0, 1, 3, 0}) {
		t.Errorf("with endpoint 2 down requests went to %v, want the others their turn", got)
	}
}

func TestAnyConfigurationIsRefused(t *testing.T) {
	if _, err := plugintest.Load(t, "round-robin", "{}"); err == nil {
		t.Error("a configuration was accepted, want a refusal: the policy has no settings")
	}
}
