package consul

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
)

// TestPace runs in virtual time.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{every: 25 * time.Millisecond}
		passed := func(n int) time.Duration {
			start := time.Now()
			for range n {
				if !p.wait(t.Context()) {
					t.Fatal("ended although its context stands")
				}
			}
			return time.Since(start)
		}
		if d := passed(burst); d != 0 {
			t.Errorf("the first %d waited %v, want 0", burst, d)
		}
		if d := passed(100); d != 100*p.every {
			t.Errorf("the next 100 took %v, want %v", d, 100*p.every)
		}
		time.Sleep(time.Hour) // virtual
		if d := passed(burst + 1); d != p.every {
			t.Errorf("after quiet %d took %v, want %v: rest is not saved up", burst+1, d, p.every)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.wait(ctx) {
			t.Error("goes on although its context ended")
		}
	})
}

func TestBackoff(t *testing.T) {
	c, err := New(Options{Seed: 1})
	must(t, err)
	w := newWatch(c, Query{Service: "web"}, func(discovery.State) {})
	for _, step := range []struct {
		failures int
		limit    time.Duration
	}{
		{1, 250 * time.Millisecond},
		{2, 500 * time.Millisecond},
		{5, 4 * time.Second},
		{8, 30 * time.Second},
		{1 << 40, 30 * time.Second},
	} {
		w.failures = step.failures
		var sum, most time.Duration
		const draws = 2000
		for range draws {
			d := w.backoff()
			if d < 0 || d > step.limit {
				t.Fatalf("failure %d: %v, want 0..%v", step.failures, d, step.limit)
			}
			sum, most = sum+d, max(most, d)
		}
		// The mean of 2000 uniform draws is within 5 % of limit/2 but for one seed in 10^4: its deviation is 1.3 %.
		if mean := sum / draws; mean < step.limit*45/100 || mean > step.limit*55/100 || most < step.limit*9/10 {
			t.Errorf("failure %d: mean %v, most %v, want the whole of 0..%v", step.failures, mean, most, step.limit)
		}
	}
}

func TestWaitsDifferFromServiceToService(t *testing.T) {
	c, err := New(Options{Seed: 1})
	must(t, err)
	seen := map[time.Duration]bool{}
	for _, service := range []string{"a", "b", "c"} {
		w := newWatch(c, Query{Service: service}, func(discovery.State) {})
		w.index, w.refresh = 1, time.Now().Add(time.Hour)
		for range 100 {
			wait := w.next().wait
			if wait < 44*time.Second || wait > 66*time.Second {
				t.Fatalf("wait %v, want 55 s give or take a fifth", wait)
			}
			seen[wait] = true
		}
	}
	if len(seen) < 300 {
		t.Errorf("%d different waits of 300, want all", len(seen))
	}
}
