package recording_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/policies/recording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReplay(t *testing.T) {
	for _, name := range []string{"round_robin", "least_request", "p2c", "round-robin", "learner"} {
		t.Run("the_same_policy_answers_the_same_to_the_bit/"+name, func(t *testing.T) {
			trace := record(t, name, 2000, recording.Options{Headers: []string{"X-User"}}, name == "learner")
			r := replay(t, trace, name)
			if r.Picks < 8000 || r.DifferentPicks+r.DifferentRetries > 0 || r.Damage != "" || r.Gaps > 0 || len(r.Unheld) > 0 {
				t.Errorf("%d picks, %d differ; %d retries, %d differ; damage %q, %d gaps, unheld %v, first: %+v",
					r.Picks, r.DifferentPicks, r.Retries, r.DifferentRetries, r.Damage, r.Gaps, r.Unheld, r.Differences)
			}
			t.Logf("%d picks, %d retries, %d outcomes, %d tables: %.1f bytes a pick", r.Picks, r.Retries, r.Outcomes, r.Tables, float64(len(trace))/float64(r.Picks))
		})
	}
}
