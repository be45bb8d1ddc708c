package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies/sim"
)

// TestPublishedAvailability is E12: what the formula of [sim.Redundancy] says of a pair and of N+1, and what the simulation
// comes to, which knows no formula.
func TestPublishedAvailability(t *testing.T) {
	pair := sim.Redundancy{Needed: 1, Spare: 1, MTBF: 1000 * time.Hour, MTTR: time.Hour, Crews: 1}
	for _, c := range []struct {
		coverage   float64
		switchover time.Duration
		published  float64
		failures   int // that it takes for 0.5 %; a millionth of the time is few events
	}{
		{1, 3 * time.Second, 2.841e-6, 200_000_000},
		{1, 30 * time.Second, 1.031e-5, 50_000_000},
		{0.99, 3 * time.Second, 1.286e-5, 50_000_000},
		{0.9, 3 * time.Second, 1.026e-4, 5_000_000},
	} {
		r := pair
		r.Coverage, r.Switchover = c.coverage, c.switchover
		hold(t, r, fmt.Sprintf("1+1, coverage %g, switchover %s", c.coverage, c.switchover), "computed, 3e9 hours", c.published, c.failures)
	}
	for _, c := range []struct {
		needed, spare int
		published     float64 // of the binomial distribution, units being there 0.99 of the time
		failures      int
	}{
		{1, 1, 1 - 0.9999, 5_000_000},
		{3, 1, 1 - 0.999408, 2_000_000},
		{9, 1, 1 - 0.995734, 1_000_000},
		{9, 2, 1 - 0.999845, 5_000_000},
	} {
		r := sim.Redundancy{Needed: c.needed, Spare: c.spare, MTBF: 99 * time.Hour, MTTR: time.Hour, Coverage: 1}
		hold(t, r, fmt.Sprintf("%d+%d, units 0.99 there", c.needed, c.spare), "binomial distribution", c.published, c.failures)
	}
}

// hold compares formula and simulation with the unavailability that was published, in millionths of the time.
func hold(t *testing.T, r sim.Redundancy, what, source string, published float64, failures int) {
	t.Helper()
	u, err := r.Unavailability()
	if err != nil {
		t.Fatal(err)
	}
	row := experiments.Row{ID: "E12", Source: source, Published: published * 1e6, Tolerance: published * 1e6 * 0.02, Unit: "ppm"}
	row.What, row.Ours = what+": formula", u.Sum()*1e6
	experiments.Hold(t, row)
	if failures > 2_000_000 && !experiments.Whole() {
		return
	}
	simulated, err := r.Simulate(failures, 1)
	if err != nil {
		t.Fatal(err)
	}
	row.What, row.Ours = what+": simulated", simulated*1e6
	experiments.Hold(t, row)
}
