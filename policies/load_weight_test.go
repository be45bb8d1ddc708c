package policies_test

import (
	"math"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
)

var a58 = policies.LoadWeights{Blackout: 10 * time.Second, Expiration: 3 * time.Minute, Penalty: 1}

// Formula and times are those of gRFC A58; the figures are computed by hand.
func TestLoadWeight(t *testing.T) {
	const second = int64(time.Second)
	report := func(u, qps, eps float64) policies.LoadReport {
		return policies.LoadReport{Utilisation: u, QPS: qps, EPS: eps}
	}
	for _, c := range []struct {
		name string
		give policies.LoadReport
		want float64
	}{
		{"requests by utilisation", report(0.5, 100, 0), 200},
		{"errors count as utilisation", report(0.5, 100, 50), 100},
		{"beyond its capacity", report(2, 100, 0), 50},
		{"no utilisation", report(0, 100, 0), 0},
		{"errors alone are no utilisation", report(0, 100, 50), 0},
		{"no requests", report(0.5, 0, 0), 0},
		{"negative", report(-1, 100, 0), 0},
		{"no number", report(math.NaN(), 100, 0), 0},
		{"without end", report(math.Inf(1), 100, 0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w policies.LoadWeight
			w.Report(a58, 5*second, c.give)
			if got := w.At(a58, 15*second-1); got != 0 {
				t.Errorf("%v before the blackout is over, want 0", got)
			}
			if got := w.At(a58, 15*second); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	t.Run("the last report holds", func(t *testing.T) {
		var w policies.LoadWeight
		w.Report(a58, 0, report(0.5, 100, 0))
		w.Report(a58, 20*second, report(0.25, 100, 0))
		w.Report(a58, 30*second, report(0, 0, 0))
		if got := w.At(a58, 30*second); got != 400 {
			t.Errorf("got %v, want 400", got)
		}
	})
	t.Run("it expires, and the next one begins a blackout", func(t *testing.T) {
		var w policies.LoadWeight
		w.Report(a58, 0, report(0.5, 100, 0))
		if before, after := w.At(a58, 180*second-1), w.At(a58, 180*second); before != 200 || after != 0 {
			t.Errorf("%v and then %v, want 200 and 0", before, after)
		}
		w.Report(a58, 200*second, report(0.5, 100, 0))
		if early, late := w.At(a58, 209*second), w.At(a58, 210*second); early != 0 || late != 200 {
			t.Errorf("%v and then %v after it came back, want 0 and 200", early, late)
		}
	})
}

func TestSpreadLoad(t *testing.T) {
	for _, c := range []struct {
		name             string
		own, load, wants []float64
		ok               bool
	}{
		{"the average stays", []float64{10, 10}, []float64{300, 100}, []float64{15, 5}, true},
		{"an unknown one is average", []float64{10, 10, 10}, []float64{300, 100, 0}, []float64{15, 5, 10}, true},
		{"one alone compares with nobody", []float64{10, 20}, []float64{300, 0}, []float64{10, 20}, false},
		{"weight 0 stays", []float64{0, 10, 10}, []float64{900, 300, 100}, []float64{0, 15, 5}, true},
		{"nobody", nil, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := append([]float64(nil), c.own...)
			if ok := policies.SpreadLoad(got, c.load); ok != c.ok {
				t.Errorf("answered %v, want %v", ok, c.ok)
			}
			for i, w := range c.wants {
				if math.Abs(got[i]-w) > 1e-9 {
					t.Errorf("got %v, want %v", got, c.wants)
					break
				}
			}
		})
	}
}
