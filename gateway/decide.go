package gateway

import (
	"fmt"
	"io"
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

	recorded policies.Policy // what is in the settings, while it is recorded
}

// decide sets what decides in the cluster of s. What was does already and need not change stays; what takes its place
// goes on from its state.
func (g *Gateway) decide(s *clusterSpec, cfg *config.Config, cc *config.Cluster, loaded map[string]*policy, was clusterSpec) {
	p := loaded[cc.Policy]
	s.policy = p
	s.settings.PolicyName = cc.Policy
	if p != nil && p.module == nil {
		s.settings.PolicyName = p.config.Fallback
	}
	if p == nil || p.module == nil {
		s.settings.Policy, _ = policies.ByName(s.settings.PolicyName)
		g.record(s, cc.Name, was, was.instance == nil && was.settings.PolicyName == s.settings.PolicyName)
		return
	}
	s.settings.PolicyDigest = p.digest
	if b := loaded[cfg.Policies[p.name].Shadow]; b != nil && b.module != nil {
		s.beside = b
	}
	fallback, _ := policies.ByName(p.config.Fallback)
	instance := func(of, before *policy, old *wasmhost.Policy) *wasmhost.Policy {
		in := of.module.NewPolicy(cc.Name, fallback, s.settings.Failover)
		if old != nil && before.name == of.name {
			in.Succeed(old)
		}
		return in
	}
	same := was.policy == p && was.instance != nil && slices.Equal(was.conditions, s.conditions)
	both := same && was.beside == s.beside
	if s.instance = was.instance; !same || g.recorder != nil && !both {
		s.instance = instance(p, was.policy, was.instance)
	}
	s.settings.Policy = s.instance
	if s.beside != nil {
		if s.candidate, s.shadow = was.candidate, was.shadow; !both {
			s.candidate = instance(s.beside, was.beside, was.candidate)
			s.shadow = wasmhost.NewShadow(s.instance, s.candidate)
		}
		s.settings.Policy = s.shadow
	}
	g.record(s, cc.Name, was, both)
}

// tryGuests dry-runs guests over the tables of clusters that they come to: new clusters, and those that are given a policy
// which is there. A policy that is new or changed was tried on the clusters that are there when it was loaded.
func (g *Gateway) tryGuests(cfg *config.Config, ch *change) (errs config.Errors) {
	for name, s := range ch.specs {
		m, guests := ch.members[name], []*policy{s.policy, s.beside}
		if there := g.members[name]; there != nil {
			m = there
			guests = slices.DeleteFunc(guests, func(p *policy) bool {
				return p == there.spec.policy || p == there.spec.beside || p != nil && p != g.policies[p.name]
			})
		}
		for _, p := range guests {
			if p == nil || p.module == nil {
				continue
			}
			if err := p.module.TryOn(m.cluster.Load().Table); err != nil {
				errs = append(errs, cfg.Error(config.Child("clusters", name)+".policy",
					fmt.Sprintf("policy %q, which fails on the cluster's endpoints: %v", p.name, err), "one that can serve them"))
			}
		}
	}
	errs.Sort()
	return errs
}

// record puts the recorder, if there is one, around what decides. same says that it is what decided before.
func (g *Gateway) record(s *clusterSpec, cluster string, was clusterSpec, same bool) {
	if g.recorder == nil {
		return
	}
	if s.recorded = was.recorded; !same || was.recorded == nil {
		s.recorded = g.recorder.Wrap(cluster, s.settings.PolicyName, s.settings.PolicyDigest, s.settings.Policy)
	}
	s.settings.Policy = s.recorded
}

// release closes what d has and kept has not.
func (d decision) release(kept decision) {
	if c, ok := d.recorded.(io.Closer); ok && d.recorded != kept.recorded {
		_ = c.Close()
	}
	if d.instance != nil && d.instance != kept.instance {
		_ = d.instance.Close()
	}
	if d.candidate != nil && d.candidate != kept.candidate {
		_ = d.candidate.Close()
	}
}
