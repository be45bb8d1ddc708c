package policies

import (
	"slices"
	"time"
)

// Method is an HTTP method. Values are those of the guest ABI.
type Method uint8

// Methods. Any that is not named here is MethodOther.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodOptions
	MethodTrace
	MethodPatch
)

// Idempotent reports whether m is idempotent by RFC 9110, section 9.2.2.
func (m Method) Idempotent() bool {
	switch m {
	case MethodGet, MethodHead, MethodPut, MethodDelete, MethodOptions, MethodTrace:
		return true
	}
	return false
}

// RequestFlags are properties of a request. Values are those of the guest ABI.
type RequestFlags uint32

// Flags of a request.
const (
	HasKey     RequestFlags = 1 << iota // KeyHash is set
	Replayable                          // the body can be sent again, or none of it was sent
	Idempotent                          // the method is idempotent, or the route says so
	TLS                                 // the client came over TLS
	Upgrade                             // asks for a protocol upgrade
	LastTry                             // no further attempt will follow this one
)

// Request is what a policy may know of one request at one attempt. The host fills it; it is reused between requests,
// and nothing in it may be kept. Durations count from the arrival of the request.
type Request struct {
	Now           int64  // nanoseconds of the host's clock; virtual in replay and simulation
	Rand          uint64 // fresh for each call
	KeyHash       uint64 // hash of the configured affinity key, if HasKey
	Seq           uint64 // per cluster, increasing by 1 with each request
	Method        Method
	Flags         RequestFlags
	ClientIP      [16]byte // IPv4 as v4-mapped IPv6
	ClientPort    uint16
	Listener      uint16
	Route         uint32
	PathHash      uint64
	HostHash      uint64
	ContentLength int64         // -1 if unknown
	Deadline      time.Duration // what is left of the request's time; 0 if there is no deadline
	Elapsed       time.Duration

	// What the attempts before this one came to.
	Attempt  uint8 // 0 for the first
	NTried   uint8
	Tried    [MaxTried]uint32 // indexes into the view's table
	Last     Outcome          // of the attempt before; Last.Endpoint is None at the first
	StickyEP int              // endpoint of a valid affinity cookie, or None

	// What the policy asks for beside the endpoint. Zero values mean the host's defaults.
	RejectStatus int           // HTTP status 400..599 if Pick answered Rejected
	Timeout      time.Duration // per-try timeout, clamped to the route's
	Hedge        time.Duration // start a second attempt after this long
	Tag          uint64        // comes back with the outcome
	Reason       uint32        // shown in explanations
	SetSticky    bool
	NoRetry      bool
	Instance     uint32 // of the policy, that answered last; handed back in Feedback. Not reset with a reused request, it spreads them
	ShadowTag    uint64 // Tag of the policy that decides beside it

	// List holds further endpoints that the policy wants tried in this order, after the one it returned.
	NList uint8
	List  [MaxTried]uint32

	// Trace collects what the policy can say of its decisions; nil, as a rule, asks for nothing.
	Trace *Trace

	// Attrs reads header fields and other text on demand; nil where there is none (simulation).
	Attrs Attrs
}

// Attr names a piece of text of a request. Values are those of the guest ABI.
type Attr uint8

// Attributes of a request.
const (
	AttrPath Attr = iota + 1
	AttrQuery
	AttrHost
	AttrMethod
	AttrSNI
	AttrRoute
	AttrCluster
	AttrClientIP
	AttrClientIdentity // whom the client's certificate, which was verified, is for
	NumAttrs
)

// Attrs gives text of the request in hand. What it returns is valid during the call of the policy alone.
type Attrs interface {
	Attr(a Attr) []byte
	// Header returns the value of the first field of that lower-case name, and whether there is one.
	Header(name string) ([]byte, bool)
	Cookie(name string) ([]byte, bool)
}

// HasTried reports whether an earlier attempt of r went to endpoint i.
func (r *Request) HasTried(i uint32) bool {
	return slices.Contains(r.Tried[:r.NTried], i)
}

// MarkTried adds endpoint i to those tried. Beyond MaxTried it does nothing.
func (r *Request) MarkTried(i uint32) {
	if r.NTried < MaxTried && !r.HasTried(i) {
		r.Tried[r.NTried] = i
		r.NTried++
	}
}

// ResetAnswers clears what the policy asked for in an earlier call, but not List.
func (r *Request) ResetAnswers() {
	r.RejectStatus, r.Timeout, r.Hedge, r.Tag, r.Reason, r.SetSticky, r.NoRetry = 0, 0, 0, 0, 0, false, false
}
