package wasmhost_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// keeper is the guest that keeps count (testdata/keeper.wat) at work, in virtual time, and what happened to it.
type keeper struct {
	*wasmhost.Policy
	t      testing.TB
	module *wasmhost.Module
	host   *wasmhost.Host
	clock  *atomic.Int64
	mu     *sync.Mutex
	events *[]wasmhost.Event
}

func newKeeper(t testing.TB, faults string) keeper {
	t.Helper()
	k := keeper{t: t, clock: new(atomic.Int64), mu: new(sync.Mutex), events: new([]wasmhost.Event)}
	k.clock.Store(1e9)
	h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Events: func(e wasmhost.Event) {
		k.mu.Lock()
		defer k.mu.Unlock()
		*k.events = append(*k.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	k.host = h
	return k.next(faults, nil)
}

// next is another version of the guest, that inherits from old if there is one, as yet without a table.
func (k keeper) next(faults string, old *wasmhost.Module) keeper {
	k.t.Helper()
	m, err := k.host.Load(k.t.Context(), guest(k.t, "keeper"), wasmhost.Options{
		Name: "keeper", Config: []byte(faults), Manual: true, Now: k.clock.Load, Inherit: old,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = m.Close() })
	k.module, k.Policy = m, policy(k.t, m)
	return k
}

// series returns what the guest counts under name.
func (k keeper) series(name string) int64 {
	k.t.Helper()
	for _, s := range k.module.Stats().Series {
		if strings.TrimSpace(strings.TrimRight(s.Name, "\x00")) == name {
			return s.Value
		}
	}
	k.t.Fatalf("no series %q", name)
	return 0
}

// happened counts events of a kind.
func (k keeper) happened(kind wasmhost.EventKind) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range *k.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (k keeper) failures(f wasmhost.Failure) uint64 { return k.Stats().Failures[f] }

// end tells the policy how an attempt of r at endpoint i ended.
func (k keeper) end(r *policies.Request, v *policies.View, i int, o policies.Outcome) {
	o.Endpoint = i
	k.Observe(v, policies.Feedback{
		Outcome: o, Now: k.clock.Load(), Num: v.Table.Endpoints[i].Num, Tag: r.Tag, Instance: r.Instance, Final: true,
	})
}

func TestFeedback(t *testing.T) {
	good := policies.Outcome{Status: 200, Load: 0.25, FirstByte: time.Millisecond, Total: 2 * time.Millisecond}
	t.Run("comes in a batch, from the 64th outcome", func(t *testing.T) {
		k := newKeeper(t, "")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		for n := range uint64(100) {
			r := request(n)
			k.end(r, v, pk.Pick(r, v), good)
			want := int64(0)
			if n >= 63 {
				want = 64
			}
			if got := k.series("records"); got != want {
				t.Fatalf("after %d outcomes the guest heard of %d, want %d", n+1, got, want)
			}
		}
		k.Advance(k.clock.Load())
		for name, want := range map[string]int64{"records": 100, "tags": 5050, "finals": 100, "load": 25_000, "index": 25 * (0 + 1 + 2 + 3)} {
			if got := k.series(name); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
	})
	t.Run("names endpoints by their index of now", func(t *testing.T) {
		k := newKeeper(t, "")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(3)
		k.end(r, v, pk.Pick(r, v), good) // endpoint 3
		r = request(0)
		k.end(r, v, pk.Pick(r, v), good) // endpoint 0, which goes
		smaller := &policies.Table{Gen: 8, Zones: tab.Zones, Endpoints: tab.Endpoints[1:]}
		build(t, k.Policy, smaller)
		k.Advance(k.clock.Load())
		if got := k.series("index"); got != 2-1 {
			t.Errorf("the indexes add up to %d, want 2 and -1", got)
		}
	})
	t.Run("comes for an endpoint that the guest named in vain", func(t *testing.T) {
		k := newKeeper(t, "")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(2)
		r.MarkTried(2)
		if i := pk.Pick(r, v); i != 0 {
			t.Errorf("picked %d, want the fallback's 0: the guest names 2, which was tried", i)
		}
		k.Advance(k.clock.Load())
		if k.series("records") != 1 || k.series("tags") != 1 || k.series("index") != 2 {
			t.Errorf("%d records, tag %d, index %d, want one of tag 1 for 2", k.series("records"), k.series("tags"), k.series("index"))
		}
	})
	t.Run("that traps costs the instance, not the request", func(t *testing.T) {
		k := newKeeper(t, "f")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(1)
		k.end(r, v, pk.Pick(r, v), good)
		k.Advance(k.clock.Load())
		if n := k.failures(wasmhost.FailFeedback); n != 1 {
			t.Errorf("%d failures, want 1", n)
		}
		k.Advance(k.clock.Load())
		if n := k.Stats().Recreated; n != 1 {
			t.Errorf("%d instances made again, want 1", n)
		}
		if k.happened(wasmhost.EventRecreated) != 1 || k.happened(wasmhost.EventFailed) != 1 {
			t.Errorf("events: %+v", *k.events)
		}
	})
	t.Run("that never ends runs out of fuel", func(t *testing.T) {
		k := newKeeper(t, "F")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(1)
		k.end(r, v, pk.Pick(r, v), good)
		k.Advance(k.clock.Load())
		if s := k.Stats(); s.Failures[wasmhost.FailFeedback] != 1 || !strings.Contains(s.LastFailure, "fuel") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("that the guest does not hear of in time is counted", func(t *testing.T) {
		k := newKeeper(t, "")
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(1)
		i := pk.Pick(r, v)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			k.end(r, v, i, good)
		}
		if got := k.Stats().Unheard; got != 4*64 {
			t.Errorf("%d outcomes unheard, want the 4 batches of 64 that were full", got)
		}
	})
	t.Run("comes within 10 ms by itself unless the module is manual", func(t *testing.T) {
		h := newHost(t)
		m, err := h.Load(t.Context(), guest(t, "keeper"), wasmhost.Options{Name: "keeper"})
		if err != nil {
			t.Fatal(err)
		}
		k := keeper{t: t, module: m, Policy: policy(t, m), clock: new(atomic.Int64)}
		t.Cleanup(func() { _ = m.Close() })
		tab := table(4)
		pk, v := build(t, k.Policy, tab), view(tab, 1)
		r := request(1)
		k.end(r, v, pk.Pick(r, v), good)
		eventually(t, "the guest hears of it", func() bool { return k.series("records") == 1 })
		eventually(t, "a tick", func() bool { return k.series("ticks") > 0 })
	})
}

func TestTick(t *testing.T) {
	tab := table(3)
	t.Run("comes when it is due, never sooner than after 100 ms", func(t *testing.T) {
		k := newKeeper(t, "") // asks for 1 ms
		build(t, k.Policy, tab)
		for _, c := range []struct {
			ms   int64
			want int64
		}{{0, 0}, {99, 0}, {100, 1}, {150, 1}, {199, 1}, {200, 2}, {1000, 3}, {1001, 3}} {
			k.clock.Store(1e9 + c.ms*1e6)
			k.Advance(k.clock.Load())
			if got := k.series("ticks"); got != c.want {
				t.Errorf("after %d ms: %d ticks, want %d", c.ms, got, c.want)
			}
		}
	})
	t.Run("does not come to a guest that did not ask", func(t *testing.T) {
		k := newKeeper(t, "N")
		build(t, k.Policy, tab)
		k.Advance(k.clock.Add(1e12))
		if got := k.series("ticks"); got != 0 {
			t.Errorf("%d ticks", got)
		}
	})
	for fault, what := range map[string]string{"t": "traps", "T": "never ends"} {
		t.Run("that "+what+" costs the instance", func(t *testing.T) {
			k := newKeeper(t, fault)
			build(t, k.Policy, tab)
			k.Advance(k.clock.Add(1e9))
			if n := k.failures(wasmhost.FailTick); n != 1 {
				t.Errorf("%d failures, want 1", n)
			}
			k.Advance(k.clock.Load())
			if n := k.Stats().Recreated; n != 1 {
				t.Errorf("%d instances made again, want 1", n)
			}
		})
	}
}

func TestState(t *testing.T) {
	tab := table(4)
	v := view(tab, 1)
	use := func(k keeper, pk policies.Picker, n int) {
		for i := range n {
			pk.Pick(request(uint64(i)), v)
		}
	}
	t.Run("goes from the old version to the new", func(t *testing.T) {
		k := newKeeper(t, "")
		pk := build(t, k.Policy, tab)
		use(k, pk, 7)
		l := k.next("", k.module)
		l.Succeed(k.Policy)
		build(t, l.Policy, tab)
		if got := l.series("restored"); got != 7 {
			t.Errorf("restored %d picks, want 7", got)
		}
		if got := l.series("picks"); got != 7 {
			t.Errorf("the series went on from %d, want 7", got)
		}
		if k.happened(wasmhost.EventRestored) != 1 {
			t.Errorf("events: %+v", *k.events)
		}
		if i := pk.Pick(request(2), v); i != 0 {
			t.Errorf("the old version picked %d, want its fallback's 0: nobody would remember", i)
		}
		if n := k.Stats().Picks[wasmhost.Outdated]; n != 1 {
			t.Errorf("%d picks of the old version were outdated, want 1", n)
		}
	})
	t.Run("takes outcomes of requests along that began with the old version", func(t *testing.T) {
		k := newKeeper(t, "")
		pk := build(t, k.Policy, tab)
		r := request(1)
		i := pk.Pick(r, v)
		l := k.next("", nil)
		l.Succeed(k.Policy)
		build(t, l.Policy, tab)
		m := l.next("", nil)
		m.Succeed(l.Policy)
		build(t, m.Policy, tab)
		k.end(r, v, i, policies.Outcome{Status: 200, Load: -1})
		k.Advance(k.clock.Load())
		m.Advance(k.clock.Load())
		if got := m.series("records"); got != 1 || k.series("records") != 0 {
			t.Errorf("the newest version heard of %d outcomes, the oldest of %d, want 1 and 0", got, k.series("records"))
		}
	})
	for _, c := range []struct{ name, old, next string }{
		{"lb_save traps", "s", ""}, {"lb_save never ends", "S", ""}, {"lb_restore traps", "", "r"}, {"lb_restore refuses", "", "R"},
	} {
		t.Run(c.name+": the new version begins without", func(t *testing.T) {
			k := newKeeper(t, c.old)
			use(k, build(t, k.Policy, tab), 7)
			l := k.next(c.next, nil)
			l.Succeed(k.Policy)
			pk := build(t, l.Policy, tab)
			if k.happened(wasmhost.EventRestoreRefused) != 1 {
				t.Errorf("events: %+v", *k.events)
			}
			if i := pk.Pick(request(2), v); i != 2 || l.Stats().Picks[wasmhost.Chosen] != 1 {
				t.Errorf("picked %d, want the guest's 2 (%+v)", i, l.Stats())
			}
		})
	}
}

// TestManySuccessions: a counter that lives in guest memory alone survives 100 versions under load.
func TestManySuccessions(t *testing.T) {
	k := newKeeper(t, "")
	tab := table(4)
	v := view(tab, 1)
	var now atomic.Pointer[policies.Picker]
	pk := build(t, k.Policy, tab)
	now.Store(&pk)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			r := request(0)
			for {
				select {
				case <-stop:
					return
				default:
					r.Seq++
					(*now.Load()).Pick(r, v)
				}
			}
		})
	}
	all := []keeper{k}
	for range 100 {
		l := all[len(all)-1].next("", all[len(all)-1].module)
		l.Succeed(all[len(all)-1].Policy)
		pk := build(t, l.Policy, tab)
		now.Store(&pk)
		all = append(all, l)
	}
	close(stop)
	wg.Wait()
	var answered uint64
	for _, k := range all {
		answered += k.Stats().Picks[wasmhost.Chosen]
	}
	last := all[len(all)-1]
	r := request(0)
	pk.Pick(r, v)
	pk, v = build(t, last.Policy, tab), view(tab, 2)
	pk.Pick(r, v)
	if r.Tag != answered+1 || uint64(last.series("picks")) != answered+1 {
		t.Errorf("the guest counts %d picks in its memory and %d in its series, want %d", r.Tag, last.series("picks"), answered+1)
	}
}

func TestStore(t *testing.T) {
	k := newKeeper(t, "k")
	tab := table(2)
	pk, v := build(t, k.Policy, tab), view(tab, 1)
	pick := func(ms int64) {
		k.clock.Store(1e9 + ms*1e6)
		r := request(0)
		r.Now = k.clock.Load()
		pk.Pick(r, v)
	}
	pick(0)
	pick(10)
	pick(900)  // 1 + 2 + 3
	pick(1900) // the entry of 900 ended: 1
	if got := k.series("kv"); got != 1+2+3+1 {
		t.Errorf("the sum is %d, want 7 (%+v)", got, k.Stats())
	}
	l := k.next("k", k.module)
	pk = build(t, l.Policy, tab)
	pick(1950)
	if got := l.series("kv"); got != 7+2 {
		t.Errorf("the next version's sum is %d, want 9: the store is the policy's", got)
	}
}

// ejector counts what a policy asks to be ejected.
type ejector struct {
	n    int
	full bool
}

func (e *ejector) Eject(i int, d time.Duration) bool {
	if i != 0 || d != time.Second {
		panic(fmt.Sprintf("eject(%d, %v), want endpoint 0 for 1 s", i, d))
	}
	e.n++
	return !e.full
}

func TestEject(t *testing.T) {
	k := newKeeper(t, "e")
	e := &ejector{}
	tab := table(2)
	tab.Ejector = e
	pk, v := build(t, k.Policy, tab), view(tab, 1)
	pk.Pick(request(0), v)
	e.full = true
	pk.Pick(request(1), v)
	if got := k.series("ejection"); got != 1 || e.n != 2 {
		t.Errorf("%d of %d ejections were granted, want 1 of 2", got, e.n)
	}
	if s := k.Stats(); s.Picks[wasmhost.Chosen] != 2 {
		t.Errorf("%+v", s)
	}
}
