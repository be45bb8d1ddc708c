package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies"
)

// TestPublishedE11Consecutive counts the requests after which an endpoint that fails at random is ejected for five
// failures in a row.
func TestPublishedE11Consecutive(t *testing.T) {
	const k = 5
	for _, c := range []struct {
		fails    float64
		requests int
	}{{0.2, 20_000_000}, {0.3, 3_000_000}} {
		if c.fails == 0.2 && !experiments.Whole() {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := settings()
			s.Outlier = Outlier{Consecutive: k, BaseEjection: time.Minute, MaxEjected: 0.5}
			cl := start(t, s, nil)
			cl.Apply(live(instance("a"), instance("b")))
			a := cl.Load().Endpoints[0]
			g := rand.New(rand.NewPCG(11, 3))
			ejected := 0
			for range c.requests {
				a.Begin()
				o := policies.Outcome{Status: 200, Load: -1}
				if g.Float64() < c.fails {
					o.Class = policies.BadStatus
				}
				a.End(o)
				if a.State.Load(policies.ColConsecutiveFail) < k {
					continue
				}
				synctest.Wait() // the cluster's goroutine was woken
				if a.place.Load() != placeOut {
					t.Fatal("five failures in a row, and it is in")
				}
				ejected++
				if err := cl.SetOverride("a", NoOverride); err != nil {
					t.Fatal(err)
				}
			}
			run := math.Pow(c.fails, k)
			want := (1 - run) / ((1 - c.fails) * run)
			experiments.Hold(t, experiments.Row{
				ID: "E11", What: fmt.Sprintf("five failures in a row, where %g of requests fail: requests an ejection", c.fails), Source: "computed: (1-p^5)/((1-p)p^5)",
				Published: want, Ours: float64(c.requests) / float64(ejected), Tolerance: 0.03 * want,
			})
		})
	}
}

// TestPublishedE11Probe measures how long probes take to see that an endpoint hangs: it does so at a time that has nothing
// to do with them, and each check of it takes the whole timeout.
func TestPublishedE11Probe(t *testing.T) {
	const trials = 1600
	synctest.Test(t, func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a"), instance("b")))
		a := c.Load().Endpoints[0]
		p := Probe{Interval: time.Second, Timeout: 300 * time.Millisecond, Fall: 3, Rise: 2}
		ctx, stop := context.WithCancel(t.Context())
		var hangs atomic.Bool
		failing := make(chan struct{}, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			was := ProbeUnknown
			checks := newSchedule(ctx)
			checks.start(p.Interval, func(ctx context.Context) time.Duration {
				var err error
				if hangs.Load() {
					time.Sleep(p.Timeout)
					err = errors.New("timeout")
				}
				c.probed(ctx, p, a, err)
				c.mu.Lock()
				is := a.probe.state
				c.mu.Unlock()
				if is == ProbeFailing && was != ProbeFailing {
					failing <- struct{}{}
				}
				was = is
				return p.Interval
			})
			<-ctx.Done()
			checks.wait()
		}()
		var all time.Duration
		for range trials {
			time.Sleep(10*time.Second + rand.N(time.Second))
			hangs.Store(true)
			began := time.Now()
			<-failing
			all += time.Since(began)
			hangs.Store(false)
		}
		stop()
		<-done
		experiments.Hold(t, experiments.Row{
			ID: "E11", What: "probes every second, three failures of 0.3 s: from the hang until it is down", Source: "computed: (fall - 1/2) interval + timeout",
			Published: 2.8, Ours: all.Seconds() / trials, Tolerance: 0.05, Unit: "s",
		})
	})
}
