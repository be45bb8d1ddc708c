package policies

import "slices"

// Conditions says which outcomes are worth another attempt. The zero value retries nothing.
type Conditions struct {
	Classes  uint32 // bit c is set if class c is retried
	Statuses []int  // sorted or not; few
}

// Has reports whether an outcome of class c and HTTP status is worth another attempt.
func (c *Conditions) Has(o Outcome) bool {
	if o.Class != OK && o.Class != BadStatus {
		return c.Classes&(1<<o.Class) != 0
	}
	return slices.Contains(c.Statuses, o.Status)
}

// NextEndpoint is the failover that a cluster has if its policy brings none: an outcome that Conditions names is tried
// again at another endpoint, at once. An attempt of which no byte was sent is repeated whatever the method; any other
// needs a request that is idempotent and replayable.
type NextEndpoint struct {
	Conditions Conditions
}

// Next implements [Failover].
func (f *NextEndpoint) Next(r *Request, _ *View, o Outcome) Verdict {
	if r.NoRetry || !f.Conditions.Has(o) {
		return Verdict{}
	}
	if o.Sent && r.Flags&(Idempotent|Replayable) != Idempotent|Replayable {
		return Verdict{}
	}
	return Verdict{Action: Retry, Endpoint: None}
}
