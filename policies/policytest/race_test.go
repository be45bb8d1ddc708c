//go:build race

package policytest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

const racing = "POLICYTEST_RACING"

// TestRacing runs, in a process of its own that must fail, the kit on a policy that counts without an atomic.
func TestRacing(t *testing.T) {
	if os.Getenv(racing) != "" {
		turn := uint64(0)
		policytest.Run(t, func(*testing.T) policies.Policy {
			return pick(func(r *policies.Request, v *policies.View) int {
				turn++
				return from(r, v.Candidates(r), turn)
			})
		}, policytest.Options{Shares: policytest.Unclaimed})
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRacing$/^laws_hold_while_tables_and_views_are_swapped$")
	c.Env = append(os.Environ(), racing+"=1")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "DATA RACE") {
		t.Errorf("want a data race found in the law of swaps; the run ended with %v and said\n%s", err, out)
	}
}
