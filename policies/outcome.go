package policies

import (
	"fmt"
	"time"
)

// Class says how an attempt ended. Values are those of the guest ABI.
type Class uint8

// Classes of outcomes.
const (
	OK             Class = iota // a response whose status is not a failure; the status is in Outcome.Status
	Refused                     // connection refused, or no route
	ConnectTimeout              // no connection within the connect timeout
	Reset                       // the connection ended before the response head was complete
	HeaderTimeout               // no response head within the per-try timeout
	BodyTimeout                 // the response body stalled
	TLSFailed                   // the TLS handshake failed
	Unresolvable                // the endpoint's name has no address
	Malformed                   // the response is not HTTP that we accept
	PoolExhausted               // no connection slot became free in time
	Cancelled                   // the client went away
	BadStatus                   // a response whose status counts as a failure of the endpoint
	NumClasses
)

var classNames = [NumClasses]string{
	"ok", "refused", "connect_timeout", "reset", "header_timeout", "body_timeout", "tls", "unresolvable", "malformed",
	"pool_exhausted", "cancelled", "bad_status",
}

// String returns the name that metrics, logs and API use.
func (c Class) String() string {
	if c >= NumClasses {
		return fmt.Sprintf("Class(%d)", uint8(c))
	}
	return classNames[c]
}

// EndpointFault reports whether an outcome of this class speaks against the endpoint.
func (c Class) EndpointFault() bool {
	return c != OK && c != Cancelled && c != PoolExhausted
}

// Outcome is how one attempt ended. It is a value, not a closure: passing it allocates nothing.
type Outcome struct {
	Endpoint  int // index into the table of the view that the request holds
	Class     Class
	Status    int           // HTTP status, 0 if there was no response head
	Sent      bool          // a byte of the request may have reached the endpoint
	FirstByte time.Duration // from the start of the attempt to the response head; 0 if there was none
	Total     time.Duration
	Load      float32 // what the endpoint reported of itself, 0..1; negative if it did not
}

// Action is what a [Verdict] asks for.
type Action uint8

// Actions.
const (
	// Stop: the client gets what the last attempt brought.
	Stop Action = iota
	// Retry: try again at Verdict.Endpoint, or where the picker says if that is None.
	Retry
	// Reject: the client gets Request.RejectStatus.
	Reject
)

// Verdict is what a [Failover] answers.
type Verdict struct {
	Action   Action
	Endpoint int           // None: ask the picker
	After    time.Duration // wait first
}
