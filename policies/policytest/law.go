package policytest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/weir-lb/weir/policies"
)

// Law is something that every policy must obey, or that one claims to.
type Law struct {
	Name   string // a sentence, its words joined by "_"
	hold   func(*trial)
	claims bool // it asks for nothing where shares are unclaimed
}

// Applies reports whether the law asks for anything of a policy that claims o.
func (l Law) Applies(o Options) bool { return !l.claims || o.Shares != Unclaimed }

// Laws returns every law, in the order in which a reader of their failures wants them.
func Laws() []Law {
	return []Law{
		{"a_pick_is_usable_and_untried_and_none_means_nothing_is_left", pickIsValid, false},
		{"retries_visit_every_endpoint_once", retriesVisitAll, false},
		{"no_endpoint_and_one_endpoint", fewEndpoints, false},
		{"an_endpoint_that_comes_back_gets_requests_again", comesBack, false},
		{"shares_are_as_promised", sharesHold, true},
		{"nobody_is_starved_when_tables_change_before_every_pick", nobodyStarved, true},
		{"equal_seeds_give_equal_traces", equalTraces, false},
		{"a_pick_allocates_nothing", noAllocations, false},
		{"laws_hold_while_tables_and_views_are_swapped", hammer, false},
	}
}

// Hold holds a policy to the law, and says how it breaks it. build makes a policy that has served nothing yet; it is called
// several times.
func (l Law) Hold(build func() (policies.Policy, error), o Options) error {
	if !l.Applies(o) {
		return nil
	}
	t := &trial{build: build, Options: o}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(ended{}) {
				panic(r)
			}
		}()
		l.hold(t)
	}()
	if len(t.broken) == 0 {
		return nil
	}
	return errors.New(strings.Join(t.broken, "\n"))
}

// trial is a policy before a law.
type trial struct {
	Options
	build  func() (policies.Policy, error)
	within string // which part of the law

	mu     sync.Mutex
	broken []string
}

// ended leaves a trial.
type ended struct{}

// errorf notes how the law is broken.
func (t *trial) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = append(t.broken, t.within+fmt.Sprintf(format, args...))
}

// fatalf notes how the law is broken, and ends the trial. It is for the trial's own goroutine.
func (t *trial) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	panic(ended{})
}

func (t *trial) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.broken) > 0
}

// policy makes a policy, or ends the trial.
func (t *trial) policy() policies.Policy {
	p, err := t.build()
	if err != nil {
		t.fatalf("%v", err)
	}
	return p
}

// picker builds the picker of table, or ends the trial.
func (t *trial) picker(p policies.Policy, table *policies.Table) policies.Picker {
	pk, err := p.Build(table)
	if err != nil {
		t.fatalf("Build of %d endpoints: %v", len(table.Endpoints), err)
	}
	return pk
}

// pick asks pk, and ends the trial if the answer is wrong.
func (t *trial) pick(pk policies.Picker, r *policies.Request, v *policies.View, format string, args ...any) int {
	i := pk.Pick(r, v)
	if w := t.wrong(r, v, i); w != "" {
		t.fatalf("%s: picked %s, %s", fmt.Sprintf(format, args...), answer(i), w)
	}
	return i
}

func answer(i int) string {
	switch i {
	case policies.None:
		return "none"
	case policies.Rejected:
		return "a refusal of the request"
	}
	return fmt.Sprint(i)
}

// wrong says what is wrong with answer i to r in v, or "".
func (o Options) wrong(r *policies.Request, v *policies.View, i int) string {
	candidates := v.Candidates(r)
	switch {
	case i == policies.Rejected && o.MayReject:
		return ""
	case candidates == nil && i == policies.None:
		return ""
	case candidates == nil:
		return "want none: nothing is left"
	case i == policies.None:
		return "want an endpoint: some are left"
	case !v.Usable(i):
		return "want an endpoint that is in range and usable"
	case r.HasTried(uint32(i)):
		return "want an endpoint that is not tried"
	case v.Table.Endpoints[i].Weight == 0:
		return "want an endpoint of weight above 0"
	case !o.AnyTier && tier(v, i) != tier(v, int(candidates[0])):
		return "want an endpoint of the first tier that has one left"
	}
	return ""
}

func tier(v *policies.View, i int) int {
	return min(int(v.Table.Endpoints[i].Tier), len(v.TierEnd)-1)
}
