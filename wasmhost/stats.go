package wasmhost

import (
	"fmt"
	"math/bits"
)

// Result is what became of one call of lb_pick or lb_retry, or why there was none.
type Result uint8

// Results.
const (
	Chosen      Result = iota // the guest named an endpoint
	Deferred                  // the guest leaves it to the fallback
	Refused                   // the guest refuses the request
	Listed                    // the guest gave a list
	Stopped                   // the guest wants no further attempt
	Stale                     // an endpoint that is down, or was tried: the fallback decides
	BadIndex                  // an endpoint that is not there
	BadReturn                 // an answer that means nothing
	Trapped                   // the guest trapped
	OutOfFuel                 // the guest used up its budget
	Busy                      // lb_endpoints was running
	Recreating                // there was no instance
	Outdated                  // the request holds a table that the guest has no more, or the policy is closed
	Quarantined               // the guest failed too often
	NumResults
)

var resultNames = [NumResults]string{
	"ok", "defer", "reject", "list", "stop", "stale", "bad_index", "bad_return", "trap", "fuel", "busy", "recreating", "outdated",
	"quarantined",
}

// String returns the name that metrics and API use.
func (r Result) String() string {
	if r >= NumResults {
		return fmt.Sprintf("Result(%d)", uint8(r))
	}
	return resultNames[r]
}

// Failure is a class of what speaks against a guest.
type Failure uint8

// Classes of failures.
const (
	FailTrap      Failure = iota // in lb_pick or lb_retry
	FailFuel                     // in lb_pick or lb_retry
	FailBadIndex                 //
	FailBadReturn                //
	FailEndpoints                // lb_endpoints trapped, ran out of fuel, or cannot serve the table
	FailInit                     // an instance could not be made again
	FailFeedback                 // lb_feedback trapped or ran out of fuel
	FailTick                     // lb_tick did
	NumFailures
)

// String returns the name that metrics and API use.
func (f Failure) String() string {
	if f >= NumFailures {
		return fmt.Sprintf("Failure(%d)", uint8(f))
	}
	return [...]string{"trap", "fuel", "bad_index", "bad_return", "endpoints", "init", "feedback", "tick"}[f]
}

// HistogramBuckets is how many buckets a Histogram has.
const HistogramBuckets = 32

// Histogram counts values by powers of two: Counts[i] holds those v with 2^(i-1) <= v < 2^i, Counts[0] the zeros, and
// the last whatever is larger.
type Histogram struct {
	Counts [HistogramBuckets]uint64
	Sum    uint64
}

func (h *Histogram) observe(v uint64) {
	h.Counts[min(bits.Len64(v), HistogramBuckets-1)]++
	h.Sum += v
}

func (h *Histogram) add(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

// Count returns how many values there were.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Stats are counts since a policy began.
type Stats struct {
	Picks       [NumResults]uint64  // calls of the policy, by result
	Failures    [NumFailures]uint64 //
	Fuel        Histogram           // of a call that did not fail
	Nanoseconds Histogram           // of a pick in the guest, lock included: one of 64
	Unheard     uint64              // outcomes that the guest was not told
	Recreated   uint64              // instances made in place of one that failed
	Instances   int                 // now
	Quarantined bool                // now; of a module, any of its policies
	LastFailure string
	Series      []Series // what the guest counts itself; of a module only
}

// Add adds counts of another policy, or of another time.
func (s *Stats) Add(o Stats) {
	for i, n := range o.Picks {
		s.Picks[i] += n
	}
	for i, n := range o.Failures {
		s.Failures[i] += n
	}
	s.Fuel.add(&o.Fuel)
	s.Nanoseconds.add(&o.Nanoseconds)
	s.Unheard += o.Unheard
	s.Recreated += o.Recreated
	s.Instances += o.Instances
	s.Quarantined = s.Quarantined || o.Quarantined
	if o.LastFailure != "" {
		s.LastFailure = o.LastFailure
	}
}
