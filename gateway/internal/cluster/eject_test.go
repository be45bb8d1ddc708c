package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// four is a cluster of a, b, c and d without outlier detection.
func four(t *testing.T) *Cluster {
	c := start(t, settings(), nil)
	c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d")))
	return c
}

func eject(c *Cluster, i int, d time.Duration) bool { return c.Load().Table.Ejector.Eject(i, d) }

func statusOf(t *testing.T, c *Cluster, id string) EndpointStatus {
	t.Helper()
	for _, e := range c.Status().Endpoints {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("no endpoint %q in the status", id)
	return EndpointStatus{}
}

func TestEject(t *testing.T) {
	// In virtual time: Wait lets the cluster's goroutine do what it was woken for, without a tick.
	try := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	is := func(t *testing.T, c *Cluster, want ...string) {
		t.Helper()
		synctest.Wait()
		if got := up(c); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("up are %v, want %v", got, want)
		}
	}
	try("it_needs_no_lock_and_no_tick_and_ends", func(t *testing.T) {
		c := four(t)
		c.mu.Lock() // as it is during a Build that waits for the guest
		if !eject(c, 1, time.Second) {
			t.Error("refused, want accepted")
		}
		c.mu.Unlock()
		is(t, c, "a", "c", "d")
		if e := statusOf(t, c, "b"); e.Ejections != 1 || e.PolicyEjections != 1 || e.Evidence.EjectedBy != "policy" || time.Until(e.Evidence.EjectedUntil) != time.Second {
			t.Errorf("status %+v, want one ejection by the policy for 1 s", e)
		}
		time.Sleep(time.Second + reconcileEvery)
		is(t, c, "a", "b", "c", "d")
		if e := statusOf(t, c, "b"); e.Evidence.EjectedBy != "" || e.Ejections != 1 {
			t.Errorf("status %+v after the end of it", e)
		}
	})
	try("half_may_be_out", func(t *testing.T) {
		c := four(t)
		got := []bool{eject(c, 0, time.Second), eject(c, 1, time.Second), eject(c, 2, time.Second), eject(c, 1, 2*time.Second)}
		if fmt.Sprint(got) != "[true true false true]" {
			t.Errorf("answers %v, want the third refused: two of four are out", got)
		}
		is(t, c, "c", "d")
		time.Sleep(time.Second + reconcileEvery)
		is(t, c, "a", "c", "d") // b was asked for longer
		if !eject(c, 2, time.Second) {
			t.Error("refused with one of four out")
		}
	})
	try("the_bound_is_that_of_outlier_detection", func(t *testing.T) {
		c := four(t)
		s := settings()
		s.Outlier = Outlier{Consecutive: 5, BaseEjection: time.Minute, MaxEjected: 0.25}
		if err := c.Configure(s); err != nil {
			t.Fatal(err)
		}
		if !eject(c, 0, time.Hour) || eject(c, 1, time.Second) {
			t.Error("want one of four accepted, and no more")
		}
		fail(c.Load().Endpoints[2], 5) // both kinds share the bound
		is(t, c, "b", "c", "d")
		if d := time.Until(statusOf(t, c, "a").Evidence.EjectedUntil); d != MaxEjection {
			t.Errorf("out for %v, want %v at most", d, MaxEjection)
		}
		time.Sleep(MaxEjection + reconcileEvery)
		is(t, c, "a", "b", "d") // its place is free for who failed
	})
	try("somebody_must_serve", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a")))
		if eject(c, 0, time.Second) {
			t.Error("the only endpoint was ejected")
		}
		critical := instance("b")
		critical.Status = discovery.Critical
		c.Apply(live(instance("a"), critical))
		if eject(c, 0, time.Second) {
			t.Error("the only one that is up was ejected")
		}
		c.Apply(live(instance("a"), instance("b")))
		c.mu.Lock()
		accepted := eject(c, 0, time.Second)
		c.endpoints["b"].override = ForceDown // goes down before the cluster comes to it
		c.publishView("operator")
		c.mu.Unlock()
		is(t, c, "a")
		if !accepted {
			t.Error("one of two was refused")
		}
	})
	try("nonsense_is_refused", func(t *testing.T) {
		c := four(t)
		if eject(c, -1, time.Second) || eject(c, 4, time.Second) || eject(c, 0, 0) || eject(c, 0, -time.Second) {
			t.Error("accepted an index out of range, or a time that is none")
		}
		is(t, c, "a", "b", "c", "d")
	})
	try("an_operator_readmits", func(t *testing.T) {
		c := four(t)
		eject(c, 0, time.Minute)
		is(t, c, "b", "c", "d")
		if err := c.SetOverride("a", NoOverride); err != nil {
			t.Fatal(err)
		}
		is(t, c, "a", "b", "c", "d")
		if n := c.out.Load(); n != 0 {
			t.Errorf("%d places taken, want 0", n)
		}
	})
	try("who_leaves_gives_its_place_back", func(t *testing.T) {
		c := four(t)
		old := c.Load().Table.Ejector
		eject(c, 0, time.Minute)
		eject(c, 1, time.Minute)
		c.Apply(live(instance("c"), instance("d")))
		if !eject(c, 0, time.Minute) {
			t.Error("refused, though nobody of this table is out")
		}
		if old.Eject(0, time.Minute) {
			t.Error("an endpoint that left was ejected")
		}
	})
	try("a_table_that_is_refused_takes_no_place", func(t *testing.T) {
		s := settings()
		s.Policy = &rash{}
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b")))
		c.Apply(live(instance("a"), instance("b"), instance("refuse")))
		if n := c.out.Load(); n != 0 {
			t.Errorf("%d places taken, want 0", n)
		}
	})
}

// rash ejects the endpoint called refuse and then refuses the table.
type rash struct{ lowest }

func (p *rash) Build(t *policies.Table) (policies.Picker, error) {
	for i, e := range t.Endpoints {
		if e.ID == "refuse" {
			if !t.Ejector.Eject(i, time.Minute) {
				panic("not ejected")
			}
			return nil, errors.New("refused")
		}
	}
	return p, nil
}

// TestEjectHammer has many guests eject at once while endpoints come and go.
func TestEjectHammer(t *testing.T) {
	s := settings()
	s.Outlier = Outlier{Consecutive: 3, BaseEjection: time.Millisecond, MaxEjected: 0.3}
	c := start(t, s, nil)
	var all []discovery.Instance
	for i := range 10 {
		all = append(all, instance(fmt.Sprint(i)))
	}
	c.Apply(live(all...))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				s := c.Load()
				i := rand.N(len(s.Endpoints))
				if s.Table.Ejector.Eject(i, rand.N(3*time.Millisecond)) && rand.N(4) == 0 {
					fail(s.Endpoints[i], 3)
				}
				if len(c.Load().View.Up) == 0 {
					t.Error("nobody is up")
				}
			}
		})
	}
	for i := range 50 {
		c.Apply(live(all[:6+i%5]...))
		_ = c.SetOverride("1", NoOverride)
	}
	wg.Wait()
	c.Apply(live(all...))
	gatewaytest.Eventually(t, "everybody is back and no place is taken", func() bool {
		return len(c.Load().View.Up) == 10 && c.out.Load() == 0
	})
}

func TestEjectAllocatesNothing(t *testing.T) {
	c := four(t)
	x := c.Load().Table.Ejector
	if n := testing.AllocsPerRun(100, func() { x.Eject(0, time.Minute) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
