package scenario

import (
	"fmt"
	"time"

	"github.com/weir-lb/weir/policies/sim"
	"github.com/weir-lb/weir/wasmhost"
)

// MaxOverMean is how many requests the server with most of them served, over the mean.
func MaxOverMean(r *sim.Result) float64 {
	return overMean(r, func(s sim.ServerResult) float64 { return float64(s.Served) })
}

// Span shows the part of the run that an expectation is about.
func (e *Expect) Span() string {
	if e.To == 0 {
		return fmt.Sprintf("from %s", e.From)
	}
	return fmt.Sprintf("%s..%s", e.From, e.To)
}

// failures are the results of calls in which the fallback had to decide.
var failures = []wasmhost.Result{
	wasmhost.Stale, wasmhost.BadIndex, wasmhost.BadReturn, wasmhost.Trapped, wasmhost.OutOfFuel, wasmhost.Recreating, wasmhost.Quarantined,
}

// Faults says what speaks against the guest: what failed, how often, and who decided instead.
func (g *Guest) Faults() (lines []string) {
	total := uint64(0)
	for f, n := range g.Failures {
		if n > 0 {
			total += n
			lines = append(lines, fmt.Sprintf("%s: %d times", wasmhost.Failure(f), n))
		}
	}
	if total == 0 {
		return nil
	}
	if g.LastFailure != "" {
		lines = append(lines, "the last failure: "+g.LastFailure)
	}
	for _, k := range failures {
		if n := g.Picks[k]; n > 0 {
			lines = append(lines, fmt.Sprintf("the fallback, %s, decided %d picks (%s)", g.Fallback, n, k))
		}
	}
	return lines
}

// Summary is a report as JSON has it.
type Summary struct {
	Scenario string       `json:"scenario"`
	Seed     uint64       `json:"seed"`
	OK       bool         `json:"ok"`
	Runs     []RunSummary `json:"runs"`
}

// RunSummary is one policy in one case. Durations are in seconds, shares in 0..1.
type RunSummary struct {
	Case     string             `json:"case,omitempty"`
	Policy   string             `json:"policy"`
	Took     float64            `json:"took_seconds"`
	Metrics  map[string]float64 `json:"metrics"`
	Servers  []ServerSummary    `json:"servers"`
	Series   []SliceSummary     `json:"series"`
	Faults   []string           `json:"guest_faults,omitempty"`
	Picks    map[string]uint64  `json:"guest_picks,omitempty"`
	Expected []VerdictSummary   `json:"expected,omitempty"`
}

// ServerSummary is what a server did.
type ServerSummary struct {
	Name        string  `json:"name"`
	Served      uint64  `json:"served"`
	Utilisation float64 `json:"utilisation"`
}

// SliceSummary is a part of the run.
type SliceSummary struct {
	From     float64 `json:"from"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	Load     []int   `json:"load"`
}

// VerdictSummary is an expectation.
type VerdictSummary struct {
	Metric string  `json:"metric"`
	Span   string  `json:"span,omitempty"`
	Want   string  `json:"want"`
	Got    float64 `json:"got"`
	OK     bool    `json:"ok"`
	Source string  `json:"source,omitempty"`
}

// JSON makes what --json prints.
func (r *Report) JSON() *Summary {
	s := &Summary{Scenario: r.Scenario.Name, Seed: r.Seed, OK: r.OK()}
	for _, one := range r.Runs {
		out := RunSummary{Case: one.Case, Policy: one.Policy, Took: one.Took.Seconds(), Metrics: map[string]float64{}}
		for _, m := range metrics {
			out.Metrics[m.Name] = m.of(one.Result)
		}
		for _, sv := range one.Result.Servers {
			out.Servers = append(out.Servers, ServerSummary(sv))
		}
		for _, sl := range one.Result.Series {
			out.Series = append(out.Series, SliceSummary{
				sl.From.Seconds(), sl.Requests, sl.Failed, seconds(sl.Latencies, 0.5), seconds(sl.Latencies, 0.99), sl.Load,
			})
		}
		if one.Guest != nil {
			out.Faults, out.Picks = one.Guest.Faults(), map[string]uint64{}
			for k, n := range one.Guest.Picks {
				if n > 0 {
					out.Picks[wasmhost.Result(k).String()] = n
				}
			}
		}
		for _, v := range one.Verdicts {
			vs := VerdictSummary{Metric: v.Metric, Want: v.Wanted(), Got: v.Got, OK: v.OK, Source: v.Source}
			if v.From > 0 || v.To > 0 {
				vs.Span = v.Span()
			}
			out.Expected = append(out.Expected, vs)
		}
		s.Runs = append(s.Runs, out)
	}
	return s
}

func seconds(sorted []time.Duration, q float64) float64 { return sim.Quantile(sorted, q).Seconds() }
