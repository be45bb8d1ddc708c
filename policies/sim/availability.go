package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Redundancy is a group of units of which so many are needed and the others stand by, hot. Units fail and are repaired
// independently, after exponential times.
type Redundancy struct {
	Needed, Spare int
	MTBF, MTTR    time.Duration // of a unit
	Coverage      float64       // the share of failures that a spare takes over; after the others all wait for a repair
	Switchover    time.Duration // from a failure that is covered to the spare's work
	Crews         int           // repairs at a time; 0 is one for each unit
}

func (r *Redundancy) check() error {
	switch {
	case r.Needed < 1 || r.Spare < 0 || r.Needed+r.Spare > 1000:
		return fmt.Errorf("units %d+%d, want 1 or more and 0 or more, 1000 together", r.Needed, r.Spare)
	case r.MTBF <= 0 || r.MTTR <= 0:
		return fmt.Errorf("MTBF %s and MTTR %s, want both above 0", r.MTBF, r.MTTR)
	case r.Coverage < 0 || r.Coverage > 1:
		return fmt.Errorf("coverage %v, want 0..1", r.Coverage)
	case r.Switchover < 0 || r.Crews < 0:
		return fmt.Errorf("switchover %s and %d crews, want neither below 0", r.Switchover, r.Crews)
	}
	return nil
}

// repairs is how many of failed units are being repaired.
func (r *Redundancy) repairs(failed int) float64 {
	if r.Crews > 0 {
		return float64(min(failed, r.Crews))
	}
	return float64(failed)
}

// Unavailability is the share of the time in which fewer units work than are needed, and what it is made of. With few
// failures at a time the sum is right; it is an upper bound otherwise.
type Unavailability struct {
	Exhausted  float64 // more units have failed than there are spares
	Switchover float64 // a spare is taking over
	Uncovered  float64 // no spare took over
}

// Sum is all of it.
func (u Unavailability) Sum() float64 { return min(u.Exhausted+u.Switchover+u.Uncovered, 1) }

// Unavailability is the formula: a birth-death chain over the number of failed units for the spares, and for each failure
// of a unit at work the time until another one works in its place. For 1+1 and one crew that is
// lambda T + (1-c) lambda MTTR + 2 (lambda MTTR)^2.
func (r *Redundancy) Unavailability() (Unavailability, error) {
	if err := r.check(); err != nil {
		return Unavailability{}, err
	}
	n := r.Needed + r.Spare
	rho := float64(r.MTTR) / float64(r.MTBF)
	p, sum, short := 1.0, 1.0, 0.0
	for failed := 1; failed <= n; failed++ {
		p *= float64(n-failed+1) * rho / r.repairs(failed)
		sum += p
		if failed > r.Spare {
			short += p
		}
	}
	u := Unavailability{Exhausted: short / sum}
	if r.Spare > 0 {
		rate := float64(r.Needed) / float64(r.MTBF)
		u.Switchover = rate * float64(r.Switchover) * r.Coverage
		u.Uncovered = rate * float64(r.MTTR) * (1 - r.Coverage)
	}
	return u, nil
}

// Simulate is what happens in so many failures of units.
func (r *Redundancy) Simulate(failures int, seed uint64) (float64, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	g := rand.New(rand.NewPCG(seed, 4))
	n := r.Needed + r.Spare
	mtbf, mttr, switchover := r.MTBF.Hours(), r.MTTR.Hours(), r.Switchover.Hours()
	var total, down, taking float64 // hours; taking is what is left of a take-over
	failed, uncovered := 0, false
	for failures > 0 {
		failing, repairing := float64(n-failed)/mtbf, r.repairs(failed)/mttr
		d := g.ExpFloat64() / (failing + repairing)
		total += d
		switch {
		case failed > r.Spare || uncovered:
			down += d
		default:
			down += min(d, taking)
		}
		taking = max(taking-d, 0)
		if g.Float64()*(failing+repairing) < repairing {
			failed--
			uncovered = false
			continue
		}
		failures--
		working := g.Float64()*float64(n-failed) < float64(r.Needed) // else it was a spare that failed
		if failed++; working && failed <= r.Spare {
			if g.Float64() < r.Coverage {
				taking = switchover
			} else {
				uncovered = true
			}
		}
	}
	return down / total, nil
}
