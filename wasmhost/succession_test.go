package wasmhost_test

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// TestTrial: what a guest does beside its picks counts in the trial too.
func TestTrial(t *testing.T) {
	tab := table(4)
	v := view(tab, 1)
	for fault, what := range map[string]string{"f": "outcomes", "t": "a tick"} {
		t.Run("a guest that fails over "+what+" is not healed", func(t *testing.T) {
			k := newKeeper(t, fault)
			pk := build(t, k.Policy, tab)
			fail := func() {
				k.end(request(1), v, 1, policies.Outcome{Status: 200, Load: -1})
				k.Advance(k.clock.Add(int64(100 * time.Millisecond)))
			}
			for range 5 {
				fail()
			}
			if !k.Stats().Quarantined {
				t.Fatalf("after 5 failures: %+v", k.Stats())
			}
			fail()
			for back := time.Second; back <= 4*time.Second; back *= 2 {
				k.Advance(k.clock.Add(int64(back))) // an instance for the trial
				for n := range uint64(100) {
					pk.Pick(request(n), v)
				}
				before := k.happened(wasmhost.EventQuarantined)
				fail()
				if got := k.happened(wasmhost.EventQuarantined); got != before+1 {
					t.Errorf("after %v: quarantined %d times, want %d", back, got, before+1)
				}
			}
		})
	}
}

// TestAGuestInQuarantineHearsOn: what it counts is right when its trial begins, if a wrong answer brought it there.
func TestAGuestInQuarantineHearsOn(t *testing.T) {
	k := newKeeper(t, "i")
	tab := table(4)
	pk, v := build(t, k.Policy, tab), view(tab, 1)
	for n := range uint64(64 + 5) {
		pk.Pick(request(n), v)
	}
	if s := k.Stats(); !s.Quarantined || s.Instances != 1 {
		t.Fatalf("after 5 wrong answers: %+v", s)
	}
	k.end(request(1), v, 1, policies.Outcome{Status: 200, Load: -1})
	k.Advance(k.clock.Add(int64(100 * time.Millisecond)))
	if records, ticks := k.series("records"), k.series("ticks"); records != 1 || ticks != 1 {
		t.Errorf("it heard of %d outcomes and %d ticks, want 1 and 1", records, ticks)
	}
}

// TestFewerInstances: a version that is not REPLICABLE follows one that is.
func TestFewerInstances(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	h := newHost(t)
	load := func(name string, old *wasmhost.Module) *wasmhost.Module {
		m, err := h.Load(t.Context(), guest(t, name), wasmhost.Options{Name: "web", Inherit: old})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	tab := table(4)
	v := view(tab, 1)
	many := load("p2c", nil)
	old := policy(t, many)
	pk := build(t, old, tab)
	if n := old.Stats().Instances; n != 4 {
		t.Fatalf("%d instances, want 4", n)
	}
	p := policy(t, load("keeper", many))
	p.Succeed(old)
	build(t, p, tab)
	for k := range uint32(4) {
		r := request(2)
		r.Instance = k
		if i := pk.Pick(r, v); i != 0 {
			t.Errorf("instance %d of the old version picked %d, want its fallback's 0", k, i)
		}
	}
	if s := old.Stats(); s.Instances != 0 || s.Picks[wasmhost.Outdated] != 4 {
		t.Errorf("the old version has %d instances and %d picks were outdated, want 0 and 4", s.Instances, s.Picks[wasmhost.Outdated])
	}
}

// TestNoModuleHoldsTheOneBefore: a gateway that swaps modules every minute keeps two.
func TestNoModuleHoldsTheOneBefore(t *testing.T) {
	h := newHost(t)
	var old *wasmhost.Module
	var first weak.Pointer[wasmhost.Module]
	for range 2 {
		m, err := h.Load(t.Context(), guest(t, "keeper"), wasmhost.Options{Name: "keeper", Inherit: old})
		if err != nil {
			t.Fatal(err)
		}
		if old != nil {
			first = weak.Make(old)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
		}
		old = m
	}
	eventually(t, "the first module to be collected", func() bool {
		runtime.GC()
		return first.Value() == nil
	})
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}
