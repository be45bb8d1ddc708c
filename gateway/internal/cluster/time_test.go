package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// TestEjectionGrowsAndIsForgiven follows one endpoint through ejections in virtual time.
func TestEjectionGrowsAndIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base = 30 * time.Second
		s := settings()
		s.Outlier = Outlier{Consecutive: 5, BaseEjection: base, MaxEjected: 0.5}
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		a := c.Load().Endpoints[0]
		out := func() time.Duration {
			fail(a, 5)
			synctest.Wait() // the endpoint wakes the cluster: no tick is needed
			c.mu.Lock()
			defer c.mu.Unlock()
			return time.Until(a.outlier.until)
		}
		if got := out(); got != base {
			t.Fatalf("the first ejection lasts %v, want %v", got, base)
		}
		time.Sleep(base + reconcileEvery)
		if got := out(); got != 2*base {
			t.Errorf("the second ejection lasts %v, want %v", got, 2*base)
		}
		time.Sleep(2*base + reconcileEvery + 3*sweepEvery)
		if got := out(); got != base {
			t.Errorf("after two clean sweeps an ejection lasts %v, want %v", got, base)
		}
	})
}

// TestColumnsFollowTime looks at the live figures that only the passing of time brings up to date.
func TestColumnsFollowTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := newLeases(&fakeCache{resident: map[uint64]*lease{}, queued: map[uint64]*lease{}})
		s := settings()
		s.Heartbeat = time.Minute
		c := start(t, s, leases)
		c.Apply(live(instance("a")))
		a := c.Load().Endpoints[0]
		time.Sleep(1500 * time.Millisecond) // the first sample is taken
		if _, err := c.Beat("a", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			a.Begin()
			a.End(policies.Outcome{Class: policies.Refused})
		}
		bad := a.State.Load(policies.ColErrPPM)
		for range 50 {
			a.Begin()
			a.End(policies.Outcome{Class: policies.OK, Total: 4 * time.Millisecond})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := a.State.Load(policies.ColRPSMilli); got < 80_000 || got > 110_000 {
			t.Errorf("100 attempts in about a second are %d thousandths a second, want about 100000", got)
		}
		if got := a.State.Load(policies.ColHeartbeatAgeMilli); got < 900 || got > 1000 {
			t.Errorf("a beat a second ago is %d ms old, want about 1000", got)
		}
		if got := a.State.Load(policies.ColErrPPM); bad < 500_000 || got > bad/2 {
			t.Errorf("errors went from %d to %d ppm over 50 bad and 50 good attempts, want them to rise and fall", bad, got)
		}
		if got := a.State.Load(policies.ColEWMA); got != 4000 {
			t.Errorf("EWMA %d us, want 4000", got)
		}
	})
}

// TestOldNewsGivesWayToProbes: discovery said that an endpoint is critical, and then nothing any more.
func TestOldNewsGivesWayToProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, settings(), nil)
		sick := instance("b")
		sick.Status = discovery.Critical
		news := live(instance("a"), sick)
		c.Apply(news)
		c.mu.Lock()
		c.endpoints["b"].probe.state = ProbePassing
		c.mu.Unlock()
		news.Err = errors.New("no agent")
		c.Apply(news)
		is := func(want string) {
			t.Helper()
			time.Sleep(2 * reconcileEvery)
			if got := c.Status().Endpoints[1].State; got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
		}
		is("down")
		time.Sleep(agedAfter / 2)
		c.Apply(news) // again no answer
		is("down")
		time.Sleep(agedAfter / 2)
		is("degraded")
		news.Err = nil
		c.Apply(news)
		is("down")
	})
}
