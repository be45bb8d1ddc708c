package wasmhost

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// writeRequest fills a request block: b has requestSize bytes. o is how the attempt before ended; at the first attempt
// it says nothing.
func writeRequest(b []byte, r *policies.Request, v *policies.View, o *policies.Outcome) {
	_ = b[requestSize-1]
	le.PutUint64(b[reqNow:], uint64(r.Now))
	le.PutUint64(b[reqRand:], r.Rand)
	le.PutUint64(b[reqKeyHash:], r.KeyHash)
	le.PutUint64(b[reqSeq:], r.Seq)
	le.PutUint32(b[reqGen:], v.Table.Gen)
	le.PutUint32(b[reqUpGen:], v.Gen)
	le.PutUint32(b[reqMethod:], uint32(r.Method)|uint32(r.Attempt)<<8|uint32(r.NTried)<<16)
	le.PutUint32(b[reqFlags:], uint32(r.Flags))
	copy(b[reqClientIP:reqClientPort], r.ClientIP[:])
	le.PutUint16(b[reqClientPort:], r.ClientPort)
	le.PutUint16(b[reqListener:], r.Listener)
	le.PutUint32(b[reqRoute:], r.Route)
	le.PutUint64(b[reqPathHash:], r.PathHash)
	le.PutUint64(b[reqHostHash:], r.HostHash)
	le.PutUint64(b[reqContentLength:], uint64(r.ContentLength)) // -1 is the largest number: unknown
	deadline, elapsed := uint32(none), uint32(0)
	if r.Deadline != 0 {
		deadline = clamp(r.Deadline / time.Millisecond)
	}
	if r.Elapsed != 0 {
		elapsed = clamp(r.Elapsed / time.Microsecond)
	}
	le.PutUint32(b[reqDeadline:], deadline)
	le.PutUint32(b[reqElapsed:], elapsed)
	if r.Attempt == 0 {
		le.PutUint32(b[reqLastEndpoint:], none)
		le.PutUint64(b[reqLastStatus:], 0) // err and micros, too
	} else {
		le.PutUint32(b[reqLastEndpoint:], uint32(o.Endpoint))
		le.PutUint16(b[reqLastStatus:], uint16(o.Status))
		le.PutUint16(b[reqLastErr:], uint16(o.Class))
		le.PutUint32(b[reqLastMicros:], clamp(o.Total/time.Microsecond))
	}
	le.PutUint32(b[reqSticky:], uint32(r.StickyEP)) // None is none
	for i := 0; i < len(r.Tried); i += 2 {
		le.PutUint64(b[reqTried+4*i:], uint64(r.Tried[i])|uint64(r.Tried[i+1])<<32)
	}
	clear(b[reqTried+4*len(r.Tried) : requestSize])
}

// clamp fits d, a number of units, into 32 bits of which the largest value means none.
func clamp(d time.Duration) uint32 {
	return uint32(min(max(d, 0), none-1))
}

// readAnswers takes what the guest asks for beside the endpoint. The caller of the policy clamps it.
func readAnswers(b []byte, r *policies.Request) {
	_ = b[requestSize-1]
	r.Timeout = time.Duration(le.Uint32(b[outTimeout:])) * time.Millisecond
	r.Hedge = time.Duration(le.Uint32(b[outHedge:])) * time.Millisecond
	r.Tag = le.Uint64(b[outTag:])
	flags := le.Uint32(b[outFlags:])
	r.SetSticky, r.NoRetry = flags&outSetSticky != 0, flags&outNoRetry != 0
	r.Reason = le.Uint32(b[outReason:])
}

// settle turns the guest's answer to pick (or, with retry set, to retry) into a Result, and an index into the table
// where that is Chosen or Listed. The answer is hostile until it is checked.
func settle(answer int32, b []byte, r *policies.Request, v *policies.View, retry bool) (Result, int) {
	r.NList = 0
	switch {
	case answer >= 0:
		switch i := int(answer); {
		case i >= len(v.Table.Endpoints):
			return BadIndex, policies.None
		case !v.MayServe(r, i):
			return Stale, policies.None
		default:
			readAnswers(b, r)
			return Chosen, i
		}
	case answer == answerDefer:
		return Deferred, policies.None
	case answer == answerReject:
		status := le.Uint32(b[outStatus:])
		if status == 0 {
			status = 503
		}
		if status < 400 || status > 599 {
			return BadReturn, policies.None
		}
		readAnswers(b, r)
		r.RejectStatus = int(status)
		return Refused, policies.None
	case answer == answerList:
		return settleList(b, r, v)
	case answer == answerStop && retry:
		return Stopped, policies.None
	}
	return BadReturn, policies.None
}

func settleList(b []byte, r *policies.Request, v *policies.View) (Result, int) {
	n := le.Uint32(b[outN:])
	if n == 0 || n > maxList {
		return BadReturn, policies.None
	}
	first := policies.None
	for k := range int(n) {
		i := le.Uint32(b[outEndpoints+4*k:])
		switch {
		case uint64(i) >= uint64(len(v.Table.Endpoints)) || !v.MayServe(r, int(i)):
		case first == policies.None:
			first = int(i)
		default:
			r.List[r.NList] = i
			r.NList++
		}
	}
	if first == policies.None {
		return BadIndex, first
	}
	readAnswers(b, r)
	return Listed, first
}

// nextListed takes the first endpoint of r.List that is still usable, or None.
func nextListed(r *policies.Request, v *policies.View) int {
	for r.NList > 0 {
		i := r.List[0]
		copy(r.List[:], r.List[1:r.NList])
		r.NList--
		if v.MayServe(r, int(i)) {
			return int(i)
		}
	}
	return policies.None
}
