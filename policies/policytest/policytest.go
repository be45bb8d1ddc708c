// Package policytest holds the laws that any policy must obey, native or Wasm, as one conformance kit, and builders of
// tables and views for other tests.
//
// Laws without a claim hold for every policy: a pick is in range, usable, not tried and of a weight above 0; None is
// answered if and only if nothing is left; equal seeds give equal traces; a pick allocates nothing; all of it stays
// true while goroutines pick and tables and views are swapped. What a policy promises beyond that it claims in Options.
package policytest

import (
	"testing"

	"github.com/weir-lb/weir/policies"
)

// Shares says how a policy promises to divide requests among the usable endpoints of a tier.
type Shares uint8

// Promises.
const (
	// ByWeight: in proportion to weight, whatever the load.
	ByWeight Shares = iota
	// Evenly: to each the same, whatever its weight.
	Evenly
	// ByLoad: in proportion to weight while requests are in flight at all of them and take equally long.
	ByLoad
	// Unclaimed: nothing is promised, not even that every endpoint gets requests (a primary and its standby).
	Unclaimed
)

// Options are the claims of a policy. The zero value claims shares by weight and respect for tiers.
type Options struct {
	Shares Shares
	// AnyTier: a pick may leave an untried endpoint of a better tier aside.
	AnyTier bool
	// Shape, if not nil, changes each endpoint that the kit makes, before any table is built: flags, zone, metadata.
	Shape func(i int, e *policies.Endpoint)
}

// Build makes a policy that has served nothing yet. It is called several times in a test.
type Build func(t *testing.T) policies.Policy

// Run holds a policy to every law, each in a subtest.
func Run(t *testing.T, build Build, o Options) {
	for _, law := range []struct {
		name string
		hold func(*testing.T, Build, Options)
	}{
		{"a_pick_is_usable_and_untried_and_none_means_nothing_is_left", pickIsValid},
		{"retries_visit_every_endpoint_once", retriesVisitAll},
		{"no_endpoint_and_one_endpoint", fewEndpoints},
		{"an_endpoint_that_comes_back_gets_requests_again", comesBack},
		{"shares_are_as_promised", sharesHold},
		{"nobody_is_starved_when_tables_change_before_every_pick", nobodyStarved},
		{"equal_seeds_give_equal_traces", equalTraces},
		{"a_pick_allocates_nothing", NoAllocations},
		{"laws_hold_while_tables_and_views_are_swapped", hammer},
	} {
		t.Run(law.name, func(t *testing.T) { law.hold(t, build, o) })
	}
}

// picker builds the picker of table, or ends the test.
func picker(t *testing.T, p policies.Policy, table *policies.Table) policies.Picker {
	t.Helper()
	pk, err := p.Build(table)
	if err != nil {
		t.Fatalf("Build of %d endpoints: %v", len(table.Endpoints), err)
	}
	return pk
}

// wrong says what is wrong with answer i to r in v, or "".
func wrong(r *policies.Request, v *policies.View, o Options, i int) string {
	candidates := v.Candidates(r)
	switch {
	case candidates == nil && i == policies.None:
		return ""
	case candidates == nil:
		return "want None: nothing is left"
	case i == policies.None:
		return "want an endpoint: some are left"
	case !v.Usable(i):
		return "want an endpoint that is in range and usable"
	case r.HasTried(uint32(i)):
		return "want an endpoint that is not tried"
	case v.Table.Endpoints[i].Weight == 0:
		return "want an endpoint of weight above 0"
	case !o.AnyTier && tier(v, i) != tier(v, int(candidates[0])):
		return "want an endpoint of the first tier that has one left"
	}
	return ""
}

func tier(v *policies.View, i int) int {
	return min(int(v.Table.Endpoints[i].Tier), len(v.TierEnd)-1)
}
