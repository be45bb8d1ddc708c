package policies_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// serve sends requests at endpoints that answer after what took says, one after the other, and counts.
func serve(t *testing.T, n, requests int, every time.Duration, answer func(i int, now time.Duration) policies.Outcome) []int {
	t.Helper()
	table := policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{1}, n)...)...)
	v := policytest.View(table, 1)
	policy := named(t, "peak_ewma")
	p, err := policy.Build(table)
	if err != nil {
		t.Fatal(err)
	}
	count := make([]int, n)
	type ending struct {
		at time.Duration
		f  policies.Feedback
	}
	var flying []ending
	for seq := range requests {
		now := time.Duration(seq) * every
		flying = slices.DeleteFunc(flying, func(e ending) bool {
			if e.at > now {
				return false
			}
			table.Endpoints[e.f.Endpoint].AddInflight(-1)
			policy.(policies.Observer).Observe(v, e.f)
			return true
		})
		r := policytest.Request(3, uint64(seq))
		r.Now = int64(now) + 1
		i := p.Pick(&r, v)
		count[i]++
		table.Endpoints[i].AddInflight(1)
		o := answer(i, now)
		o.Endpoint = i
		flying = append(flying, ending{now + o.Total, policies.Feedback{Outcome: o, Now: int64(now + o.Total)}})
	}
	return count
}

func TestPeakEWMA(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	about := func(ms float64) time.Duration {
		return time.Duration((ms + g.NormFloat64()*ms/30) * float64(time.Millisecond))
	}
	t.Run("five_identical_endpoints_share_the_requests", func(t *testing.T) { // Traefik's leasttime: 5 of 1,500 for one
		for i, n := range serve(t, 5, 1500, 10*time.Millisecond, func(int, time.Duration) policies.Outcome {
			return policies.Outcome{Total: about(20)}
		}) {
			if n < 200 || n > 400 {
				t.Errorf("endpoint %d got %d of 1,500 requests, want about 300", i, n)
			}
		}
	})
	t.Run("a_slow_endpoint_gets_few", func(t *testing.T) {
		got := serve(t, 5, 2000, 5*time.Millisecond, func(i int, _ time.Duration) policies.Outcome {
			if i == 2 {
				return policies.Outcome{Total: about(500)}
			}
			return policies.Outcome{Total: about(20)}
		})
		if got[2] > 60 || got[2] == 0 {
			t.Errorf("the slow one got %d of 2,000 (%v), want a few", got[2], got)
		}
	})
	t.Run("one_that_fails_fast_draws_no_traffic", func(t *testing.T) {
		got := serve(t, 5, 2000, 5*time.Millisecond, func(i int, _ time.Duration) policies.Outcome {
			if i == 2 {
				return policies.Outcome{Class: policies.BadStatus, Status: 500, Total: time.Millisecond}
			}
			return policies.Outcome{Total: about(20)}
		})
		if got[2] > 100 {
			t.Errorf("the failing one got %d of 2,000 (%v)", got[2], got)
		}
	})
	t.Run("one_that_was_slow_comes_back", func(t *testing.T) {
		var late [5]int
		serve(t, 5, 12_000, 5*time.Millisecond, func(i int, now time.Duration) policies.Outcome {
			if now > 40*time.Second {
				late[i]++
			}
			if i == 2 && now < 10*time.Second {
				return policies.Outcome{Total: about(500)}
			}
			return policies.Outcome{Total: about(20)}
		})
		if late[2] < 400 {
			t.Errorf("30 s after it was slow it got %d of 4,000 (%v), want about 800", late[2], late)
		}
	})
	t.Run("an_answer_that_streams_is_as_fast_as_its_head", func(t *testing.T) {
		got := serve(t, 2, 1000, 10*time.Millisecond, func(i int, _ time.Duration) policies.Outcome {
			o := policies.Outcome{FirstByte: 5 * time.Millisecond, Total: 5 * time.Millisecond}
			if i == 1 {
				o.Total = 9 * time.Millisecond
			}
			return o
		})
		if got[1] < 400 {
			t.Errorf("the one that streams got %d of 1,000 (%v), want about half", got[1], got)
		}
	})
}
