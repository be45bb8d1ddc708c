package primarystandby_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// Within one tier requests go by weight; a standby may serve while its primary is back but held.
var claims = policytest.Options{Shares: policytest.ByWeight, AnyTier: true}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "primary-standby", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

// step is a moment: the health of each tier's endpoint, and who must get a request then.
type step struct {
	after  time.Duration // since the step before
	health []policies.Health
	want   int
}

const (
	up       = policies.Up
	degraded = policies.Degraded
	down     = policies.Down
	second   = time.Second
)

func TestService(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		steps  []step
	}{
		{"stays_with_the_primary_while_it_is_up", "", []step{
			{0, []policies.Health{up, up}, 0}, {100 * second, []policies.Health{up, up}, 0}, {second, []policies.Health{up, down}, 0},
		}},
		{"moves_to_the_standby_with_the_first_request_after_a_failure", "", []step{
			{0, []policies.Health{up, up}, 0}, {0, []policies.Health{down, up}, 1}, {100 * second, []policies.Health{down, up}, 1},
		}},
		{"fails_back_after_five_seconds_by_default", "", []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{5*second - 1, []policies.Health{up, up}, 1},
			{1, []policies.Health{up, up}, 0},
		}},
		{"fails_back_after_the_hold_that_is_configured", `{"hold_ms": 60000}`, []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{59 * second, []policies.Health{up, up}, 1},
			{second, []policies.Health{up, up}, 0},
		}},
		{"fails_back_at_once_with_a_hold_of_zero", `{"hold_ms":0}`, []step{
			{0, []policies.Health{down, up}, 1}, {1, []policies.Health{up, up}, 0},
		}},
		{"begins_the_hold_again_if_the_primary_fails_during_it", "", []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{4 * second, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{4 * second, []policies.Health{up, up}, 1},
			{second, []policies.Health{up, up}, 0},
		}},
		{"begins_the_hold_again_if_the_clock_is_set_back", "", []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{-10 * second, []policies.Health{up, up}, 1},
			{5*second - 1, []policies.Health{up, up}, 1},
			{1, []policies.Health{up, up}, 0},
		}},
		{"does_not_fail_back_to_a_degraded_primary", "", []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{degraded, up}, 1},
			{100 * second, []policies.Health{degraded, up}, 1},
		}},
		{"does_not_leave_a_primary_that_becomes_degraded", "", []step{
			{0, []policies.Health{up, up}, 0}, {second, []policies.Health{degraded, up}, 0},
		}},
		{"cuts_the_hold_short_if_the_standby_fails", "", []step{
			{0, []policies.Health{down, up}, 1},
			{second, []policies.Health{up, up}, 1},
			{second, []policies.Health{degraded, down}, 0},
		}},
		{"takes_the_next_best_of_three", "", []step{
			{0, []policies.Health{down, down, up}, 2},
			{second, []policies.Health{down, up, up}, 2},
			{5 * second, []policies.Health{down, up, up}, 1},
		}},
		{"is_not_kept_from_a_steady_standby_by_a_primary_that_flaps", "", []step{
			{0, []policies.Health{down, down, up}, 2},
			{second, []policies.Health{up, up, up}, 2},
			{3 * second, []policies.Health{down, up, up}, 2},
			{2 * second, []policies.Health{up, up, up}, 1},
			{5 * second, []policies.Health{up, up, up}, 0},
		}},
		{"comes_back_after_a_total_failure_with_whoever_is_first", "", []step{
			{0, []policies.Health{up, up}, 0},
			{second, []policies.Health{down, down}, policies.None},
			{second, []policies.Health{down, up}, 1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoints := policytest.Weights(1, 1, 1)[:len(c.steps[0].health)]
			for i := range endpoints {
				endpoints[i].Tier = uint8(i)
			}
			table := policytest.Table(1, endpoints...)
			p, err := plugintest.Policy(t, "primary-standby", c.config).Build(table)
			if err != nil {
				t.Fatal(err)
			}
			r := policytest.Request(1, 1)
			for k, s := range c.steps {
				for i, h := range s.health {
					table.Endpoints[i].Store(policies.ColHealth, uint32(h))
				}
				v := policies.NewView(table, uint32(k), false, func(i int) bool { return s.health[i] != down })
				r.Now += s.after.Nanoseconds()
				if got := p.Pick(&r, v); got != s.want {
					t.Fatalf("step %d, health %v: picked %d, want %d", k, s.health, got, s.want)
				}
			}
		})
	}
}

func TestRetryGoesToTheOtherWhoeverServes(t *testing.T) {
	table := policytest.Table(1, policytest.Weights(1, 1)...)
	table.Endpoints[1].Tier = 1
	p, err := build(t).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		view *policies.View
		want []int
	}{
		{policytest.View(table, 1), []int{0, 1, policies.None}},
		{policytest.View(table, 2, 0), []int{1, policies.None}},
		{policytest.View(table, 3), []int{1, 0, policies.None}}, // held: the standby serves
	} {
		r := policytest.Request(1, 1)
		for attempt, want := range c.want {
			got := p.Pick(&r, c.view)
			if got != want {
				t.Fatalf("view %d, attempt %d: picked %d, want %d", c.view.Gen, attempt, got, want)
			}
			r.MarkTried(uint32(got))
			r.Attempt++
		}
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                                       true,
		"{}":                                     true,
		`{"hold_ms":5000}`:                       true,
		"{\n \"hold_ms\" : 86400000\t}":          true,
		`{"hold_ms":86400001}`:                   false,
		`{"hold_ms":-1}`:                         false,
		`{"hold_ms":1.5}`:                        false,
		`{"hold_ms":"5s"}`:                       false,
		`{"hold_ms":05}`:                         false,
		`{"hold_ms":5,}`:                         false,
		`{"hold_ms":5`:                           false,
		`{"hold_ms":5}}`:                         false,
		`{"hold_ms" 5}`:                          false,
		`{"hold":5}`:                             false,
		`{"hold_ms_":5}`:                         false,
		`{"hold_ms":99999999999999999999999999}`: false,
		`5`:                                      false,
		` `:                                      false,
	} {
		if _, err := plugintest.Load(t, "primary-standby", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
