//go:build linux

package cost

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Report is the outcome of a comparison.
type Report struct {
	Date    string            `json:"date"`
	Machine string            `json:"machine"`
	Peers   map[string]string `json:"peers"` // what each is
	Bases   []string          `json:"bases"` // who others are compared with
	Series  []*Series         `json:"series"`
	Idle    []Idle            `json:"idle,omitempty"`
	Pauses  []Pauses          `json:"pauses,omitempty"`
}

// Find returns nil for a peer that has not been under that load.
func (r *Report) Find(load, peer string) *Series {
	i := slices.IndexFunc(r.Series, func(s *Series) bool { return s.Load == load && s.Peer == peer })
	if i < 0 {
		return nil
	}
	return r.Series[i]
}

// WriteText writes a table for each load.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "CPU time of the gateway for each proxied request, and latency where the rate is fixed: medians (and ranges) of windows that\ntake turns; ratios are those of the same round. benchmarks/cost, %s, %s.\n", r.Date, r.Machine)
	names := make([]string, 0, len(r.Peers))
	width := 10
	for n := range r.Peers {
		names = append(names, n)
		width = max(width, len(n))
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(w, "  %-*s %s\n", width, n, r.Peers[n])
	}
	last := ""
	for _, s := range r.Series {
		if s.Load != last {
			last = s.Load
			r.writeHead(w, s, width)
		}
		r.writeRow(w, s, width)
	}
	if len(r.Idle) > 0 {
		fmt.Fprintf(w, "\n%-*s %12s %12s %14s\n", width, "idle clients", "MiB before", "MiB after", "KiB a client")
	}
	for _, i := range r.Idle {
		fmt.Fprintf(w, "%-*s %12.1f %12.1f %14.2f  (%d)\n", width, i.Peer, float64(i.Before)/(1<<20), float64(i.After)/(1<<20), i.KiB, i.Clients)
	}
	for _, p := range r.Pauses {
		var shares []string
		for _, s := range r.Series {
			if s.Peer == p.Peer {
				shares = append(shares, fmt.Sprintf("%.2f %% (%s)", 100*s.Collector.Share(), s.Load))
			}
		}
		fmt.Fprintf(w, "\n%s: of its CPU time the garbage collector had %s.\n", p.Peer, strings.Join(shares, ", "))
		fmt.Fprintf(w, "%s stopped for its garbage collector %d times, %.1f ms in all; the last pauses: %s\n", p.Peer, p.Count, 1e3*p.Seconds, p.Quantiles)
	}
}

func (r *Report) writeHead(w io.Writer, s *Series, width int) {
	unit := "us/request"
	if s.Bytes {
		unit = "us/MiB"
	}
	fmt.Fprintf(w, "\n%-*s %22s %9s %9s", width, s.Load, unit, "per CPU s", "per s")
	for _, b := range r.basesOf(s.Load) {
		fmt.Fprintf(w, " %22s", "by "+b)
	}
	fmt.Fprintf(w, " %9s %9s %9s  %s\n", "p50 us", "p90 us", "p99 us", "calm")
}

func (r *Report) writeRow(w io.Writer, s *Series, width int) {
	fmt.Fprintf(w, "%-*s %22s %9.0f %9.0f", width, s.Peer, s.Cost().text(), 1e6/s.Cost().Median,
		s.Spread(func(w *Window) float64 { return float64(w.Requests) / w.Elapsed.Seconds() }).Median)
	for _, b := range r.basesOf(s.Load) {
		base := r.Find(s.Load, b)
		if base == nil { // the same kind of the first program
			base = r.Find(s.Load, strings.Split(s.Peer, "@")[0]+b)
		}
		cell := "-"
		if base != nil {
			cell = s.Ratio(base).text()
		}
		fmt.Fprintf(w, " %22s", cell)
	}
	for _, f := range []func(*Window) time.Duration{
		func(w *Window) time.Duration { return w.P50 },
		func(w *Window) time.Duration { return w.P90 },
		func(w *Window) time.Duration { return w.P99 },
	} {
		fmt.Fprintf(w, " %9.0f", s.Spread(func(w *Window) float64 { return float64(f(w).Nanoseconds()) / 1e3 }).Median)
	}
	fmt.Fprintf(w, "  %s\n", s.calm())
}

// basesOf leaves out those that have not been under the load. "@NAME" is a program whose kinds are compared each with its
// own.
func (r *Report) basesOf(load string) []string {
	var found []string
	for _, b := range r.Bases {
		if strings.HasPrefix(b, "@") || r.Find(load, b) != nil {
			found = append(found, b)
		}
	}
	return found
}

func (s Spread) text() string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}
