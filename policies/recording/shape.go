package recording

import (
	"io"

	"github.com/weir-lb/weir/policies"
)

// What a recorder is beside a policy, where the policy in it is.
type (
	failing    struct{ r *recorder }
	observing  struct{ r *recorder }
	rehearsing struct{ r *recorder }
)

// Next implements policies.Failover.
func (f failing) Next(q *policies.Request, v *policies.View, o policies.Outcome) policies.Verdict {
	return f.r.next(q, v, o)
}

// Observe implements policies.Observer.
func (o observing) Observe(v *policies.View, f policies.Feedback) { o.r.observe(v, f) }

// Rehearse implements policies.Rehearser. Rehearsals are no part of the trace.
func (h rehearsing) Rehearse(t *policies.Table) (policies.Rehearsal, error) {
	return h.r.rehearser.Rehearse(t)
}

type closing interface {
	policies.Policy
	io.Closer
}

// shaped returns r as what its policy is: callers ask for interfaces.
func (r *recorder) shaped() policies.Policy {
	var p closing = r
	f, o, h := failing{r}, observing{r}, rehearsing{r}
	switch fails, observes, rehearses := r.failover != nil, r.observer != nil, r.rehearser != nil; {
	case fails && observes && rehearses:
		return struct {
			closing
			failing
			observing
			rehearsing
		}{p, f, o, h}
	case fails && observes:
		return struct {
			closing
			failing
			observing
		}{p, f, o}
	case fails && rehearses:
		return struct {
			closing
			failing
			rehearsing
		}{p, f, h}
	case observes && rehearses:
		return struct {
			closing
			observing
			rehearsing
		}{p, o, h}
	case fails:
		return struct {
			closing
			failing
		}{p, f}
	case observes:
		return struct {
			closing
			observing
		}{p, o}
	case rehearses:
		return struct {
			closing
			rehearsing
		}{p, h}
	}
	return r
}
