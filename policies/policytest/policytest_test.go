package policytest_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// pick makes a policy of one function.
type pick func(r *policies.Request, v *policies.View) int

func (p pick) Build(*policies.Table) (policies.Picker, error) { return p, nil }
func (p pick) Pick(r *policies.Request, v *policies.View) int { return p(r, v) }

var (
	kept  []int
	turns atomic.Uint64
)

// first returns the first untried of candidates.
func first(r *policies.Request, candidates []uint32) int {
	for _, i := range candidates {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

// last returns the last untried of candidates.
func last(r *policies.Request, candidates []uint32) int {
	for _, i := range slices.Backward(candidates) {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

// broken holds policies that break one law each, and the law that must find it.
var broken = map[string]struct {
	law  string
	pick pick
}{
	"out_of_range": {"a_pick_is_usable", func(r *policies.Request, v *policies.View) int { return len(v.Table.Endpoints) }},
	"ignores_what_is_down": {"a_pick_is_usable", func(r *policies.Request, v *policies.View) int {
		return int(r.Rand % uint64(max(1, len(v.Table.Endpoints))))
	}},
	"repeats_what_was_tried": {"retries_visit_every_endpoint_once", func(r *policies.Request, v *policies.View) int {
		if c := v.Candidates(r); c != nil {
			return int(c[0])
		}
		return policies.None
	}},
	"gives_up_early": {"a_pick_is_usable", func(r *policies.Request, v *policies.View) int {
		if r.NTried > 2 {
			return policies.None
		}
		return first(r, v.Candidates(r))
	}},
	"ignores_tiers":     {"a_pick_is_usable", func(r *policies.Request, v *policies.View) int { return last(r, v.Up) }},
	"ignores_weights":   {"shares_are_as_promised", func(r *policies.Request, v *policies.View) int { return byChance(r, v) }},
	"starves":           {"nobody_is_starved", func(r *policies.Request, v *policies.View) int { return first(r, v.Candidates(r)) }},
	"has_its_own_whims": {"equal_seeds_give_equal_traces", func(r *policies.Request, v *policies.View) int { r.Rand = turns.Add(1); return byChance(r, v) }},
	"allocates":         {"a_pick_allocates_nothing", func(r *policies.Request, v *policies.View) int { kept = make([]int, 8); return byChance(r, v) }},
}

func byChance(r *policies.Request, v *policies.View) int {
	c := v.Candidates(r)
	if c == nil {
		return policies.None
	}
	for k := r.Rand % uint64(len(c)); ; k++ {
		if i := c[k%uint64(len(c))]; !r.HasTried(i) {
			return int(i)
		}
	}
}

const subject = "POLICYTEST_BROKEN"

// TestSubject runs the kit on the broken policy that TestKit names, in a process of its own that must fail.
func TestSubject(t *testing.T) {
	if b, ok := broken[os.Getenv(subject)]; ok {
		policytest.Run(t, func(*testing.T) policies.Policy { return b.pick }, policytest.Options{})
	}
}

func TestKit(t *testing.T) {
	for name, b := range broken {
		t.Run("finds_a_policy_that_"+name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSubject$")
			c.Env = append(os.Environ(), subject+"="+name)
			out, err := c.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestSubject/"+b.law) {
				t.Errorf("want the law %q broken; the run ended with %v and said\n%s", b.law, err, out)
			}
		})
	}
}
