package policies_test

import (
	"slices"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// claims says what each built-in policy promises beside the laws that hold for all.
var claims = map[string]policytest.Options{
	"bounded_hash":         {Shares: policytest.Some, Keyed: true}, // its cap: TestBoundedHash
	"first":                {Shares: policytest.Unclaimed},
	"jump_hash":            {Shares: policytest.Evenly, Keyed: true, Moves: 1}, // what moves when: TestPublishedG4
	"least_request":        {Shares: policytest.ByLoad},
	"maglev":               {Shares: policytest.ByWeight, Keyed: true, Moves: 0.1},
	"p2c":                  {Shares: policytest.ByLoad},
	"peak_ewma":            {Shares: policytest.Some}, // by response times: TestPeakEWMA
	"prequal":              {Shares: policytest.Some}, // by response times and load: TestPrequal
	"random":               {Shares: policytest.ByWeight},
	"rendezvous":           {Shares: policytest.ByWeight, Keyed: true},
	"ring_hash":            {Shares: policytest.Some, Keyed: true}, // within the error of its points: TestHashing
	"round_robin":          {Shares: policytest.Evenly},
	"weighted_round_robin": {Shares: policytest.ByWeight},
}

func named(t testing.TB, name string) policies.Policy {
	p, ok := policies.ByName(name)
	if !ok {
		t.Fatalf("ByName(%q) finds nothing", name)
	}
	return p
}

func TestLaws(t *testing.T) {
	for _, name := range policies.Names() {
		o, ok := claims[name]
		if !ok {
			t.Errorf("built-in policy %q has no claims in this test", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			policytest.Run(t, func(t *testing.T) policies.Policy { return named(t, name) }, o)
		})
	}
}

func TestAllocations(t *testing.T) {
	for name, o := range claims {
		t.Run(name, func(t *testing.T) {
			policytest.NoAllocations(t, func(t *testing.T) policies.Policy { return named(t, name) }, o)
		})
	}
}

func TestNames(t *testing.T) {
	t.Run("are_sorted", func(t *testing.T) {
		if !slices.IsSorted(policies.Names()) {
			t.Errorf("Names() = %v, want alphabetical order", policies.Names())
		}
	})
	t.Run("an_unknown_name_is_not_found", func(t *testing.T) {
		if p, ok := policies.ByName("P2C"); ok || p != nil {
			t.Errorf("ByName(%q) = %v, %t, want nothing", "P2C", p, ok)
		}
	})
}
