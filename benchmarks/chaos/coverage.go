package chaos

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

// Coverage is the share of takeovers that were clean, with the interval that holds the true share with a confidence of 95 %.
type Coverage struct {
	Layout    Layout
	Clean, Of int
	Low, High float64

	// From the fault until the gateway said that the endpoint is out, and until GETs were as before; of all trials.
	Detected, TakenOver Spread
}

// Spread is the median, the 99th percentile and the mean of some times.
type Spread struct{ P50, P99, Mean time.Duration }

// Cover sums up the trials in a layout.
func Cover(l Layout, trials []Trial) Coverage {
	c := Coverage{Layout: l}
	var detected, taken []time.Duration
	for _, t := range trials {
		if t.Layout != l.Name {
			continue
		}
		c.Of++
		if t.Clean {
			c.Clean++
		}
		if t.Detected != nil {
			detected = append(detected, *t.Detected)
		}
		taken = append(taken, t.TakenOver)
	}
	c.Low, c.High = Wilson(c.Clean, c.Of)
	c.Detected, c.TakenOver = spread(detected), spread(taken)
	return c
}

func spread(times []time.Duration) (s Spread) {
	if len(times) == 0 {
		return s
	}
	slices.Sort(times)
	for _, t := range times {
		s.Mean += t / time.Duration(len(times))
	}
	s.P50, s.P99 = times[(len(times)-1)/2], times[(len(times)-1)*99/100]
	return s
}

// Wilson returns the interval of Wilson's score for a share of which k of n were seen, at a confidence of 95 %
// (E. B. Wilson, JASA 22, 1927). Unlike the normal approximation it says something where all went well.
func Wilson(k, n int) (low, high float64) {
	const z = 1.959964
	if n == 0 {
		return 0, 1
	}
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(middle-half, 0), min(middle+half, 1)
}

// What availability is computed for: how often a unit fails, how long its repair takes, by one crew.
const (
	MTBF = 1000 * time.Hour
	MTTR = time.Hour
)

// Availability is what a coverage and a time to take over come to.
type Availability struct {
	Coverage           float64
	Formula, Simulated float64 // share of the time without service
}

// Nines is how many of them the availability has.
func (a Availability) Nines() float64 { return -math.Log10(a.Formula) }

// Availabilities returns that for the lower end of the interval, for the share that was seen and, to compare, for a perfect
// one. The switchover is the mean time until GETs were as before; with the default, failures simulated are two million.
func (c Coverage) Availabilities() ([]Availability, error) {
	var all []Availability
	shares := slices.Compact([]float64{c.Low, float64(c.Clean) / float64(max(c.Of, 1)), 1})
	for _, share := range shares {
		r := sim.Redundancy{
			Needed: c.Layout.Needed, Spare: c.Layout.Spare, MTBF: MTBF, MTTR: MTTR, Coverage: share, Switchover: c.Switchover(), Crews: 1,
		}
		u, err := r.Unavailability()
		if err != nil {
			return nil, err
		}
		simulated, err := r.Simulate(2_000_000, 1)
		if err != nil {
			return nil, err
		}
		all = append(all, Availability{Coverage: share, Formula: u.Sum(), Simulated: simulated})
	}
	return all, nil
}

// Switchover is the time from a failure to the spare's work that availability is computed with: the mean time to detect it, though
// GETs were answered meanwhile too, only later.
func (c Coverage) Switchover() time.Duration {
	return max(c.Detected.Mean, c.TakenOver.Mean).Round(time.Millisecond)
}

// PrintCoverage writes it all as text, with the commands that compute the same.
func PrintCoverage(w io.Writer, trials []Trial) error {
	byFault(w, trials)
	for _, l := range Layouts {
		c := Cover(l, trials)
		if c.Of == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s: %d of %d takeovers were clean: coverage %.4f, %.4f..%.4f with a confidence of 95 %%\n", l.Name, c.Clean, c.Of,
			float64(c.Clean)/float64(c.Of), c.Low, c.High)
		fmt.Fprintf(w, "  detected after %s ms (median), %s (p99), %s (mean); GETs as before after %s, %s, %s\n", millis(&c.Detected.P50), millis(&c.Detected.P99),
			millis(&c.Detected.Mean), millis(&c.TakenOver.P50), millis(&c.TakenOver.P99), millis(&c.TakenOver.Mean))
		all, err := c.Availabilities()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %-10s %22s %12s %7s %16s\n", "coverage", "unavailable (formula)", "(simulated)", "nines", "minutes a year")
		for _, a := range all {
			fmt.Fprintf(w, "  %-10.4f %22.3g %12.3g %7.2f %16.2f\n", a.Coverage, a.Formula, a.Simulated, a.Nines(), a.Formula*365.25*24*60)
		}
		fmt.Fprintf(w, "  weir sim availability --units %s --mtbf 1000h --mttr 1h --coverage %.4f --switchover %s\n", l.Name, c.Low, c.Switchover())
	}
	return nil
}

// byFault writes how many trials of each fault there were, and how they went.
func byFault(w io.Writer, trials []Trial) {
	fmt.Fprintf(w, "%-18s %7s %6s %12s %7s %8s %7s %8s %9s %10s %10s\n", "fault", "trials", "clean", "GETs", "failed", "POSTs", "failed", "twice", "retried", "takeover", "its p99")
	for _, f := range trialFaults() {
		n, clean, retried := 0, 0, 0
		var get, post Count
		var taken []time.Duration
		for _, t := range trials {
			if t.Fault != f.Name {
				continue
			}
			n++
			if t.Clean {
				clean++
			}
			retried += t.Retried
			get.add(t.Get)
			post.add(t.Post)
			taken = append(taken, t.TakenOver)
		}
		s := spread(taken)
		fmt.Fprintf(w, "%-18s %7d %6d %12d %7d %8d %7d %8d %9d %10s %10s\n", f.Name, n, clean, get.Requests, get.Failed, post.Requests, post.Failed,
			post.Twice, retried, millis(&s.P50), millis(&s.P99))
	}
}

func (c *Count) add(d Count) {
	c.Requests += d.Requests
	c.Failed += d.Failed
	c.Twice += d.Twice
	c.NotExecuted += d.NotExecuted
}
