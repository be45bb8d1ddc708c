package wasmhost

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// trace adds a decision to r.Trace. in may be nil: the guest was not asked.
func (p *Policy) trace(r *policies.Request, o *policies.Outcome, result Result, i int, in *instance, d time.Duration) {
	info := &p.module.info
	dec := policies.Decision{
		Policy: info.Name, Digest: info.SHA256, Call: "pick", Result: result.String(), Endpoint: i, Reason: r.Reason, Nanos: d.Nanoseconds(),
	}
	if o != nil {
		dec.Call = "retry"
	}
	if result == Refused {
		dec.Endpoint = policies.Rejected
	}
	switch result {
	case Quarantined, Recreating, Outdated, Busy, Trapped, OutOfFuel:
		dec.Why = p.ward.last()
	default:
		dec.Answer, dec.Fuel = in.answer, in.used
	}
	r.Trace.Decisions = append(r.Trace.Decisions, dec)
}

// reasons say, for people, why the fallback decided.
var reasons = map[Result]string{
	Deferred:    "the guest leaves it to the fallback",
	Stale:       "the guest named an endpoint that is down or was tried",
	BadIndex:    "the guest named an endpoint that is not there",
	BadReturn:   "the guest's answer means nothing",
	Trapped:     "the guest trapped",
	OutOfFuel:   "the guest ran out of fuel",
	Busy:        "the guest was taking a new table",
	Recreating:  "the guest is being made again after a failure",
	Outdated:    "the request holds a table that the guest has no more",
	Quarantined: "the guest is in quarantine",
}

// traceFallback says of the last decision that the fallback made it.
func (p *Policy) traceFallback(t *policies.Trace, result Result, i int) {
	if len(t.Decisions) == 0 {
		return
	}
	d := &t.Decisions[len(t.Decisions)-1]
	if d.Why != "" {
		d.Why = ": " + d.Why
	}
	d.Endpoint, d.Why, d.Fallback = i, reasons[result]+d.Why, "the cluster's failover"
	if d.Call == "pick" {
		d.Fallback = policies.NameOf(p.fallback)
	}
}
