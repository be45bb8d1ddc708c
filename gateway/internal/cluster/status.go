package cluster

import (
	"fmt"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Status is a cluster as the admin API shows it.
type Status struct {
	Name       string  `json:"name"`
	Origin     string  `json:"origin"` // none, static, snapshot, live
	AgeSeconds float64 `json:"age_seconds"`
	Error      string  `json:"error,omitempty"` // why the answer is not fresh
	Generation uint32  `json:"generation"`
	Up         int     `json:"up"`
	// ImpossibleReports counts reports of load that were ignored.
	ImpossibleReports uint64 `json:"impossible_reports,omitempty"`
	Unused            int    `json:"unused"` // instances outside of this gateway's subset
	Panic             bool   `json:"panic"`
	// Redundancy is nil if the cluster has none configured.
	Redundancy *RedundancyStatus `json:"redundancy,omitempty"`
	Endpoints  []EndpointStatus  `json:"endpoints"`
	// Leaving are endpoints that discovery has no more, and that have something under way.
	Leaving []LeavingStatus `json:"leaving,omitempty"`
	// What was ended because its endpoint drained for too long.
	EndedRequests uint64 `json:"ended_requests,omitempty"`
	EndedTunnels  uint64 `json:"ended_tunnels,omitempty"`
}

// EndpointStatus is an endpoint as the admin API shows it.
type EndpointStatus struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Address    string            `json:"address"`
	State      string            `json:"state"`            // up, degraded, draining, down
	Weight     uint32            `json:"weight"`           // of the instance
	Effective  float64           `json:"effective_weight"` // in the same unit, after load, agent and slow start
	Tier       uint8             `json:"tier"`
	Spare      bool              `json:"spare,omitempty"`
	Datacenter string            `json:"datacenter,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Evidence   EvidenceStatus    `json:"evidence"`
	Attempts   uint64            `json:"attempts"`
	Failures   uint64            `json:"failures"`
	Inflight   uint32            `json:"inflight"`
	Load       *LoadStatus       `json:"load,omitempty"` // nil: it reports none
	EWMA       float64           `json:"ewma_seconds"`
	RPS        float64           `json:"attempts_per_second"`
	Ejections  uint64            `json:"ejections"`

	PolicyEjections uint64 `json:"policy_ejections"` // those of them that the policy asked for

	Draining *DrainStatus `json:"draining,omitempty"` // nil: it does not
}

// LeavingStatus is an endpoint that is gone from discovery.
type LeavingStatus struct {
	ID       string       `json:"id"`
	Address  string       `json:"address"`
	Inflight uint32       `json:"inflight"`
	Draining *DrainStatus `json:"draining"`
}

// DrainStatus is how far the draining of an endpoint is.
type DrainStatus struct {
	Since         time.Time `json:"since"`
	RequestsUntil time.Time `json:"requests_until,omitzero"` // zero: as long as they like
	TunnelsUntil  time.Time `json:"tunnels_until,omitzero"`
	EndedRequests int       `json:"ended_requests"`
	EndedTunnels  int       `json:"ended_tunnels"`
}

// EvidenceStatus is what is known about an endpoint's health, in words.
type EvidenceStatus struct {
	Discovery    string    `json:"discovery"`
	Verified     bool      `json:"verified"`
	Lease        string    `json:"lease"`
	Probe        string    `json:"probe"`
	ProbeError   string    `json:"probe_error,omitempty"`
	Agent        string    `json:"agent,omitempty"`
	AgentSays    string    `json:"agent_says,omitempty"`
	EjectedUntil time.Time `json:"ejected_until,omitzero"`
	EjectedBy    string    `json:"ejected_by,omitempty"` // failures, policy, success rate, failure percentage
	Probation    bool      `json:"probation,omitempty"`  // back from an ejection, and it has not answered a request since
	Override     string    `json:"override,omitempty"`
}

// LoadStatus is the last report of an endpoint about its load.
type LoadStatus struct {
	Utilisation float64 `json:"utilisation"`
	QPS         float64 `json:"qps,omitempty"`
	EPS         float64 `json:"eps,omitempty"`
	AgeSeconds  float64 `json:"age_seconds"`
}

// Status describes the cluster now.
func (c *Cluster) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, now := c.current.Load(), time.Now()
	out := Status{
		Name: c.name, Origin: c.state.Origin.String(), Generation: s.Table.Gen, Up: len(s.View.Up), Panic: s.Panic(),
		Endpoints: make([]EndpointStatus, 0, len(s.Endpoints)),
	}
	out.ImpossibleReports = c.impossible.Load()
	out.EndedRequests, out.EndedTunnels = c.endedRequests.Load(), c.endedTunnels.Load()
	out.Leaving = c.leavingStatus()
	out.Redundancy = c.redundancyStatus(s)
	if c.state.Origin != discovery.OriginNone && c.state.Origin != discovery.OriginStatic {
		out.AgeSeconds = now.Sub(c.state.At).Seconds()
	}
	out.Unused = max(len(c.state.Instances)-len(s.Endpoints), 0)
	if c.state.Err != nil {
		out.Error = c.state.Err.Error()
	}
	if c.buildErr != nil {
		out.Error = c.buildErr.Error()
	}
	for i, e := range s.Endpoints {
		pe, ev := s.Table.Endpoints[i], e.evidence(c, now)
		es := EndpointStatus{
			ID: e.ID, Name: pe.Name, Address: e.Address, State: e.effective.String(), Weight: instanceWeight(e.instance),
			Effective: s.weights[i], Load: e.report.status(now), Tier: pe.Tier, Spare: e.instance.Spare, Datacenter: e.instance.Datacenter,
			Zone: s.Table.Zones[pe.Zone], Tags: e.instance.Tags, Meta: e.instance.Meta,
			Evidence: EvidenceStatus{
				Discovery: ev.Status.String(), Verified: ev.Verified, Lease: ev.Lease.String(), Probe: ev.Probe.String(),
				Override: ev.Override.String(),
				Agent:    ev.Agent.String(), AgentSays: e.agent.says,
			},
			Attempts: e.attempts.Load(), Failures: e.failures.Load(), Inflight: e.Inflight(),
			EWMA:      float64(e.State.Load(policies.ColEWMA)) / 1e6,
			RPS:       float64(e.State.Load(policies.ColRPSMilli)) / 1e3,
			Ejections: sum(e.outlier.ejections),

			PolicyEjections: e.outlier.ejections[byPolicy], Draining: e.draining.status(),
		}
		es.Evidence.Probation = e.outlier.probation && !ev.Ejected
		if ev.Probe == ProbeFailing {
			es.Evidence.ProbeError = e.probe.reason
		}
		if ev.Ejected {
			es.Evidence.EjectedUntil, es.Evidence.EjectedBy = e.outlier.until, e.outlier.why.String()
		}
		out.Endpoints = append(out.Endpoints, es)
	}
	return out
}

func sum(counts [numEjectedBy]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Ready reports whether discovery gave at least one answer, if only from a snapshot, and the state it gave.
func (c *Cluster) Ready() (discovery.State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.state.Origin != discovery.OriginNone
}

// SetOverride puts the operator's word on an endpoint, or takes it back with NoOverride, which also readmits an
// endpoint that was ejected.
func (c *Cluster) SetOverride(id string, o Override) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, err := c.find(id)
	if err != nil {
		return err
	}
	e.override = o
	if o == NoOverride {
		c.readmit(e)
		e.outlier.probation = false // the operator knows better
	}
	c.publishView("operator")
	return nil
}

func (c *Cluster) find(id string) (*Endpoint, error) {
	if e := c.endpoints[id]; e != nil {
		return e, nil
	}
	return nil, &UnknownEndpointError{Cluster: c.name, ID: id}
}

// UnknownEndpointError says that a cluster has no endpoint of that ID.
type UnknownEndpointError struct{ Cluster, ID string }

func (e *UnknownEndpointError) Error() string {
	return fmt.Sprintf("cluster %q has no endpoint %q", e.Cluster, e.ID)
}
