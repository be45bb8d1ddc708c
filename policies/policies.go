// Package policies is the vocabulary of load balancing and failover, and every built-in algorithm, one a file.
//
// A [Policy] turns a [Table] (one immutable generation of a cluster's topology) into a [Picker]. A picker answers, for
// one attempt of one [Request], with an index into that table. A [Failover] says what follows a finished attempt. The
// package knows no network, no clock and no source of chance of its own: time and randomness come in the request, so
// that any decision can be replayed and simulated. It depends on the standard library alone.
package policies

// Results of [Picker.Pick] that are not an index into Table.Endpoints.
const (
	// None: no endpoint can take this attempt (all down, or all tried).
	None = -1
	// Rejected: the policy refuses the request; the client gets Request.RejectStatus.
	Rejected = -2
)

// MaxTried bounds the endpoints that one request may have tried; it is also the most attempts a request can have.
const MaxTried = 8

// MaxWeight is the largest weight of an endpoint. Weights are integers in 1..MaxWeight; 0 means "no new requests".
const MaxWeight = 65535

// Policy makes pickers. Build runs off the request path, once per table, never concurrently with itself; it may
// allocate. A policy that holds resources also implements io.Closer.
type Policy interface {
	// Build returns the picker for t. On an error the previous picker keeps serving the previous table.
	Build(t *Table) (Picker, error)
}

// Picker chooses an endpoint. It is called concurrently and must not block, allocate, log, or keep r or v.
type Picker interface {
	// Pick returns an index into v.Table.Endpoints that is usable in v and not in r.Tried, or None, or Rejected.
	Pick(r *Request, v *View) int
}

// Failover decides what follows a finished attempt. The host may refuse a retry (deadline, budget, body already sent,
// method not idempotent) but never invents one. Next is called concurrently and must not block or allocate.
type Failover interface {
	Next(r *Request, v *View, o Outcome) Verdict
}
