// Package policytest holds the laws that any policy must obey, native or Wasm, as one conformance kit, and builders of
// tables and views for other tests.
//
// Laws without a claim hold for every policy: a pick is in range, usable, not tried and of a weight above 0; None is
// answered if and only if nothing is left; equal seeds give equal traces; a pick allocates nothing; all of it stays
// true while goroutines pick and tables and views are swapped. What a policy promises beyond that it claims in Options:
// its shares, that nobody starves, that better tiers come first, that keys stay where they are.
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
	// Some: every endpoint gets requests; how many is not promised.
	Some
	// Unclaimed: nothing is promised, not even that every endpoint gets requests (a primary and its standby).
	Unclaimed
)

// Options are the claims of a policy. The zero value claims shares by weight and respect for tiers.
type Options struct {
	Shares Shares
	// AnyTier: a pick may leave an untried endpoint of a better tier aside.
	AnyTier bool
	// Keyed: a request with a key goes where others with that key go, while nothing is in flight.
	Keyed bool
	// Moves is the largest part, 0..1, of the keys of other endpoints that move when one comes or goes. One that is down
	// moves none.
	Moves float64
	// MayReject: the policy refuses requests now and then.
	MayReject bool
	// Shape, if not nil, changes each endpoint that the kit makes, before any table is built: flags, zone, metadata.
	Shape func(i int, e *policies.Endpoint)
}

// Build makes a policy that has served nothing yet. It is called several times in a test.
type Build func(t *testing.T) policies.Policy

// Run holds a policy to every law, each in a subtest.
func Run(t *testing.T, build Build, o Options) {
	for _, l := range Laws() {
		t.Run(l.Name, func(t *testing.T) { l.test(t, build, o) })
	}
}

// NoAllocations holds a policy to the law that a pick allocates nothing. It is part of [Run], and exported for tests that
// run without the race detector.
func NoAllocations(t *testing.T, build Build, o Options) {
	Law{hold: noAllocations}.test(t, build, o)
}

func (l Law) test(t *testing.T, build Build, o Options) {
	if err := l.Hold(func() (policies.Policy, error) { return build(t), nil }, o); err != nil {
		t.Error(err)
	}
}
