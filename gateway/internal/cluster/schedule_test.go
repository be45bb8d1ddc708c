package cluster

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestChecksAreSpreadAndKeepTheirIntervals has a thousand checks of different intervals, some stopped on the way.
func TestChecksAreSpreadAndKeepTheirIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const checks, slots = 1000, 20
		ctx, cancel := context.WithCancel(t.Context())
		s := newSchedule(ctx)
		var first [slots]atomic.Int32 // first checks, by the part of the second they fell into
		began := time.Now()
		var all []*check
		made := make([]atomic.Int32, checks)
		for i := range checks {
			interval := time.Duration(1+i%4) * time.Second
			all = append(all, s.start(interval, func(context.Context) time.Duration {
				if made[i].Add(1) == 1 {
					first[min(int(time.Since(began)*slots/interval), slots-1)].Add(1)
				}
				time.Sleep(100 * time.Millisecond) // is no part of the pause
				return interval
			}))
		}
		time.Sleep(100 * time.Second)
		synctest.Wait()
		for i := range checks {
			want := 100 / (1 + i%4)
			if n := int(made[i].Load()); n < want*9/10 || n > want*11/10+1 {
				t.Fatalf("a check every %d s was made %d times in 100 s, want about %d", 1+i%4, n, want)
			}
		}
		for i := range first {
			if n := first[i].Load(); n < 10 || n > 120 {
				t.Errorf("%d of %d first checks fell into part %d of %d of their interval", n, checks, i, slots)
			}
		}
		for i, k := range all {
			if k.now(); i%2 == 0 {
				k.stop()
			}
		}
		synctest.Wait()
		var before [checks]int32
		for i := range made {
			before[i] = made[i].Load()
		}
		time.Sleep(10 * time.Second)
		for i := range made {
			if more := made[i].Load() - before[i]; (more > 0) != (i%2 == 1) {
				t.Fatalf("check %d was made %d times more in 10 s; every other is stopped", i, more)
			}
		}
		cancel()
		s.wait()
	})
}

// TestACheckWantedWhileItIsUnderWayIsMadeAgain has one that takes a second, hourly.
func TestACheckWantedWhileItIsUnderWayIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newSchedule(ctx)
		var made atomic.Int32
		k := s.start(1000*time.Hour, func(context.Context) time.Duration {
			made.Add(1)
			time.Sleep(time.Second)
			return 1000 * time.Hour
		})
		k.now()
		time.Sleep(500 * time.Millisecond)
		k.now()
		k.now()
		time.Sleep(10 * time.Second)
		if made.Load() != 2 {
			t.Errorf("made %d times, want at once and again after that", made.Load())
		}
		cancel()
		s.wait()
	})
}
