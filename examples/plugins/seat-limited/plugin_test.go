package seatlimited_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// With seats in proportion to weights, and enough of them, requests go by load for the weight.
var claims = policytest.Options{Shares: policytest.ByLoad, Shape: func(_ int, e *policies.Endpoint) {
	e.Meta = []policies.Pair{{Key: "seats", Value: fmt.Sprint(e.Weight * 10_000)}}
}}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "seat-limited", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

// fleet is a table of endpoints with these seats. Its endpoints have the states, if there are any.
func fleet(gen uint32, states []*policies.State, seats ...int) *policies.Table {
	endpoints := make([]policies.Endpoint, len(seats))
	for i, n := range seats {
		endpoints[i] = policies.Endpoint{Weight: 1, Meta: []policies.Pair{{Key: "seats", Value: fmt.Sprint(n)}}}
		if states != nil {
			endpoints[i].State = states[i]
		}
	}
	return policytest.Table(gen, endpoints...)
}

// forever is an attempt that does not end.
func forever(a *plugintest.Attempt) { a.Takes = 1000 * time.Hour }

func TestNoneIsTakenThatHasNoFreeSeat(t *testing.T) {
	x := plugintest.NewTraffic(t, "seat-limited", `{"default": 2}`, policytest.Table(1,
		policies.Endpoint{Weight: 1, Meta: []policies.Pair{{Key: "seats", Value: "3"}}},
		policies.Endpoint{Weight: 60000},
		policies.Endpoint{Weight: 1, Meta: []policies.Pair{{Key: "seats", Value: "many"}}},
		policies.Endpoint{Weight: 1, Meta: []policies.Pair{{Key: "seats", Value: "0"}}},
	))
	got := map[int]int{}
	for range 20 { // without a moment between: the column does not know of them
		a := x.Send(forever)
		got[a.Endpoint]++
		if a.Endpoint == policies.Rejected && a.Request.RejectStatus != 429 {
			t.Fatalf("rejected with %d, want 429", a.Request.RejectStatus)
		}
	}
	if got[0] != 3 || got[1] != 2 || got[2] != 2 || got[3] != 0 || got[policies.Rejected] != 13 {
		t.Errorf("20 requests that stay went to %v, want 3, 2, 2 and 0, and 13 rejected", got)
	}
}

func TestSeats(t *testing.T) {
	const second = time.Second
	short := func(a *plugintest.Attempt) { a.Takes = 5 * time.Millisecond }
	// placed counts how many of 10 requests that stay find a seat now.
	placed := func(x *plugintest.Traffic) (n int) {
		for range 10 {
			if x.Send(forever).Endpoint >= 0 {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name string
		do   func(x *plugintest.Traffic)
		want int // of 4 seats, how many are free then
	}{
		{"are_all_free_at_the_start", func(*plugintest.Traffic) {}, 4},
		{"are_free_again_when_the_end_is_reported", func(x *plugintest.Traffic) { x.Send(short); x.Run(20 * time.Millisecond) }, 4},
		{"are_taken_until_the_end_is_reported", func(x *plugintest.Traffic) { x.Send(short); x.Run(6 * time.Millisecond) }, 3},
		{"are_taken_for_as_long_as_a_request_lasts", func(x *plugintest.Traffic) { x.Send(forever); x.Run(1000 * second) }, 3},
		{"are_taken_by_attempts_that_wait_to_begin", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Delay = 2 * second; a.Takes = second })
			x.Run(2*second - 1)
		}, 3},
		{"of_attempts_that_never_begin_are_free_after_some_seconds", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Never = true })
			x.Run(4 * second)
		}, 4},
		{"are_free_after_some_seconds_if_no_end_is_reported", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Takes = second; a.Unheard = true })
			x.Run(5 * second)
		}, 4},
		{"of_others_count", func(x *plugintest.Traffic) { x.Table.Endpoints[0].AddInflight(3) }, 1},
		{"of_others_are_free_when_they_are_gone", func(x *plugintest.Traffic) {
			x.Table.Endpoints[0].AddInflight(3)
			x.Send(short)
			x.Run(second)
			x.Table.Endpoints[0].AddInflight(-3)
			x.Run(second)
		}, 4},
		{"survive_another_table", func(x *plugintest.Traffic) {
			x.Send(forever)
			x.SetTable(fleet(2, []*policies.State{x.Table.Endpoints[0].State}, 4))
		}, 3},
		{"follow_the_metadata_of_another_table", func(x *plugintest.Traffic) {
			x.Send(forever)
			x.SetTable(fleet(2, []*policies.State{x.Table.Endpoints[0].State}, 2))
		}, 1},
		{"follow_metadata_that_changes_with_a_swap", func(x *plugintest.Traffic) {
			x.Send(forever)
			x.Table = fleet(2, []*policies.State{x.Table.Endpoints[0].State}, 2)
			x.Swap()
		}, 1},
		{"survive_a_swap_in_the_moment_of_a_pick", func(x *plugintest.Traffic) { x.Send(forever); x.Swap() }, 3},
		{"survive_a_swap_before_an_attempt_begins", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Delay = 2 * second; a.Takes = second })
			x.Swap()
			x.Run(second)
		}, 3},
		{"that_a_swap_left_without_report_are_free_in_the_end", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Takes = second; a.Unheard = true })
			x.Swap()
			x.Run(5 * second)
		}, 4},
		{"are_free_when_the_end_is_reported_after_a_swap", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Takes = second })
			x.Swap()
			x.Run(second + 20*time.Millisecond)
		}, 4},
		{"are_not_given_back_twice_by_a_report_that_is_late", func(x *plugintest.Traffic) {
			x.Send(func(a *plugintest.Attempt) { a.Takes = 10*second + time.Millisecond })
			for range 3 {
				x.Send(forever)
			}
			x.Run(10*second + 2*time.Millisecond)                                          // ended, not reported
			x.Send(func(a *plugintest.Attempt) { a.Delay = 2 * second; a.Takes = second }) // takes that seat
			x.Run(20 * time.Millisecond)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 4))
			x.Run(time.Second)
			c.do(x)
			if got := placed(x); got != c.want {
				t.Errorf("%d of 10 requests found a seat, want %d", got, c.want)
			}
		})
	}
}

// TestALostSeatIsFoundUnderSteadyTraffic keeps three seats of four in use at any time, so that the endpoint is never quiet.
func TestALostSeatIsFoundUnderSteadyTraffic(t *testing.T) {
	x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 4))
	rejected := 0
	var arrive func()
	arrive = func() {
		x.After(20*time.Millisecond, arrive)
		if x.Send(func(a *plugintest.Attempt) { a.Takes = 65 * time.Millisecond }).Endpoint == policies.Rejected {
			rejected++
		}
	}
	arrive()
	x.Run(5*time.Second + 19*time.Millisecond)
	if rejected > 0 {
		t.Fatalf("%d requests were rejected before a seat was lost, want none", rejected)
	}
	x.Send(func(a *plugintest.Attempt) { a.Never = true })
	x.Run(10 * time.Second)
	if rejected == 0 {
		t.Fatal("no request was rejected with a seat lost: the test shows nothing")
	}
	x.Run(20 * time.Second)
	rejected = 0
	x.Run(20 * time.Second)
	if rejected > 0 {
		t.Errorf("%d of 1000 requests were rejected 30 seconds after a seat was lost, want none", rejected)
	}
}

func TestSeatsBelongToAnEndpointNotToAPlaceInTheTable(t *testing.T) {
	x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 2, 2))
	for range 2 {
		x.Send(forever)
	}
	x.SetTable(fleet(2, nil, 2)) // other endpoints with the same numbers would keep their seats: this one has number 1
	x.Swap()
	if a := x.Send(forever); a.Endpoint != 0 {
		t.Errorf("picked %d, want endpoint 0, of whose two seats one is taken", a.Endpoint)
	}
	if a := x.Send(forever); a.Endpoint != policies.Rejected {
		t.Errorf("picked %d, want a rejection: both seats are taken", a.Endpoint)
	}
}

func TestTheEndpointWithTheFewestSeatsTakenForWhatItHasIsPicked(t *testing.T) {
	x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 10, 20, 70))
	got := map[int]int{}
	for range 50 {
		got[x.Send(forever).Endpoint]++
	}
	if got[0] != 5 || got[1] != 10 || got[2] != 35 {
		t.Errorf("50 requests went to %v, want 5, 10 and 35 for 10, 20 and 70 seats", got)
	}
	quiet := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 5, 5, 5, 5))
	got = map[int]int{}
	for range 2000 {
		got[quiet.Send(func(a *plugintest.Attempt) { a.Takes = time.Millisecond }).Endpoint]++
		quiet.Run(20 * time.Millisecond)
	}
	for i := range 4 { // 500 each, five standard deviations of 19
		if got[i] < 400 || got[i] > 600 {
			t.Errorf("2000 requests one after the other went to %v, want about 500 at each", got)
		}
	}
}

func TestOtherTiersServeWhenTheSeatsOfTheFirstAreTaken(t *testing.T) {
	table := fleet(1, nil, 1, 1)
	table.Endpoints[0].Tier = 1
	x := plugintest.NewTraffic(t, "seat-limited", "", table)
	for k, want := range []int{1, 0, policies.Rejected} {
		if a := x.Send(forever); a.Endpoint != want {
			t.Errorf("request %d went to %d, want %d", k, a.Endpoint, want)
		}
	}
}

func TestARequestThatTriedAllIsNotRejected(t *testing.T) {
	x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, 1, 1))
	x.Send(forever)
	r := x.Request()
	r.MarkTried(0)
	r.MarkTried(1)
	if a := x.SendRequest(r, forever); a.Endpoint != policies.None {
		t.Errorf("picked %d, want none: the failover has its own word on that", a.Endpoint)
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                                true,
		"{}":                              true,
		`{"default":1}`:                   true,
		`{"default":0}`:                   true,
		`{"meta":"slots","default":2000}`: true,
		`{"status":503}`:                  true,
		`{"status":200}`:                  false,
		`{"meta":""}`:                     false,
		`{"meta":4}`:                      false,
		`{"meta":"a\"b"}`:                 false,
		`{"default":1.5}`:                 false,
		`{"default":"4"}`:                 false,
		`{"default":-1}`:                  false,
		`{"default":true}`:                false,
		`{"seats":4}`:                     false,
		`{"default":4`:                    false,
		`[4]`:                             false,
	} {
		if _, err := plugintest.Load(t, "seat-limited", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
