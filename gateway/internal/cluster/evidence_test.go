package cluster

import (
	"testing"

	"github.com/weir-lb/weir/discovery"
)

// good is evidence that speaks for an endpoint in every respect.
var good = Evidence{Status: discovery.Passing, Verified: true, Lease: LeaseAlive, Probe: ProbePassing}

func TestEffective(t *testing.T) {
	with := func(change func(*Evidence)) Evidence {
		e := good
		change(&e)
		return e
	}
	for name, tc := range map[string]struct {
		evidence Evidence
		want     Effective
	}{
		"all_good":                            {good, EffectiveUp},
		"no_opinion_is_in_favour":             {Evidence{Verified: true}, EffectiveUp},
		"warning_degrades":                    {with(func(e *Evidence) { e.Status = discovery.Warning }), EffectiveDegraded},
		"critical_takes_out":                  {with(func(e *Evidence) { e.Status = discovery.Critical }), EffectiveDown},
		"maintenance_drains":                  {with(func(e *Evidence) { e.Status = discovery.Maintenance }), EffectiveDraining},
		"suspect_lease_degrades":              {with(func(e *Evidence) { e.Lease = LeaseSuspect }), EffectiveDegraded},
		"dead_lease_takes_out":                {with(func(e *Evidence) { e.Lease = LeaseDead }), EffectiveDown},
		"failing_probe_takes_out":             {with(func(e *Evidence) { e.Probe = ProbeFailing }), EffectiveDown},
		"ejection_takes_out":                  {with(func(e *Evidence) { e.Ejected = true }), EffectiveDown},
		"an_agent_drains":                     {with(func(e *Evidence) { e.Agent = AgentDrain }), EffectiveDraining},
		"an_agent_in_maintenance_drains":      {with(func(e *Evidence) { e.Agent = AgentMaint }), EffectiveDraining},
		"an_agent_takes_out":                  {with(func(e *Evidence) { e.Agent = AgentDown }), EffectiveDown},
		"an_agent_overrules_no_probe":         {with(func(e *Evidence) { e.Agent, e.Probe = AgentUp, ProbeFailing }), EffectiveDown},
		"old_news_of_a_failure":               {with(func(e *Evidence) { e.Status, e.Aged, e.Probe = discovery.Critical, true, ProbeUnknown }), EffectiveDown},
		"old_news_that_a_probe_denies":        {with(func(e *Evidence) { e.Status, e.Aged, e.Probe = discovery.Critical, true, ProbePassing }), EffectiveDegraded},
		"news_that_a_probe_denies":            {with(func(e *Evidence) { e.Status, e.Probe = discovery.Critical, ProbePassing }), EffectiveDown},
		"old_news_that_a_probe_confirms":      {with(func(e *Evidence) { e.Status, e.Aged, e.Probe = discovery.Critical, true, ProbeFailing }), EffectiveDown},
		"maintenance_does_not_age":            {with(func(e *Evidence) { e.Status, e.Aged, e.Probe = discovery.Maintenance, true, ProbePassing }), EffectiveDraining},
		"unverified_degrades":                 {Evidence{Probe: ProbeUnknown}, EffectiveDegraded},
		"unverified_but_probed_is_up":         {Evidence{Probe: ProbePassing}, EffectiveUp},
		"operator_drains_what_is_good":        {with(func(e *Evidence) { e.Override = ForceDrain }), EffectiveDraining},
		"operator_takes_out_what_is_good":     {with(func(e *Evidence) { e.Override = ForceDown }), EffectiveDown},
		"operator_drain_wins_over_ejection":   {with(func(e *Evidence) { e.Override, e.Ejected = ForceDrain, true }), EffectiveDraining},
		"maintenance_wins_over_failing_probe": {with(func(e *Evidence) { e.Status, e.Probe = discovery.Maintenance, ProbeFailing }), EffectiveDraining},
	} {
		t.Run(name, func(t *testing.T) {
			if got := effective(tc.evidence); got != tc.want {
				t.Errorf("effective(%+v) = %v, want %v", tc.evidence, got, tc.want)
			}
		})
	}
}

// TestEffectiveIsMonotone walks every combination: making one piece of evidence worse never makes the state better.
func TestEffectiveIsMonotone(t *testing.T) {
	worse := []func(*Evidence) bool{
		func(e *Evidence) bool { ok := e.Status < discovery.Critical; e.Status++; return ok },
		func(e *Evidence) bool { ok := e.Lease != LeaseDead; e.Lease++; return ok },
		func(e *Evidence) bool { ok := e.Probe != ProbeFailing; e.Probe = ProbeFailing; return ok },
		func(e *Evidence) bool { ok := e.Agent != AgentDown; e.Agent = AgentDown; return ok },
		func(e *Evidence) bool { ok := !e.Ejected; e.Ejected = true; return ok },
		func(e *Evidence) bool { ok := e.Verified; e.Verified = false; return ok },
		func(e *Evidence) bool { ok := e.Override == NoOverride; e.Override = ForceDown; return ok },
	}
	n := 0
	for e := range allEvidence {
		for i, w := range worse {
			x := e
			if !w(&x) {
				continue
			}
			n++
			if a, b := effective(e), effective(x); b.Health() > a.Health() {
				t.Errorf("change %d: %+v is %v, but %+v is %v", i, e, a, x, b)
			}
		}
	}
	if n < 1000 {
		t.Fatalf("walked %d pairs, want at least 1000", n)
	}
}

func allEvidence(yield func(Evidence) bool) {
	for status := discovery.Passing; status <= discovery.Maintenance; status++ {
		for lease := LeaseNone; lease <= LeaseDead; lease++ {
			for probe := ProbeUnknown; probe <= ProbeFailing; probe++ {
				for override := NoOverride; override <= ForceDown; override++ {
					for agent := AgentNone; agent <= AgentDown; agent++ {
						for bits := range 8 {
							e := Evidence{status, bits&4 != 0, bits&1 != 0, lease, probe, agent, bits&2 != 0, override}
							if !yield(e) {
								return
							}
						}
					}
				}
			}
		}
	}
}
