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
	Name  string // a sentence, its words joined by "_"
	hold  func(*trial)
	claim claim
}

// claim is what a law asks nothing without.
type claim uint8

const (
	always  claim = iota
	served        // that every endpoint gets requests
	divided       // shares
	tiered        // respect for tiers
	keyed         // that keys stay
)

// Unclaimed says what a policy that claims o would have to claim for the law to ask anything of it, or "" if it does.
func (l Law) Unclaimed(o Options) string {
	switch {
	case l.claim == served && o.Shares == Unclaimed, l.claim == divided && o.Shares >= Some:
		return "no shares are claimed"
	case l.claim == tiered && o.AnyTier:
		return "no respect for tiers is claimed"
	case l.claim == keyed && !o.Keyed:
		return "keys are not claimed to stay"
	}
	return ""
}

// Laws returns every law, in the order in which a reader of their failures wants them: a policy breaks the law that names
// its fault before it breaks others by consequence.
func Laws() []Law {
	return []Law{
		{"a_pick_is_in_range_and_up", judged(unusable), always},
		{"an_endpoint_of_weight_0_gets_no_new_requests", judged(drained), always},
		{"what_was_tried_is_not_picked_again", judged(again), always},
		{"none_is_answered_if_and_only_if_nothing_is_left", judged(wrongNone), always},
		{"a_better_tier_comes_first", judged(worseTier), tiered},
		{"retries_visit_every_endpoint_once", retriesVisitAll, always},
		{"equal_seeds_give_equal_traces", equalTraces, always},
		{"a_key_stays_where_it_is", keysStay, keyed},
		{"an_endpoint_that_goes_moves_its_own_keys_alone", keysMove, keyed},
		{"nobody_is_starved", nobodyStarved, served},
		{"an_endpoint_that_comes_back_gets_requests_again", comesBack, served},
		{"endpoints_that_differ_in_nothing_get_alike", alike, divided},
		{"shares_are_as_promised", sharesHold, divided},
		{"a_pick_allocates_nothing", noAllocations, always},
		{"laws_hold_while_tables_and_views_are_swapped", hammer, always},
	}
}

// Hold holds a policy to the law, and says how it breaks it. build makes a policy that has served nothing yet; it is called
// several times.
func (l Law) Hold(build func() (policies.Policy, error), o Options) error {
	if l.Unclaimed(o) != "" {
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
	if f, want := t.judge(r, v, i); f != nothing {
		t.fatalf("%s: picked %s, want %s", fmt.Sprintf(format, args...), answer(i), want)
	}
	return i
}
