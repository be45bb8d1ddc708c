package policies_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies"
)

// TestPublishedG5Priorities has the figures of Envoy's documentation (load_balancers: priority levels, panic threshold), which
// are whole percents.
func TestPublishedG5Priorities(t *testing.T) {
	for _, c := range []struct {
		up    []float64
		parts []float64 // percent, rounded
		panic []bool
	}{
		{[]float64{1, 1}, []float64{100, 0}, []bool{false, false}},
		{[]float64{0.72, 1}, []float64{100, 0}, []bool{false, false}},
		{[]float64{0.71, 1}, []float64{99, 1}, []bool{false, false}},
		{[]float64{0.50, 1}, []float64{70, 30}, []bool{false, false}},
		{[]float64{0.25, 1}, []float64{35, 65}, []bool{false, false}},
		{[]float64{0, 1}, []float64{0, 100}, []bool{false, false}},
		{[]float64{0.25, 0.25}, []float64{50, 50}, []bool{true, true}},
		{[]float64{0.05, 0.65}, []float64{7, 93}, []bool{true, false}},
		{[]float64{0, 0}, []float64{100, 0}, []bool{true, true}},
		{[]float64{1, 1, 1}, []float64{100, 0, 0}, []bool{false, false, false}},
		{[]float64{0.2, 0.2, 1}, []float64{28, 28, 44}, []bool{false, false, false}},
	} {
		sum := 0.0
		for i, s := range policies.Priorities(c.up, 1.4, 0.5) {
			sum += s.Part
			experiments.Hold(t, experiments.Row{
				ID: "G5", What: fmt.Sprintf("tiers of which %v are up: what tier %d gets", c.up, i), Source: "Envoy, priority levels",
				Published: c.parts[i], Ours: 100 * s.Part, Tolerance: 0.5, Unit: "%",
			})
			if s.Panic != c.panic[i] {
				t.Errorf("up %v: panic in tier %d is %v, want %v", c.up, i, s.Panic, c.panic[i])
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("up %v: the parts add up to %v", c.up, sum)
		}
	}
}

func TestZones(t *testing.T) {
	for _, c := range []struct {
		name     string
		capacity []float64
		self     int
		want     []float64
	}{
		{"equal zones keep to themselves", []float64{0.5, 0.5}, 0, []float64{1, 0}},
		{"a small zone hands on what it cannot bear", []float64{0.25, 0.75}, 0, []float64{0.5, 0.5}},
		{"a large one keeps everything", []float64{0.25, 0.75}, 1, []float64{0, 1}},
		{"the rest goes by surplus", []float64{0.1, 0.4, 0.5}, 0, nil},
		{"a zone without endpoints uses all", []float64{0, 0.4, 0.6}, 0, []float64{0, 0.4, 0.6}},
		{"one zone is all there is", []float64{1}, 0, []float64{1}},
	} {
		got := policies.Zones(c.capacity, c.self)
		if c.name == "the rest goes by surplus" { // surpluses 1/15 and 1/6 of a third each
			c.want = []float64{0.3, 0.7 * (0.4 - 1.0/3) / (0.9 - 2.0/3), 0.7 * (0.5 - 1.0/3) / (0.9 - 2.0/3)}
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9 {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
	// Gateways in all zones together load every endpoint alike.
	capacity := []float64{0.1, 0.2, 0.3, 0.4}
	load := make([]float64, len(capacity))
	for self := range capacity {
		for i, p := range policies.Zones(capacity, self) {
			load[i] += p / float64(len(capacity))
		}
	}
	for i := range capacity {
		if math.Abs(load[i]-capacity[i]) > 1e-9 {
			t.Errorf("zones of capacity %v get %v of the traffic", capacity, load)
			break
		}
	}
}
