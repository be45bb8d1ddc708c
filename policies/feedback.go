package policies

import "time"

// Feedback is how one attempt ended, for policies that learn from it. It is a value: passing it allocates nothing.
type Feedback struct {
	Outcome
	Now      int64  // nanoseconds of the host's clock when the attempt ended
	Num      uint32 // Endpoint.Num: it holds in any table
	Tag      uint64 // Request.Tag of the pick that chose the endpoint
	Shadow   uint64 // Request.ShadowTag of that pick
	Instance uint32 // Request.Instance of that pick
	Inflight uint32 // requests that the endpoint had in flight here when the attempt began, itself not counted
	Attempt  uint8  // 0 for the first
	Final    bool   // no further attempt of the request follows
	Unmade   bool   // the policy named the endpoint, and no attempt was made: time, budget or the request's nature forbade it
	Loser    bool   // a hedged attempt that was given up because the other answered first
}

// Observer is a policy that wants to know how attempts ended.
type Observer interface {
	// Observe takes the end of an attempt at an endpoint of v.Table. It is called concurrently and must not block or
	// allocate. Each answer of the policy that names an endpoint has one end, also if no attempt was made of it.
	Observe(v *View, f Feedback)
}

// Ejector takes endpoints out of the traffic when a policy asks for it.
type Ejector interface {
	// Eject asks that endpoint i of the table gets no traffic for d from now on. It does not block: the next view but a
	// few has it. It answers false if as many endpoints are out as may be.
	Eject(i int, d time.Duration) bool
}
