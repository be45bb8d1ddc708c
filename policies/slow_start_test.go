package policies_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies"
)

// TestPublishedG5SlowStart: the formula is that of Envoy, the figures of a window of a minute were computed from it.
func TestPublishedG5SlowStart(t *testing.T) {
	linear := policies.SlowStart{Window: time.Minute, Aggression: 1, Minimum: 0.1}
	steep := policies.SlowStart{Window: time.Minute, Aggression: 1.5, Minimum: 0.1}
	for _, c := range []struct {
		name string
		s    policies.SlowStart
		age  time.Duration
		want float64
	}{
		{"it begins with the minimum", linear, 0, 0.1},
		{"a tenth", linear, 6 * time.Second, 0.1},
		{"a quarter", linear, 15 * time.Second, 0.25},
		{"a half", linear, 30 * time.Second, 0.5},
		{"three quarters", linear, 45 * time.Second, 0.75},
		{"the end", linear, time.Minute, 1},
		{"long after", linear, time.Hour, 1},
		{"steep, a tenth", steep, 6 * time.Second, 0.215},
		{"steep, a quarter", steep, 15 * time.Second, 0.397},
		{"steep, a half", steep, 30 * time.Second, 0.630},
		{"steep, three quarters", steep, 45 * time.Second, 0.826},
		{"the first second counts as one", policies.SlowStart{Window: 5 * time.Second, Aggression: 1, Minimum: 0.1}, 0, 0.2},
		{"off", policies.SlowStart{}, 0, 1},
	} {
		experiments.Hold(t, experiments.Row{
			ID: "G5", What: "slow start, " + c.name, Source: "Envoy, slow start mode; computed",
			Published: c.want, Ours: c.s.Share(c.age), Tolerance: 0.001,
		})
	}
}
