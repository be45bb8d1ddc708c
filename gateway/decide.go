package gateway

import (
	"slices"

	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// decision is what decides in one cluster: a native policy, a guest, or a guest with another beside it.
type decision struct {
	policy   *policy          // nil if the policy is native
	instance *wasmhost.Policy // nil if it is native, or was refused

	beside    *policy // the shadow of policy; nil if there is none, or it was refused
	candidate *wasmhost.Policy
	shadow    *wasmhost.Shadow // of instance and candidate
}

// decide sets what decides in the cluster of s. What was does already and need not change stays; what takes its place
// goes on from its state.
func (s *clusterSpec) decide(cfg *config.Config, cc *config.Cluster, loaded map[string]*policy, was clusterSpec) {
	p := loaded[cc.Policy]
	s.policy = p
	s.settings.PolicyName = cc.Policy
	if p != nil && p.module == nil {
		s.settings.PolicyName = p.config.Fallback
	}
	if p == nil || p.module == nil {
		s.settings.Policy, _ = policies.ByName(s.settings.PolicyName)
		return
	}
	fallback, _ := policies.ByName(p.config.Fallback)
	instance := func(of, before *policy, old *wasmhost.Policy) *wasmhost.Policy {
		in := of.module.NewPolicy(cc.Name, fallback, s.settings.Failover)
		if old != nil && before.name == of.name {
			in.Succeed(old)
		}
		return in
	}
	s.settings.PolicyDigest = p.digest
	same := was.policy == p && was.instance != nil && slices.Equal(was.conditions, s.conditions)
	if s.instance = was.instance; !same {
		s.instance = instance(p, was.policy, was.instance)
	}
	s.settings.Policy = s.instance

	b := loaded[cfg.Policies[p.name].Shadow]
	if b == nil || b.module == nil {
		return
	}
	s.beside = b
	if s.candidate, s.shadow = was.candidate, was.shadow; !same || was.beside != b || was.shadow == nil {
		s.candidate = instance(b, was.beside, was.candidate)
		s.shadow = wasmhost.NewShadow(s.instance, s.candidate)
	}
	s.settings.Policy = s.shadow
}

// release closes what d has and kept has not.
func (d decision) release(kept decision) {
	if d.instance != nil && d.instance != kept.instance {
		_ = d.instance.Close()
	}
	if d.candidate != nil && d.candidate != kept.candidate {
		_ = d.candidate.Close()
	}
}
