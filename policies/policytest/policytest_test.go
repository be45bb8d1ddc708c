package policytest_test

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// pick makes a policy of one function.
type pick func(r *policies.Request, v *policies.View) int

func (p pick) Build(*policies.Table) (policies.Picker, error) { return p, nil }
func (p pick) Pick(r *policies.Request, v *policies.View) int { return p(r, v) }

// first returns the first untried of candidates.
func first(r *policies.Request, candidates []uint32) int {
	for _, i := range candidates {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

// from returns the first untried of candidates from place k on, round the end.
func from(r *policies.Request, candidates []uint32, k uint64) int {
	if len(candidates) == 0 {
		return policies.None
	}
	k %= uint64(len(candidates))
	if i := first(r, candidates[k:]); i != policies.None {
		return i
	}
	return first(r, candidates[:k])
}

// byChance is a policy without a fault, but for what it does not promise: it gives each endpoint the same.
func byChance(r *policies.Request, v *policies.View) int { return from(r, v.Candidates(r), r.Rand) }

// lighter takes the less loaded of two.
func lighter(v *policies.View, a, b int) int {
	if a == policies.None || b == policies.None {
		return max(a, b)
	}
	x, y := v.Table.Endpoints[a], v.Table.Endpoints[b]
	if (uint64(y.Inflight())+1)*uint64(x.Weight) < (uint64(x.Inflight())+1)*uint64(y.Weight) {
		return b
	}
	return a
}

var (
	evenly    = policytest.Options{Shares: policytest.Evenly}
	byLoad    = policytest.Options{Shares: policytest.ByLoad}
	unclaimed = policytest.Options{Shares: policytest.Unclaimed}
	byKey     = policytest.Options{Shares: policytest.Some, Keyed: true}
)

// planted holds a policy for each fault, and the law that names the fault: the first one that it breaks.
var planted = map[string]struct {
	claims policytest.Options
	law    string
	policy func() policies.Policy
}{
	"is out of range": {evenly, "a_pick_is_in_range_and_up", pure(func(r *policies.Request, v *policies.View) int {
		return len(v.Table.Endpoints)
	})},
	"ignores what is down": {evenly, "a_pick_is_in_range_and_up", pure(func(r *policies.Request, v *policies.View) int {
		return int(r.Rand % uint64(max(1, len(v.Table.Endpoints))))
	})},
	"picks what is drained": {evenly, "an_endpoint_of_weight_0_gets_no_new_requests", pure(func(r *policies.Request, v *policies.View) int {
		for i := range v.Table.Endpoints {
			if v.Keeps(i) && !r.HasTried(uint32(i)) {
				return i
			}
		}
		return byChance(r, v)
	})},
	"ignores what was tried": {evenly, "what_was_tried_is_not_picked_again", pure(func(r *policies.Request, v *policies.View) int {
		if c := v.Candidates(r); c != nil {
			return int(c[r.Rand%uint64(len(c))])
		}
		return policies.None
	})},
	"gives up after two": {evenly, "none_is_answered_if_and_only_if_nothing_is_left", pure(func(r *policies.Request, v *policies.View) int {
		if r.NTried > 2 {
			return policies.None
		}
		return byChance(r, v)
	})},
	"goes on when nothing is left": {evenly, "none_is_answered_if_and_only_if_nothing_is_left", pure(func(r *policies.Request, v *policies.View) int {
		if i := byChance(r, v); i != policies.None || len(v.Up) == 0 {
			return i
		}
		return int(v.Up[0])
	})},
	"ignores tiers": {evenly, "a_better_tier_comes_first", pure(func(r *policies.Request, v *policies.View) int {
		return from(r, v.Up, r.Rand)
	})},
	"has one answer for a request": {evenly, "retries_visit_every_endpoint_once", func() policies.Policy {
		var seq, answer atomic.Uint64
		return pick(func(r *policies.Request, v *policies.View) int {
			if seq.Swap(r.Seq+1) == r.Seq+1 {
				return int(answer.Load())
			}
			i := byChance(r, v)
			answer.Store(uint64(i))
			return i
		})
	}},
	"cannot serve a table without endpoints": {unclaimed, "a_pick_is_in_range_and_up", func() policies.Policy { return crowded{} }},
	"has whims of its own": {evenly, "equal_seeds_give_equal_traces", func() policies.Policy {
		return pick(func(r *policies.Request, v *policies.View) int { return from(r, v.Candidates(r), whims.Add(1)) })
	}},
	"draws for requests with a key": {byKey, "a_key_stays_where_it_is", pure(byChance)},
	"takes keys modulo the endpoints": {byKey, "an_endpoint_that_goes_moves_its_own_keys_alone", pure(func(r *policies.Request, v *policies.View) int {
		if r.Flags&policies.HasKey == 0 {
			return byChance(r, v)
		}
		return from(r, v.Candidates(r), r.KeyHash)
	})},
	"moves more keys than it claims": {byKey, "an_endpoint_that_goes_moves_its_own_keys_alone", func() policies.Policy {
		return policies.Maglev{}
	}},
	"starves one endpoint": {evenly, "nobody_is_starved", pure(func(r *policies.Request, v *policies.View) int {
		if c := v.Candidates(r); len(c) > 1 && r.NTried == 0 {
			return int(c[1+r.Rand%uint64(len(c)-1)])
		}
		return byChance(r, v)
	})},
	"begins at the first endpoint of each table": {evenly, "nobody_is_starved", func() policies.Policy { return fresh{} }},
	"never forgives a slow answer":               {policytest.Options{Shares: policytest.Some}, "nobody_is_starved", func() policies.Policy { return new(grudge) }},
	"never trusts again who was down": {evenly, "an_endpoint_that_comes_back_gets_requests_again", func() policies.Policy {
		return wary{}
	}},
	"draws the second beside the first": {byLoad, "endpoints_that_differ_in_nothing_get_alike", pure(func(r *policies.Request, v *policies.View) int {
		c := v.Candidates(r)
		a := from(r, c, r.Rand)
		if a == policies.None {
			return a
		}
		return lighter(v, a, from(r, c, uint64(slices.Index(c, uint32(a))+1)))
	})},
	"draws two without regard to weight": {byLoad, "shares_are_as_promised", pure(func(r *policies.Request, v *policies.View) int {
		c := v.Candidates(r)
		return lighter(v, from(r, c, r.Rand&0xffff), from(r, c, r.Rand>>32))
	})},
	"ignores weights": {policytest.Options{}, "shares_are_as_promised", pure(byChance)},
	"allocates": {evenly, "a_pick_allocates_nothing", func() policies.Policy {
		return pick(func(r *policies.Request, v *policies.View) int {
			kept = make([]int, 8)
			return byChance(r, v)
		})
	}},
	"mixes requests up": {evenly, "laws_hold_while_tables_and_views_are_swapped", func() policies.Policy {
		var view atomic.Pointer[policies.View]
		return pick(func(r *policies.Request, v *policies.View) int {
			view.Store(v)
			runtime.Gosched()
			return byChance(r, view.Load())
		})
	}},
}

var (
	kept  []int
	whims atomic.Uint64
)

func pure(p pick) func() policies.Policy { return func() policies.Policy { return p } }

// fresh counts turns from 0 in each table.
type fresh struct{}

func (fresh) Build(*policies.Table) (policies.Picker, error) {
	var turn atomic.Uint64
	return pick(func(r *policies.Request, v *policies.View) int { return from(r, v.Candidates(r), turn.Add(1)-1) }), nil
}

// crowded needs two endpoints.
type crowded struct{}

func (crowded) Build(t *policies.Table) (policies.Picker, error) {
	if len(t.Endpoints) < 2 {
		return nil, errors.New("too few")
	}
	return pick(byChance), nil
}

// wary leaves aside whom it once saw down, while there are others.
type wary struct{}

func (wary) Build(*policies.Table) (policies.Picker, error) {
	var down atomic.Uint64
	return pick(func(r *policies.Request, v *policies.View) int {
		for i := range v.Table.Endpoints {
			if !v.Usable(i) {
				down.Or(1 << i)
			}
		}
		trusted := slices.DeleteFunc(slices.Clone(v.Candidates(r)), func(i uint32) bool { return down.Load()&(1<<i) != 0 })
		if i := from(r, trusted, r.Rand); i != policies.None {
			return i
		}
		return byChance(r, v)
	}), nil
}

// grudge goes to whoever had the fastest of all worst answers.
type grudge struct{ worst [8]atomic.Int64 }

func (g *grudge) Build(*policies.Table) (policies.Picker, error) {
	return pick(func(r *policies.Request, v *policies.View) int {
		best := byChance(r, v)
		if best == policies.None || len(v.Table.Endpoints) > len(g.worst) {
			return best
		}
		for _, i := range v.Candidates(r) {
			if !r.HasTried(i) && g.worst[i].Load() < g.worst[best].Load() {
				best = int(i)
			}
		}
		return best
	}), nil
}

func (g *grudge) Observe(_ *policies.View, f policies.Feedback) {
	w := &g.worst[f.Endpoint]
	w.Store(max(w.Load(), int64(f.Total)))
}

func TestPlantedFaults(t *testing.T) {
	for name, b := range planted {
		t.Run("a policy that "+name, func(t *testing.T) {
			for _, l := range policytest.Laws() {
				err := l.Hold(func() (policies.Policy, error) { return b.policy(), nil }, b.claims)
				if err == nil {
					continue
				}
				if l.Name != b.law {
					t.Errorf("it breaks %s first, want %s\n%v", l.Name, b.law, err)
				}
				return
			}
			t.Errorf("it breaks no law, want %s", b.law)
		})
	}
	t.Run("each law names one", func(t *testing.T) {
		for _, l := range policytest.Laws() {
			found := false
			for _, b := range planted {
				found = found || b.law == l.Name
			}
			if !found {
				t.Errorf("no policy of this test breaks the law %q", l.Name)
			}
		}
	})
}

func TestAPolicyThatCannotBeMadeBreaksEveryLaw(t *testing.T) {
	gone := errors.New("no such module")
	for _, l := range policytest.Laws() {
		if err := l.Hold(func() (policies.Policy, error) { return nil, gone }, byKey); err == nil && l.Unclaimed(byKey) == "" {
			t.Errorf("%s holds of a policy that cannot be made", l.Name)
		}
	}
}
