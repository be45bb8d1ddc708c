package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

// TestRamp: each step has its rate, a step of rate 0 has nobody, and after the last the process goes on.
func TestRamp(t *testing.T) {
	ramp := sim.Ramp{{From: time.Second, Rate: 1000}, {From: 11 * time.Second}, {From: 20 * time.Second, Rate: 2000}}
	g := rand.New(rand.NewPCG(1, 1))
	var first, second int
	for now := time.Duration(0); now < 30*time.Second; {
		d := ramp.Next(now, g)
		if now += d; d < 0 || now < time.Second || now >= 11*time.Second && now < 20*time.Second {
			t.Fatalf("an arrival at %v", now)
		}
		if now < 11*time.Second {
			first++
		} else {
			second++
		}
	}
	if first < 9500 || first > 10500 || second < 19_300 || second > 20_700 {
		t.Errorf("%d and %d arrivals, want 10000 and 20000", first, second)
	}
	if d := (sim.Ramp{{Rate: 5}, {From: time.Second}}).Next(2*time.Second, g); d >= 0 {
		t.Errorf("%v until an arrival after the end, want none", d)
	}
}

// TestAvailabilityIsThatOfTheFormula is E12: what is simulated is within 2 % of the formula.
func TestAvailabilityIsThatOfTheFormula(t *testing.T) {
	for _, c := range []struct {
		r    sim.Redundancy
		want float64
	}{
		{sim.Redundancy{Needed: 1, Spare: 1, Coverage: 1, Switchover: 30 * time.Second, Crews: 1}, 1.033e-5},
		{sim.Redundancy{Needed: 1, Spare: 1, Coverage: 0.9, Switchover: 3 * time.Second, Crews: 1}, 1.028e-4},
		{sim.Redundancy{Needed: 3, Spare: 1, Coverage: 1, MTBF: 99 * time.Hour}, 1 - 0.999408},
		{sim.Redundancy{Needed: 9, Spare: 1, Coverage: 1, MTBF: 99 * time.Hour}, 1 - 0.995734},
		{sim.Redundancy{Needed: 9, Spare: 2, Coverage: 1, MTBF: 99 * time.Hour}, 1 - 0.999845},
	} {
		if c.r.MTTR = time.Hour; c.r.MTBF == 0 {
			c.r.MTBF = 1000 * time.Hour
		}
		u, err := c.r.Unavailability()
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Sum(); got < 0.98*c.want || got > 1.02*c.want {
			t.Errorf("%+v: %.4g, want %.4g", c.r, got, c.want)
		}
		got, err := c.r.Simulate(2_000_000, 1)
		if err != nil || got < 0.97*c.want || got > 1.03*c.want {
			t.Errorf("%+v: simulated %.4g (%v), want %.4g", c.r, got, err, c.want)
		}
	}
	if _, err := (&sim.Redundancy{Needed: 0, MTBF: 1, MTTR: 1}).Unavailability(); err == nil {
		t.Error("no unit that is needed is accepted")
	}
}
