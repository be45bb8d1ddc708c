package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// explaining collects what explains a request while it is served.
type explaining struct {
	Explanation
	trace policies.Trace
}

// askedToExplain looks for the token that asks for an explanation. The configuration has one.
func (x *exchange) askedToExplain() {
	l := x.head.first(explainField)
	if l == nil {
		return
	}
	got, want := sha256.Sum256(x.head.value(l)), sha256.Sum256([]byte(x.table.ExplainToken))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		x.startExplaining()
	}
}

func (x *exchange) startExplaining() {
	path := x.path[:min(len(x.path), maxExplainPath)]
	x.explain = &explaining{Explanation: Explanation{
		Time: x.arrived, Method: string(x.verb), Host: string(x.host), Path: string(path), Client: string(x.conn.ip),
		Cut: len(path) < len(x.path),
	}}
}

// routed notes where the request goes.
func (e *explaining) routed(r *route) { e.Route, e.Cluster = r.Name, r.cluster.name }

// describe notes who serves the request. It has been described to the policy.
func (e *explaining) describe(x *exchange) {
	r, s := &x.req, x.snap
	r.Trace = &e.trace
	e.Client = string(r.Attrs.Attr(policies.AttrClientIP))
	e.routed(x.route)
	e.Policy, e.Digest = s.PolicyName, s.PolicyDigest
	e.Keyed = r.Flags&policies.HasKey != 0
	if r.StickyEP >= 0 {
		e.Sticky = s.Endpoints[r.StickyEP].ID
	}
	e.Up, e.Of = len(x.view.Up), len(s.Endpoints)
	e.Part = partOf(x)
}

// pick asks the policy as [exchange.pick] does. Built-in policies say nothing of themselves: it is said for them.
func (e *explaining) pick(x *exchange) int {
	e.exclude(x)
	known := len(e.trace.Decisions)
	began := time.Now()
	i := x.snap.Picker.Pick(&x.req, x.view)
	nanos := time.Since(began).Nanoseconds()
	if len(e.trace.Decisions) == known {
		d := policies.Decision{Policy: e.Policy, Digest: e.Digest, Call: "pick", Endpoint: i, Reason: x.req.Reason, Nanos: nanos, Result: "ok"}
		switch {
		case i == policies.None:
			d.Result = "none"
		case i == policies.Rejected:
			d.Result = "reject"
		case !x.mayTry(i):
			d.Result = "unusable"
		}
		e.trace.Decisions = append(e.trace.Decisions, d)
	}
	return i
}

// exclude notes which endpoints the coming pick cannot take.
func (e *explaining) exclude(x *exchange) {
	e.Excluded = nil
	s, r := x.snap, &x.req
	absent := x.route.Cluster.Absent(s)
	candidate := make([]bool, len(s.Endpoints))
	for _, i := range x.view.Candidates(r) {
		candidate[i] = true
	}
	for i, ep := range s.Endpoints {
		reason, tried := absent[i], r.HasTried(uint32(i))
		switch {
		case candidate[i] && !tried: // in panic even if it is down
			continue
		case reason != "":
		case tried:
			reason = "tried"
		case !x.view.Usable(i):
			reason = "other part"
		default:
			reason = "other tier"
		}
		if len(e.Excluded) == maxExcluded {
			e.Cut = true
			return
		}
		e.Excluded = append(e.Excluded, Exclusion{ep.ID, reason})
	}
}

// partOf describes the part of the view that a request has; nil if the view is undivided.
func partOf(x *exchange) *ExplainedPart {
	parts := x.snap.View.Parts
	if len(parts) == 0 {
		return nil
	}
	p := &ExplainedPart{Of: len(parts)}
	from := -1.0
	for i := range parts {
		if parts[i].View == x.view {
			p.Number, p.Panic = i+1, x.view.Panic
			p.Share = (float64(parts[i].Upto) - from) / (1 << 32)
		}
		from = float64(parts[i].Upto)
	}
	if p.Number == 0 {
		p.Left = "the affinity cookie names an endpoint of another part"
	}
	return p
}

// widened notes that the request goes on with the whole view.
func (e *explaining) widened(x *exchange, why string) {
	e.Part.Left = why
	e.Up = len(x.view.Up)
}

// begun notes an attempt that begins. Attempts are numbered in that order.
func (e *explaining) begun(x *exchange, a *attempt) {
	e.Attempts = append(e.Attempts, ExplainedAttempt{
		Endpoint: a.endpoint.ID, Address: a.endpoint.Address, Began: a.began.Sub(x.arrived).Microseconds(),
	})
}

// note brings up to date what is known of an attempt.
func (e *explaining) note(a *attempt) {
	t := &e.Attempts[a.feedback.Attempt]
	t.Outcome, t.Status, t.Micros = a.outcome.Class.String(), a.outcome.Status, max(a.outcome.FirstByte, a.outcome.Total).Microseconds()
	t.Hedge, t.Loser = a.hedged, a.feedback.Loser
}

// decided notes why another attempt followed the one in hand, or none.
func (e *explaining) decided(a *attempt, v verdict) {
	e.Attempts[a.feedback.Attempt].Verdict = verdictNames[v]
}

// settle puts the policy's decisions into words.
func (e *explaining) settle(x *exchange) {
	e.Decisions = e.Decisions[:0]
	for i := range e.trace.Decisions {
		e.Decisions = append(e.Decisions, explained(&e.trace.Decisions[i], x.snap.Table, &e.Explanation))
	}
}

// answer adds the explanation, as far as it goes, to a response's head.
func (e *explaining) answer(x *exchange, h *response.Head) {
	e.Status = h.Status
	if x.snap != nil {
		e.settle(x)
	}
	if len(e.Attempts) > 0 {
		e.note(&x.attempt)
	}
	sent := e.Explanation
	sent.Time = time.Time{} // Date says it
	h.Set(explainName, sent.header())
}

// finish keeps the explanation for the API.
func (e *explaining) finish(x *exchange) {
	e.Micros = time.Since(x.arrived).Microseconds()
	x.server.explained.add(e.Explanation)
}

const explainName = "Weir-Explain"
