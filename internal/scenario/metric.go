package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

// Unit is what a metric is measured in.
type Unit uint8

// Units.
const (
	Plain   Unit = iota
	Seconds      // a duration
	Share        // 0..1
)

// Metric is a figure of a run.
type Metric struct {
	Name string
	Unit Unit
	of   func(r *sim.Result) float64
}

// metrics are all of them. under(DURATION) is one more.
var metrics = []Metric{
	{"mean", Seconds, func(r *sim.Result) float64 { return r.Mean().Seconds() }},
	{"p50", Seconds, quantile(0.5)},
	{"p90", Seconds, quantile(0.9)},
	{"p95", Seconds, quantile(0.95)},
	{"p99", Seconds, quantile(0.99)},
	{"p999", Seconds, quantile(0.999)},
	{"max", Seconds, quantile(1)},
	{"requests", Plain, func(r *sim.Result) float64 { return float64(r.Requests) }},
	{"failed", Share, func(r *sim.Result) float64 { return 1 - r.Availability() }},
	{"availability", Share, func(r *sim.Result) float64 { return r.Availability() }},
	{"amplification", Plain, func(r *sim.Result) float64 { return r.Amplification() }},
	{"retries", Plain, func(r *sim.Result) float64 { return float64(r.Retries) }},
	{"extra", Share, func(r *sim.Result) float64 { return r.Amplification() - 1 }},
	{"peak", Plain, func(r *sim.Result) float64 { return r.Peak }},
	{"peak_over_part", Plain, func(r *sim.Result) float64 { return r.PeakOverPart }},
	{"over_bound", Plain, func(r *sim.Result) float64 { return float64(r.OverBound) }},
	{"max_over_mean", Plain, func(r *sim.Result) float64 {
		return overMean(r, func(s sim.ServerResult) float64 { return float64(s.Served) })
	}},
	{"max_over_mean_util", Plain, func(r *sim.Result) float64 {
		return overMean(r, func(s sim.ServerResult) float64 { return s.Utilisation })
	}},
	{"max_share_dev", Share, shareDeviation},
	{"util_spread", Plain, func(r *sim.Result) float64 { lo, hi := Utilisation(r); return hi - lo }},
}

// windowed are the metrics that can be had of a part of the run.
var windowed = []string{"mean", "p50", "p90", "p95", "p99", "p999", "max", "requests", "failed", "availability"}

// MetricNames lists the metrics.
func MetricNames() []string {
	var names []string
	for _, m := range metrics {
		names = append(names, m.Name)
	}
	return append(names, "under(DURATION)")
}

func metricOf(name string) (Metric, error) {
	if text, found := strings.CutPrefix(name, "under("); found {
		text, closed := strings.CutSuffix(text, ")")
		if d, err := time.ParseDuration(text); err == nil && closed && d > 0 {
			return Metric{name, Share, func(r *sim.Result) float64 { return r.Under(d) }}, nil
		}
	}
	if i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name }); i >= 0 {
		return metrics[i], nil
	}
	return Metric{}, fmt.Errorf("metric %q, want one of %s", name, strings.Join(MetricNames(), ", "))
}

func quantile(q float64) func(r *sim.Result) float64 {
	return func(r *sim.Result) float64 { return r.Quantile(q).Seconds() }
}

func overMean(r *sim.Result, of func(sim.ServerResult) float64) float64 {
	sum, most := 0.0, 0.0
	for _, s := range r.Servers {
		sum += of(s)
		most = max(most, of(s))
	}
	if sum == 0 {
		return 0
	}
	return most * float64(len(r.Servers)) / sum
}

// shareDeviation is by how much the utilisation of the server that is farthest from the mean is off, as a share of the
// mean: with servers that are as busy as each other each got what is due to its speed.
func shareDeviation(r *sim.Result) float64 {
	mean, most := 0.0, 0.0
	for _, s := range r.Servers {
		mean += s.Utilisation / float64(len(r.Servers))
	}
	if mean == 0 {
		return 0
	}
	for _, s := range r.Servers {
		most = max(most, math.Abs(s.Utilisation-mean)/mean)
	}
	return most
}

// Utilisation returns that of the server with least to do, and of that with most.
func Utilisation(r *sim.Result) (least, most float64) {
	least = math.Inf(1)
	for _, s := range r.Servers {
		least, most = min(least, s.Utilisation), max(most, s.Utilisation)
	}
	return least, most
}

// part is r between two times, by the slices that it has.
func part(r *sim.Result, from, to time.Duration) *sim.Result {
	p := new(sim.Result)
	for _, s := range r.Series {
		if s.From >= from && (to == 0 || s.From < to) {
			p.Requests += s.Requests
			p.Failed += s.Failed
			p.Latencies = append(p.Latencies, s.Latencies...)
		}
	}
	slices.Sort(p.Latencies)
	return p
}

// text shows x in a metric's unit.
func (u Unit) text(x float64) string {
	switch u {
	case Seconds:
		return Duration(x)
	case Share:
		return fmt.Sprintf("%.5g%%", x*100)
	case Plain:
	}
	return fmt.Sprintf("%.5g", x)
}

// Duration shows x seconds in four digits.
func Duration(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 1 || x < 0:
		return fmt.Sprintf("%.4gs", x)
	case x >= 1e-3:
		return fmt.Sprintf("%.4gms", x*1e3)
	}
	return fmt.Sprintf("%.4gµs", x*1e6)
}
