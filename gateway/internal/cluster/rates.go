package cluster

import (
	"math"
	"time"
)

// Rates sets ejection by the share of attempts that failed in an interval, beside that of failures in a row, which an
// endpoint that fails now and then escapes. The terms, figures and defaults are Envoy's (outlier detection).
type Rates struct {
	Interval time.Duration // typically 10 s
	// Success ejects endpoints whose share of good attempts is less than the mean of all less Factor times its deviation.
	Success RateRule
	Factor  float64 // typically 1.9; 0 is off
	// Failure ejects endpoints of whose attempts at least Share failed.
	Failure RateRule
	Share   float64 // 0..1, Envoy's is 0.85; 0 is off
}

// RateRule says how much must be known before a rule judges.
type RateRule struct {
	Endpoints int // that had that many attempts; of fewer than 5, none can be 1.9 deviations from their mean
	Attempts  int // in the interval
}

// tally is how many attempts ended one way or the other, up to some time.
type tally struct{ good, bad uint64 }

// ended is how many attempts at e have ended. What says nothing about the endpoint is not in it.
func (e *Endpoint) ended() tally {
	bad, void := e.failures.Load(), e.voids.Load()
	open := bad + void + uint64(e.Inflight())
	return tally{good: max(e.attempts.Load(), open) - open, bad: bad}
}

// judgeRates ejects by what an interval showed, and reports whether it did. The caller holds mu.
func (c *Cluster) judgeRates(now time.Time) (changed bool) {
	r := c.settings.Outlier.Rates
	if r.Interval <= 0 || now.Sub(c.ratedAt) < r.Interval {
		return false
	}
	c.ratedAt = now
	endpoints := c.current.Load().Endpoints
	rates, totals := make([]float64, len(endpoints)), make([]int, len(endpoints))
	for i, e := range endpoints {
		is := e.ended()
		// What is in flight is counted a moment apart from what has ended, so that differences may be below 0.
		good, bad := max(int(is.good)-int(e.outlier.seen.good), 0), max(int(is.bad)-int(e.outlier.seen.bad), 0)
		e.outlier.seen = is
		if totals[i] = good + bad; totals[i] > 0 {
			rates[i] = float64(good) / float64(totals[i])
		}
	}
	if r.Factor > 0 {
		least := leastRate(rates, totals, r)
		for i, e := range endpoints {
			if totals[i] >= r.Success.Attempts && rates[i] < least {
				changed = c.expel(e, now, bySuccessRate) || changed
			}
		}
	}
	if r.Share > 0 && heard(totals, r.Failure) {
		for i, e := range endpoints {
			if totals[i] >= r.Failure.Attempts && 1-rates[i] >= r.Share {
				changed = c.expel(e, now, byFailureShare) || changed
			}
		}
	}
	return changed
}

// heard reports whether as many endpoints as the rule demands had as many attempts as it demands.
func heard(totals []int, rule RateRule) bool {
	n := 0
	for _, t := range totals {
		if t >= rule.Attempts {
			n++
		}
	}
	return n >= rule.Endpoints
}

// leastRate is the rate below which an endpoint is an outlier among those that had enough attempts; below 0 if there are
// too few of them.
func leastRate(rates []float64, totals []int, r Rates) float64 {
	if !heard(totals, r.Success) {
		return -1
	}
	n, sum, squares := 0.0, 0.0, 0.0
	for i, t := range totals {
		if t >= r.Success.Attempts {
			n++
			sum += rates[i]
			squares += rates[i] * rates[i]
		}
	}
	mean := sum / n
	return mean - r.Factor*math.Sqrt(max(squares/n-mean*mean, 0))
}

// An endpoint back from an ejection has probationShare of its weight until it has answered one request, for probationFor at
// most: a policy that prefers who is idle may never send a request to so light an endpoint while others have time. Whenever
// that first request comes, a failure ejects the endpoint again.
const (
	probationShare = 0.1
	probationFor   = 500 * time.Millisecond
)

// seeProbation gives endpoints that have proved themselves their weight, and ejects again those that have not. The caller
// holds mu.
func (c *Cluster) seeProbation(now time.Time) (changed bool) {
	for _, e := range c.current.Load().Endpoints {
		if !e.outlier.probation || e.outlier.until.After(now) {
			continue
		}
		switch is := e.ended(); {
		case is.bad > e.outlier.freed.bad:
			if c.expel(e, now, e.outlier.why) {
				changed = true
				continue
			}
			e.outlier.freed = is // somebody must serve
		case is.good > e.outlier.freed.good:
			e.outlier.probation = false
			c.weighAt = now
		}
	}
	return changed
}

// light reports whether e, which is on probation, has a part of its weight only. The caller holds cluster.mu.
func (e *Endpoint) light(now time.Time) bool {
	return e.outlier.probation && now.Sub(e.outlier.back) < probationFor
}
