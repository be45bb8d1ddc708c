package cluster

import (
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Evidence is all that is known about the health of one endpoint.
type Evidence struct {
	Status   discovery.Status
	Aged     bool // no good answer of discovery came for a while
	Verified bool // false: known only from the snapshot of an earlier run
	Lease    LeaseState
	Probe    ProbeState
	Agent    AgentState
	Ejected  bool // by passive outlier detection
	Override Override
}

// Effective is what evidence comes to.
type Effective uint8

// Effective states.
const (
	EffectiveDown     Effective = iota
	EffectiveDraining           // no new requests, those in flight finish
	EffectiveDegraded
	EffectiveUp
)

// String returns "down", "draining", "degraded" or "up".
func (e Effective) String() string { return [...]string{"down", "draining", "degraded", "up"}[e&3] }

// Health returns what policies are told: an endpoint that drains is down to them.
func (e Effective) Health() policies.Health {
	switch e {
	case EffectiveUp:
		return policies.Up
	case EffectiveDegraded:
		return policies.Degraded
	}
	return policies.Down
}

// Override is an operator's word on an endpoint.
type Override uint8

// Overrides.
const (
	NoOverride Override = iota
	ForceDrain
	ForceDown
)

// String returns "", "drain" or "eject".
func (o Override) String() string { return [...]string{"", "drain", "eject", ""}[o&3] }

// effective is the one place where evidence becomes a state. The operator's word comes first, then what says that the
// endpoint must not be used, then what casts doubt on it. No evidence at all is in the endpoint's favour.
func effective(e Evidence) Effective {
	switch {
	case e.Override == ForceDown:
		return EffectiveDown
	case e.Override == ForceDrain || e.Status == discovery.Maintenance || e.Agent == AgentDrain || e.Agent == AgentMaint:
		return EffectiveDraining
	case e.Status == discovery.Critical && !(e.Aged && e.Probe == ProbePassing) || e.Probe == ProbeFailing || e.Lease == LeaseDead || e.Agent == AgentDown || e.Ejected:
		return EffectiveDown
	case e.Status == discovery.Critical || e.Status == discovery.Warning || e.Lease == LeaseSuspect || !e.Verified && e.Probe != ProbePassing:
		return EffectiveDegraded
	}
	return EffectiveUp
}

// agedAfter is how long discovery must have failed before what it said last of an endpoint's health counts for less than a
// probe: long enough for another agent, or a new leader, to answer.
const agedAfter = 10 * time.Second

// evidence gathers what is known of e at now. The caller holds c.mu.
func (e *Endpoint) evidence(c *Cluster, now time.Time) Evidence {
	ev := Evidence{
		Status: e.instance.Status, Aged: !c.failsSince.IsZero() && now.Sub(c.failsSince) >= agedAfter, Verified: e.verified, Probe: e.probe.state,
		Agent: e.agent.state(), Ejected: e.outlier.until.After(now), Override: e.override,
	}
	if c.leases != nil && c.settings.Heartbeat > 0 {
		ev.Lease = c.leases.State(e, c.settings.Heartbeat)
		if a := c.settings.Accrual; ev.Lease != LeaseNone && a.Threshold > 0 {
			switch phi := e.rhythm.phi(a, c.leases.now()); {
			case phi >= a.Threshold:
				ev.Lease = LeaseDead
			case phi >= a.Threshold/2:
				ev.Lease = max(ev.Lease, LeaseSuspect)
			}
		}
	}
	return ev
}
