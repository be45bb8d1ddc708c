package cluster

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// TestNoFalseSuspicionInAMillionBeats has beats every 200 ms, give or take a fifth, and looks every 100 ms as clusters do.
func TestNoFalseSuspicionInAMillionBeats(t *testing.T) {
	a := Accrual{Threshold: 8, MinSigma: 100 * time.Millisecond, Pause: 500 * time.Millisecond}
	for name, jitter := range map[string]func(g *rand.Rand) float64{
		"evenly":  func(g *rand.Rand) float64 { return 0.2 * (2*g.Float64() - 1) },
		"normal":  func(g *rand.Rand) float64 { return 0.2 * g.NormFloat64() },
		"by_load": func(g *rand.Rand) float64 { return 0.2 * g.ExpFloat64() },
	} {
		t.Run(name, func(t *testing.T) {
			g := rand.New(rand.NewPCG(6, 8))
			var h rhythm
			now, worst := int64(1), 0.0
			for range 1_000_000 {
				next := now + int64(max(200*(1+jitter(g)), 1)*1e6)
				worst = max(worst, h.phi(a, next))
				now = next
				h.beat(a, now)
			}
			if worst >= a.Threshold/2 {
				t.Errorf("phi reached %.1f, want less than %g: not even suspect", worst, a.Threshold/2)
			}
			out := now
			for h.phi(a, out) < a.Threshold {
				out += 1e6
			}
			if silence := time.Duration(out - now); silence+reconcileEvery >= 1500*time.Millisecond {
				t.Errorf("it is out after %v of silence and a tick, want less than 1.5 s", silence)
			}
		})
	}
}

func beating(t *testing.T) (*Cluster, *Leases) {
	leases := newLeases(&fakeCache{resident: map[uint64]*lease{}, queued: map[uint64]*lease{}})
	s := settings()
	s.Heartbeat = 3 * time.Second
	s.Accrual = Accrual{Threshold: 8, MinSigma: 100 * time.Millisecond, Pause: 500 * time.Millisecond}
	c := start(t, s, leases)
	c.Apply(live(instance("a"), instance("b")))
	return c, leases
}

// TestSilenceOfAnEndpointThatBeat follows one from its last beat until it is out, and back.
func TestSilenceOfAnEndpointThatBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := beating(t)
		for range 20 {
			time.Sleep(200 * time.Millisecond)
			if _, err := c.Beat("a", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		last, suspect := time.Now(), time.Duration(0)
		for len(up(c)) == 2 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			if c.Load().weights[0] == 0.5 && suspect == 0 {
				suspect = time.Since(last)
			}
		}
		if out := time.Since(last); suspect == 0 || suspect >= out || out >= 1500*time.Millisecond {
			t.Errorf("suspect after %v and out after %v, want first the one, and the other within 1.5 s", suspect, out)
		}
		if _, err := c.Beat("a", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := up(c); len(got) != 2 || c.Load().weights[0] != 1 {
			t.Errorf("after a beat %v are up with weights %v, want both with all of it", got, c.Load().weights)
		}
	})
}

func TestBeatsThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leases := beating(t)
		begin := time.Now()
		for _, step := range []struct {
			name    string
			sent    time.Duration // from now on
			refused bool
			future  uint64
			old     uint64
		}{
			{"from now", 0, false, 0, 0},
			{"the same again", 0, true, 0, 1},
			{"an older one", -time.Second, true, 0, 2},
			{"a little ahead", time.Second, false, 0, 2},
			{"from the future", 1001 * time.Millisecond, true, 1, 2},
			{"longer ago than a ttl", -4 * time.Second, true, 1, 3},
		} {
			_, err := c.Beat("a", begin.Add(step.sent))
			_, refused := errors.AsType[*RefusedBeatError](err)
			if s := leases.Stats(); refused != step.refused || s.Future != step.future || s.Replayed != step.old {
				t.Errorf("%s: error %v, %d from the future, %d old; want refused %v, %d, %d", step.name, err, s.Future, s.Replayed, step.refused, step.future, step.old)
			}
		}
		time.Sleep(3500 * time.Millisecond)
		if _, err := c.Beat("a", time.Now().Add(-2*time.Second)); err != nil {
			t.Errorf("a clock that was set back is refused after a silence: %v", err)
		}
		if n := leases.Stats().Beats; n != 3 {
			t.Errorf("%d beats count, want 3", n)
		}
	})
}

func TestImpossibleReportsOfLoad(t *testing.T) {
	c := start(t, settings(), nil)
	c.Apply(live(instance("a")))
	e := c.Load().Endpoints[0]
	for _, r := range []policies.LoadReport{
		{Utilisation: math.NaN()}, {Utilisation: math.Inf(1)}, {Utilisation: -0.1}, {Utilisation: 1e6}, {QPS: -1}, {QPS: 5, EPS: 6},
	} {
		e.Report(r)
	}
	if n := c.Status().ImpossibleReports; n != 6 || c.Status().Endpoints[0].Load != nil {
		t.Errorf("%d were refused, and the load is %+v; want 6 and none", n, c.Status().Endpoints[0].Load)
	}
	e.Report(policies.LoadReport{Utilisation: 1.5, QPS: 10, EPS: 10})
	if c.Status().Endpoints[0].Load == nil || c.Status().ImpossibleReports != 6 {
		t.Error("an endpoint that is overloaded and fails all its requests is possible")
	}
}

// TestPolledHeartbeats asks an endpoint that answers, and then does not.
func TestPolledHeartbeats(t *testing.T) {
	var sick atomic.Bool
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer h.Close()
	leases, err := NewLeases(100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leases.Close)
	s := settings()
	s.Heartbeat = 100 * time.Millisecond
	s.Poll = &Probe{Path: "/", Interval: 20 * time.Millisecond, Timeout: time.Second}
	c := start(t, s, leases)
	in := instance("a")
	in.Address = strings.TrimPrefix(h.URL, "http://")
	c.Apply(live(in, instance("b"))) // nothing listens at b: it never answered, which is no opinion
	gatewaytest.Eventually(t, "answers are beats", func() bool { return c.Status().Endpoints[0].Evidence.Lease == "alive" })
	sick.Store(true)
	wantUp(t, c, "b")
	sick.Store(false)
	wantUp(t, c, "a", "b")
}

// TestSuspicionIsProbedAtOnce has a probe that would come in hours.
func TestSuspicionIsProbedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := beating(t)
		e := c.Load().Endpoints[0]
		var asked atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		c.mu.Lock()
		e.probe.check = newSchedule(ctx).start(1000*time.Hour, func(context.Context) time.Duration {
			asked.Add(1)
			return 1000 * time.Hour
		})
		c.mu.Unlock()
		if _, err := c.Beat("a", time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2900 * time.Millisecond)
		synctest.Wait()
		if asked.Load() != 0 {
			t.Fatal("asked without suspicion")
		}
		time.Sleep(300 * time.Millisecond) // the ttl is over
		synctest.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times, want once", asked.Load())
		}
	})
}
