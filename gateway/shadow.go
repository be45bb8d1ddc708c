package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// ShadowStatus compares a candidate with the policy that serves, over all clusters of that, since both run side by side.
type ShadowStatus struct {
	Name      string              `json:"name"` // of the candidate
	Digest    string              `json:"digest"`
	State     string              `json:"state"` // deciding, refused, quarantined, or idle (no cluster uses the policy)
	Picks     uint64              `json:"picks"` // that both decided
	Agreed    uint64              `json:"agreed"`
	Agreement float64             `json:"agreement"` // 0..1
	Retries   uint64              `json:"retries"`   // decisions about a retry
	Concord   uint64              `json:"retries_agreed"`
	FuelMean  float64             `json:"fuel_mean"` // of a call of the candidate that did not fail
	Results   map[string]uint64   `json:"results"`   // of the candidate's calls
	Failures  map[string]uint64   `json:"failures"`
	Failure   string              `json:"last_failure,omitempty"`
	Shares    []ShadowShareStatus `json:"shares"`
}

// ShadowShareStatus is how often each of both chose an endpoint.
type ShadowShareStatus struct {
	Cluster   string `json:"cluster"`
	Endpoint  string `json:"endpoint"`
	Active    uint64 `json:"active"`
	Candidate uint64 `json:"candidate"`
}

// shadowOf describes what the shadow of p has decided, nil if it has none.
func (g *Gateway) shadowOf(p *policy) *ShadowStatus {
	b, decisions := g.shadowed(p)
	if b == nil {
		return nil
	}
	s := &ShadowStatus{Name: b.name, Digest: b.digest, State: "idle", Shares: []ShadowShareStatus{}}
	var sum wasmhost.Stats
	for _, name := range slices.Sorted(maps.Keys(decisions)) {
		d := decisions[name]
		s.State = "deciding"
		r := d.shadow.Report()
		s.Picks, s.Agreed = s.Picks+r.Picks, s.Agreed+r.Agreed
		s.Retries, s.Concord = s.Retries+r.Retries, s.Concord+r.Concord
		for _, sh := range r.Shares {
			s.Shares = append(s.Shares, ShadowShareStatus{name, sh.Endpoint, sh.Active, sh.Candidate})
		}
		sum.Add(d.candidate.Stats())
	}
	switch {
	case b.module == nil:
		s.State = "refused"
	case sum.Quarantined:
		s.State = "quarantined"
	}
	if s.Picks > 0 {
		s.Agreement = float64(s.Agreed) / float64(s.Picks)
	}
	s.FuelMean, s.Failure = mean(sum.Fuel), sum.LastFailure
	s.Results, s.Failures = byResult(sum), byClass(sum)
	return s
}

// shadowed returns the shadow of p, nil if it has none, and what decides, by cluster, where both do.
func (g *Gateway) shadowed(p *policy) (*policy, map[string]decision) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pc := g.config.Policies[p.name]
	if pc == nil {
		return nil, nil
	}
	decisions := map[string]decision{}
	for name, m := range g.members {
		if d := m.spec.decision; d.policy == p && d.shadow != nil {
			decisions[name] = d
		}
	}
	return g.policies[pc.Shadow], decisions
}

// Promote makes the module of a policy's shadow, with its config and limits, the version of the policy that serves. A
// rollback undoes it.
func (g *Gateway) Promote(ctx context.Context, name string) (Swap, error) {
	return g.change(ctx, name, kindPromoted, func(*policy) (version, error) {
		pc := g.config.Policies[name]
		b := g.policies[pc.Shadow]
		switch {
		case b == nil:
			return version{}, fmt.Errorf("policy %q: %w", name, errNoShadow)
		case b.module == nil:
			return version{}, fmt.Errorf("policy %q, the shadow of %q, was refused: %w", b.name, name, b.err)
		}
		return newVersion(b.wasm, fromShadow, promoted(pc, b.config)), nil
	})
}

// promoted returns the settings of pc with what makes the module of candidate behave as it does. What clusters and
// operators rely on stays: the fallback, what follows an error, the pin.
func promoted(pc, candidate *config.Policy) *config.Policy {
	c := *pc
	c.Config, c.Fuel, c.Memory, c.Large = candidate.Config, candidate.Fuel, candidate.Memory, candidate.Large
	return &c
}

func (c collection) shadow(policy string, s *ShadowStatus) {
	if s == nil {
		return
	}
	c.add(mShadowPicks, float64(s.Agreed), policy, s.Name, "true")
	c.add(mShadowPicks, float64(s.Picks-s.Agreed), policy, s.Name, "false")
	if len(s.Shares) > maxEndpointSeries {
		return
	}
	for _, sh := range s.Shares {
		c.add(mShadowShare, float64(sh.Active), policy, s.Name, sh.Cluster, sh.Endpoint, "active")
		c.add(mShadowShare, float64(sh.Candidate), policy, s.Name, sh.Cluster, sh.Endpoint, "candidate")
	}
}
