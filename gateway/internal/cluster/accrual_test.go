package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
)

const accrualPaper = "Hayashibara et al.: The phi accrual failure detector, SRDS 2004; computed"

// TestPublishedG5Phi holds suspicion at so many sigmas, as tables of the normal distribution have it.
func TestPublishedG5Phi(t *testing.T) {
	for _, c := range []struct{ phi, z float64 }{{1, 1.282}, {3, 3.090}, {5, 4.265}, {8, 5.612}, {10, 6.361}} {
		lo, hi := 0.0, 10.0
		for range 60 {
			if mid := (lo + hi) / 2; phiOf(mid) < c.phi {
				lo = mid
			} else {
				hi = mid
			}
		}
		experiments.Hold(t, experiments.Row{
			ID: "G5", What: fmt.Sprintf("sigmas at which phi is %g", c.phi), Source: accrualPaper, Published: c.z, Ours: lo, Tolerance: 0.001,
		})
	}
}

// TestPublishedE11Phi has beats every 100 ms, with a deviation of 20: how often one comes later than phi allows, and
// after how long it is phi.
func TestPublishedE11Phi(t *testing.T) {
	beats := 300_000
	if experiments.Whole() {
		beats = 3_000_000
	}
	a := Accrual{Threshold: 8, MinSigma: time.Millisecond}
	var h rhythm
	g := rand.New(rand.NewPCG(11, 1))
	now, counted, windows := int64(1), 0, 0
	late, silence := make([]int, 5), make([]float64, 5)
	for n := range beats + accrualWindow + 1 {
		now += int64(max(100+20*g.NormFloat64(), 1) * 1e6)
		if n > accrualWindow {
			counted++
			for phi := 1; phi < len(late) && h.phi(a, now) >= float64(phi); phi++ {
				late[phi]++
			}
		}
		h.beat(a, now)
		if n%accrualWindow != accrualWindow-1 {
			continue
		}
		windows++
		wait := 0.0 // ms
		for phi := 1; phi < len(silence); phi++ {
			for h.phi(a, h.last+int64(wait*1e6)) < float64(phi) {
				wait += 0.1
			}
			silence[phi] += wait
		}
	}
	for phi, at := range []float64{1: 125.6, 146.5, 161.8, 174.4} {
		if phi == 0 {
			continue
		}
		rows := []experiments.Row{{
			ID: "E11", What: fmt.Sprintf("beats of 100 ms, deviation 20: silence until phi %d", phi), Source: accrualPaper,
			Published: at, Ours: silence[phi] / float64(windows), Tolerance: 0.5, Unit: "ms",
		}}
		want := math.Pow(10, -float64(phi))
		if enough := want*float64(counted) > 2500; enough { // else chance alone is off by more than the tolerance
			rows = append(rows, experiments.Row{
				ID: "E11", What: fmt.Sprintf("beats of 100 ms, deviation 20: mistakes an interval at phi %d", phi), Source: accrualPaper,
				Published: want, Ours: float64(late[phi]) / float64(counted), Tolerance: 0.05 * want,
			})
		}
		experiments.Hold(t, rows...)
	}
}

func TestAccrual(t *testing.T) {
	usual := Accrual{Threshold: 8, MinSigma: 100 * time.Millisecond, Pause: 500 * time.Millisecond}
	every := func(h *rhythm, a Accrual, n int, interval time.Duration) {
		for range n {
			h.beat(a, max(h.last, 1)+int64(interval))
		}
	}
	t.Run("few_beats_are_no_rhythm", func(t *testing.T) {
		var h rhythm
		every(&h, usual, accrualLeast, 200*time.Millisecond)
		if got := h.phi(usual, h.last+int64(time.Hour)); got != 0 {
			t.Errorf("phi %v after %d beats and an hour, want 0", got, accrualLeast)
		}
		every(&h, usual, 1, 200*time.Millisecond)
		if got := h.phi(usual, h.last+int64(time.Hour)); got < 100 {
			t.Errorf("phi %v after one more, want suspicion", got)
		}
	})
	t.Run("even_beats_are_dead_when_the_documentation_says", func(t *testing.T) {
		var h rhythm
		every(&h, usual, 50, 200*time.Millisecond)
		before, after := h.phi(usual, h.last+int64(1255*time.Millisecond)), h.phi(usual, h.last+int64(1265*time.Millisecond))
		if before >= 8 || after < 8 {
			t.Errorf("phi is %v after 1.255 s and %v after 1.265 s, want 8 between", before, after)
		}
	})
	t.Run("what_was_an_outage_is_no_interval", func(t *testing.T) {
		var h rhythm
		every(&h, usual, 50, 200*time.Millisecond)
		every(&h, usual, 1, time.Minute)
		every(&h, usual, 20, 200*time.Millisecond)
		if math.Abs(h.mean-0.2) > 1e-6 {
			t.Errorf("mean %v s after an outage, want 0.2", h.mean)
		}
	})
	t.Run("a_new_pace_is_learnt_within_a_window", func(t *testing.T) {
		var h rhythm
		every(&h, usual, 3*accrualWindow/2, 200*time.Millisecond)
		every(&h, usual, accrualWindow, 400*time.Millisecond)
		if math.Abs(h.mean-0.4) > 1e-6 || h.sigma > 1e-4 {
			t.Errorf("mean %v s, sigma %v s, want 0.4 and 0", h.mean, h.sigma)
		}
	})
	t.Run("a_million_uneven_beats_raise_no_suspicion", func(t *testing.T) {
		var h rhythm
		g := rand.New(rand.NewPCG(11, 2))
		now, most := int64(1), 0.0
		for range 1_000_000 {
			now += int64(200*time.Millisecond) * int64(80+g.IntN(41)) / 100 // give or take a fifth
			most = max(most, h.phi(usual, now))
			h.beat(usual, now)
		}
		if most >= 1 {
			t.Errorf("phi was %v, want next to nothing", most)
		}
	})
}

func TestASilentEndpointIsOutBeforeItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := newLeases(&fakeCache{resident: map[uint64]*lease{}, queued: map[uint64]*lease{}})
		s := settings()
		s.Heartbeat = time.Minute
		s.Accrual = Accrual{Threshold: 8, MinSigma: 100 * time.Millisecond, Pause: 500 * time.Millisecond}
		c := start(t, s, leases)
		c.Apply(live(instance("a"), instance("b")))
		beats := func(n int) {
			for range n {
				time.Sleep(200 * time.Millisecond) // virtual
				if _, err := c.Beat("a", time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		is := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := fmt.Sprint(up(c)); got != want {
				t.Errorf("%s %s are up, want %s", when, got, want)
			}
		}
		beats(20)
		time.Sleep(1200 * time.Millisecond) // virtual
		is("1.2 s after a beat", "[a b]")
		time.Sleep(100*time.Millisecond + reconcileEvery)
		is("1.4 s after a beat", "[b]")
		if got := statusOf(t, c, "a").Evidence.Lease; got != "dead" {
			t.Errorf("its lease is %q, want dead", got)
		}
		beats(1)
		is("with the next beat", "[a b]")
		s.Accrual = Accrual{}
		if err := c.Configure(s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		is("with phi off, 10 s after a beat", "[a b]")
	})
}
