package seatlimited_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
)

// TestNeverMore sends twice what the seats can take, of requests that are short and long, begin late or never, and end
// unheard, through new tables and swaps. At no pick may an endpoint have more requests than seats, those that have not begun
// included; and seats must not be wasted either.
func TestNeverMore(t *testing.T) {
	const rate = 400 // a second
	seats := []int{4, 8, 1, 16}
	for _, c := range []struct {
		name   string
		become func(x *plugintest.Traffic, a *plugintest.Attempt)
		upset  func(x *plugintest.Traffic, second int)
		filled float64 // share of the seats that are taken, at least, averaged over time
	}{
		{"short_requests", func(x *plugintest.Traffic, a *plugintest.Attempt) { a.Takes = ms(50 + x.Rand.IntN(150)) }, nil, 0.88},
		{"long_requests", func(x *plugintest.Traffic, a *plugintest.Attempt) { a.Takes = ms(5000 + x.Rand.IntN(30_000)) }, nil, 0.95},
		{"both", mixed, nil, 0.95},
		{"late_beginnings", func(x *plugintest.Traffic, a *plugintest.Attempt) {
			mixed(x, a)
			if x.Rand.IntN(4) == 0 {
				a.Delay = ms(x.Rand.IntN(2000))
			}
		}, nil, 0.6}, // a seat that waits is taken, and counts as empty here
		{"reports_that_are_lost", func(x *plugintest.Traffic, a *plugintest.Attempt) {
			mixed(x, a)
			a.Never, a.Unheard = x.Rand.IntN(200) == 0, x.Rand.IntN(200) == 0
		}, nil, 0.7},
		{"tables_that_change", mixed, func(x *plugintest.Traffic, second int) {
			var states []*policies.State
			for _, e := range x.Table.Endpoints {
				states = append(states, e.State)
			}
			x.SetTable(fleet(uint32(second+2), states, seats...))
		}, 0.95},
		{"swaps", mixed, func(x *plugintest.Traffic, second int) {
			if second%20 == 10 {
				x.Swap()
			}
		}, 0.95},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := plugintest.NewTraffic(t, "seat-limited", "", fleet(1, nil, seats...))
			var taken, room, rejected int
			var arrive func()
			arrive = func() {
				x.After(time.Duration(x.Rand.ExpFloat64()*float64(time.Second)/rate), arrive)
				if a := x.Send(func(a *plugintest.Attempt) { c.become(x, a) }); a.Endpoint == policies.Rejected {
					rejected++
				}
				for i, e := range x.Table.Endpoints {
					if n := x.Placed[e.Num]; n > seats[i] {
						t.Fatalf("endpoint %d has %d requests, want at most %d", i, n, seats[i])
					}
					taken += int(e.Inflight())
					room += seats[i]
				}
			}
			arrive()
			for second := range 120 {
				x.Run(time.Second)
				if c.upset != nil {
					c.upset(x, second)
				}
			}
			filled := float64(taken) / float64(room)
			t.Logf("%.2f of the seats were taken, %d requests rejected", filled, rejected)
			if filled < c.filled {
				t.Errorf("%.2f of the seats were taken, want at least %g: there was always a request for them", filled, c.filled)
			}
			if rejected == 0 {
				t.Error("no request was rejected: want more of them than seats")
			}
		})
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// mixed is short as a rule, and long now and then.
func mixed(x *plugintest.Traffic, a *plugintest.Attempt) {
	a.Takes = ms(50 + x.Rand.IntN(150))
	if x.Rand.IntN(20) == 0 {
		a.Takes = ms(x.Rand.IntN(20_000))
	}
}
