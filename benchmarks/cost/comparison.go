//go:build linux

package cost

import (
	"cmp"
	"context"
	"fmt"
	"io"
)

// Entrant is a gateway that takes part.
type Entrant struct {
	Name string // unique
	Target
	Admin string // host:port of Weir's admin API; may be empty
	Path  string // what is asked for instead of a load's path; may be empty
}

// Series are the windows of a gateway under a load, one a round.
type Series struct {
	Load    string   `json:"load"`
	Peer    string   `json:"peer"`
	Windows []Window `json:"windows"`
	Bytes   bool     `json:"bytes,omitempty"` // the figure is of a MiB, not of a request

	// Collector is of all windows, warming up, those that were taken again and the reading of metrics between them included. Of Weir alone.
	Collector Collector `json:"collector,omitzero"`

	title string
}

// figure is what the series is about: microseconds of CPU time a request, or a MiB.
func (s *Series) figure(w *Window) float64 {
	if s.Bytes {
		return w.PerMiB()
	}
	return w.PerRequest()
}

// Spread of f over the calm windows, or over all if none is.
func (s *Series) Spread(f func(*Window) float64) Spread {
	var calm, all []float64
	for i := range s.Windows {
		w := &s.Windows[i]
		if w.Requests == 0 {
			continue
		}
		all = append(all, f(w))
		if w.Calm() {
			calm = append(calm, f(w))
		}
	}
	if len(calm) == 0 {
		return spread(all)
	}
	return spread(calm)
}

// Cost is the CPU time of a request, or of a MiB, in microseconds.
func (s *Series) Cost() Spread { return s.Spread(s.figure) }

// calm says how many windows are.
func (s *Series) calm() string {
	n := 0
	for i := range s.Windows {
		if s.Windows[i].Calm() {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(s.Windows))
}

// Ratio is the cost of s by that of base in the same rounds: of rounds in which both windows are calm, or of all if there is
// no such round.
func (s *Series) Ratio(base *Series) Spread {
	var calm, all []float64
	for i := range min(len(s.Windows), len(base.Windows)) {
		a, b := &s.Windows[i], &base.Windows[i]
		if a.Requests == 0 || b.Requests == 0 {
			continue
		}
		r := s.figure(a) / base.figure(b)
		all = append(all, r)
		if a.Calm() && b.Calm() {
			calm = append(calm, r)
		}
	}
	if len(calm) == 0 {
		return spread(all)
	}
	return spread(calm)
}

// Compare takes a window of each entrant under each load, so many rounds of it. Who begins changes from round to round.
// Progress goes to log.
func Compare(ctx context.Context, m *Meter, entrants []Entrant, loads []Load, rounds int, log io.Writer) ([]*Series, error) {
	series := make([]*Series, 0, len(loads)*len(entrants))
	for _, l := range loads {
		for _, e := range entrants {
			series = append(series, &Series{Load: l.Name, Peer: e.Name, Bytes: l.Bytes, title: cmp.Or(l.Title, l.Name)})
		}
	}
	for round := range rounds {
		for i := range loads {
			for j := range entrants {
				j = (j + round) % len(entrants)
				l := loads[i]
				l.Path = cmp.Or(entrants[j].Path, l.Path)
				before, err := readCollector(ctx, entrants[j])
				if err != nil {
					return series, fmt.Errorf("%s: %w", entrants[j].Name, err)
				}
				w, err := m.Take(ctx, entrants[j].Target, &l)
				if err != nil {
					return series, fmt.Errorf("%s under %s: %w", entrants[j].Name, loads[i].Name, err)
				}
				after, err := readCollector(ctx, entrants[j])
				if err != nil {
					return series, fmt.Errorf("%s: %w", entrants[j].Name, err)
				}
				w.Round = round
				s := series[i*len(entrants)+j]
				s.Collector.add(before, after)
				s.Windows = append(s.Windows, w)
				fmt.Fprintf(log, "%2d/%d %-12s %-22s %8.2f us %7.0f/s  foreign %+.2f retaken %d failed %d\n",
					round+1, rounds, s.Load, s.Peer, s.figure(&w), float64(w.Requests)/w.Elapsed.Seconds(), w.Foreign, w.Retaken, w.Failed)
			}
		}
	}
	return series, nil
}
