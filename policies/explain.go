package policies

import "io"

// Decision is what a policy can say of one of its answers.
type Decision struct {
	Policy   string // the name that configuration uses
	Digest   string // sha256 of the module, hex; "" of a built-in
	Call     string // "pick" or "retry"
	Result   string // what became of the call: "ok", "defer", "trap" and so on
	Answer   int32  // of a guest, as it came; meaningless where it was not asked
	Endpoint int    // index that was decided on, or None, or Rejected
	Reason   uint32 // the policy's own code
	Fuel     int64  // 0 of a built-in
	Nanos    int64  // in the policy, the wait for its lock included
	Fallback string // the policy that decided instead, "" if none did
	Why      string // it had to, in words
}

// Trace collects the decisions about one request. Policies add to it if [Request.Trace] is set, which costs time and
// memory: it is for requests that ask to be explained.
type Trace struct{ Decisions []Decision }

// Rehearsal answers as a policy would, and changes nothing of it. Close it.
type Rehearsal interface {
	Picker
	Failover
	io.Closer
}

// Rehearser is a policy with a state that answers change. Of other policies, the picker of a Build of its own is a
// rehearsal.
type Rehearser interface {
	// Rehearse returns a rehearsal for t that begins with the state that the policy has now. It may take milliseconds.
	Rehearse(t *Table) (Rehearsal, error)
}
