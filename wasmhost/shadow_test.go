package wasmhost_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

func TestShadow(t *testing.T) {
	tab := table(4)
	e := &ejector{}
	tab.Ejector = e
	v := view(tab, 1)
	k := newKeeper(t, "")
	candidate := k.next("e", nil)
	s := wasmhost.NewShadow(k.Policy, candidate.Policy)
	pk, err := s.Build(tab)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(8) {
		r := request(n)
		i := pk.Pick(r, v)
		if i != int(n%4) {
			t.Errorf("request %d went to %d, want the active policy's %d", n, i, n%4)
		}
		if r.Tag != n+1 || r.ShadowTag != n+1 {
			t.Errorf("tags %d and %d, want %d", r.Tag, r.ShadowTag, n+1)
		}
		s.Observe(v, policies.Feedback{Outcome: policies.Outcome{Endpoint: i, Status: 200, Load: -1}, Num: tab.Endpoints[i].Num, Tag: r.Tag, Shadow: r.ShadowTag})
	}
	if e.n != 0 {
		t.Error("the candidate ejected an endpoint")
	}
	s.Advance(k.clock.Load())
	if k.series("tags") != 36 || candidate.series("tags") != 36 {
		t.Errorf("tags add up to %d and %d, want 36", k.series("tags"), candidate.series("tags"))
	}
	r := s.Report()
	if r.Picks != 8 || r.Agreed != 8 || len(r.Shares) != 4 || r.Shares[1] != (wasmhost.ShadowShare{Endpoint: "e001", Active: 2, Candidate: 2}) {
		t.Errorf("%+v", r)
	}

	// A candidate that traps is its own affair.
	m, err := k.host.Load(t.Context(), guest(t, "actor"), wasmhost.Options{Name: "actor", Config: []byte("u"), Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	bad := m.NewPolicy("web", first{}, retryAll)
	l := k.next("", nil)
	s = wasmhost.NewShadow(l.Policy, bad)
	defer s.Close()
	if pk, err = s.Build(tab); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(4) {
		if i := pk.Pick(request(act+n), v); i != int((act+n)%4) {
			t.Errorf("request %d went to %d", n, i)
		}
	}
	if bad.Stats().Failures[wasmhost.FailTrap] == 0 || l.Stats().Picks[wasmhost.Chosen] != 4 {
		t.Errorf("candidate %+v, active %+v", bad.Stats(), l.Stats())
	}
	if r := s.Report(); r.Picks != 4 || r.Agreed > 2 {
		t.Errorf("%+v", r)
	}
}

// TestEndsOfAnswersInTheShadow: each endpoint that the candidate names has one end, whatever the active one answers.
func TestEndsOfAnswersInTheShadow(t *testing.T) {
	tab := table(4)
	v := view(tab, 1)
	for _, c := range []struct {
		active string // what it answers to pick and retry
		ends   int64  // that the candidate hears of before any attempt has ended
	}{{"rr", 0}, {"jr", 1}, {"rS", 1}, {"rd", 1}, {"jj", 2}} {
		k := newKeeper(t, "")
		s := wasmhost.NewShadow(policy(t, actor(t, c.active, wasmhost.Options{Manual: true})), k.Policy)
		pk, err := s.Build(tab)
		if err != nil {
			t.Fatal(err)
		}
		pk.Pick(request(act), v)
		r := request(act)
		r.Attempt, r.Last = 1, policies.Outcome{Endpoint: 3, Class: policies.Refused, Load: -1}
		r.MarkTried(3)
		s.Next(r, v, r.Last)
		s.Advance(k.clock.Load())
		if got := k.series("records"); got != c.ends || k.series("picks") != 2 {
			t.Errorf("active %q: the candidate heard of %d ends of %d answers, want %d of 2", c.active, got, k.series("picks"), c.ends)
		}
	}
}

func TestRehearsal(t *testing.T) {
	k := newKeeper(t, "k")
	tab := table(4)
	v := view(tab, 1)
	pk := build(t, k.Policy, tab)
	for n := range uint64(5) {
		pk.Pick(request(n), v)
	}
	before := k.module.Stats()
	for range 3 {
		h, err := k.Rehearse(tab)
		if err != nil {
			t.Fatal(err)
		}
		r := request(2)
		r.Trace = new(policies.Trace)
		if i := h.Pick(r, v); i != 2 || r.Tag != 6 {
			t.Errorf("the rehearsal picked %d with tag %d, want 2 and 6: it knows what the policy knows", i, r.Tag)
		}
		if d := r.Trace.Decisions; len(d) != 1 || d[0].Result != "ok" || d[0].Answer != 2 || d[0].Endpoint != 2 || d[0].Fuel == 0 || d[0].Policy != "keeper" {
			t.Errorf("%+v", d)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	after := k.module.Stats()
	if before.Picks != after.Picks || k.series("picks") != 5 || k.series("kv") != 15 {
		t.Errorf("the rehearsal changed the policy: %+v, then %+v", before, after)
	}
	r := request(0)
	pk.Pick(r, v)
	if r.Tag != 6 {
		t.Errorf("tag %d, want 6", r.Tag)
	}
}

func TestTrace(t *testing.T) {
	for part, want := range map[string]policies.Decision{
		"d": {Result: "defer", Answer: -1, Endpoint: 0, Fallback: "p2c", Why: "the guest leaves it to the fallback"},
		"j": {Result: "reject", Answer: -2, Endpoint: policies.Rejected},
		"u": {Result: "trap", Endpoint: 0, Fallback: "p2c", Why: "the guest trapped: trap: unreachable in play(i32,i32) i32"},
	} {
		tab := table(1)
		m := actor(t, part, wasmhost.Options{})
		p := m.NewPolicy("web", policies.P2C{}, retryAll)
		r := request(act)
		r.Trace = new(policies.Trace)
		build(t, p, tab).Pick(r, view(tab, 1))
		d := r.Trace.Decisions[0]
		want.Policy, want.Digest, want.Call = "actor", m.Info().SHA256, "pick"
		if d.Nanos <= 0 {
			t.Errorf("%s: took %d ns", part, d.Nanos)
		}
		d.Nanos, d.Fuel = 0, 0
		if d != want {
			t.Errorf("%s: %+v, want %+v", part, d, want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestReplicable: a guest that says it may be has an instance a processor. All of them take every table.
func TestReplicable(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	m, err := newHost(t).Load(t.Context(), guest(t, "p2c"), wasmhost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := policy(t, m)
	var now atomic.Pointer[func(*policies.Request) bool]
	publish := func(n int) {
		tab := table(4 + n%3)
		pk, v := build(t, p, tab), view(tab, uint32(n), n%2)
		now.Store(new(func(r *policies.Request) bool { return v.Usable(pk.Pick(r, v)) }))
	}
	publish(0)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			r := request(0)
			for range 5000 {
				r.Rand++
				if !(*now.Load())(r) {
					t.Error("picked an endpoint that is down")
					return
				}
			}
		})
	}
	all.Go(func() {
		for n := range 100 {
			publish(n)
		}
	})
	all.Wait()
	before := p.Stats().Picks[wasmhost.Chosen]
	for range 4 {
		all.Go(func() {
			r := request(0)
			for range 500 {
				r.Rand++
				(*now.Load())(r)
			}
		})
	}
	all.Wait()
	if s := p.Stats(); s.Instances != 4 || s.Picks[wasmhost.Chosen] != before+2000 || s.Failures != [wasmhost.NumFailures]uint64{} {
		t.Errorf("%+v", s)
	}
}

// TestRehearsalOfAGuestThatCannotBeSaved: a guest that traps over lb_save is made again, as after any trap.
func TestRehearsalOfAGuestThatCannotBeSaved(t *testing.T) {
	k := newKeeper(t, "s")
	tab := table(2)
	build(t, k.Policy, tab)
	h, err := k.Rehearse(tab)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if i := h.Pick(request(1), view(tab, 1)); i != 1 {
		t.Errorf("the rehearsal picked %d, want the guest's 1", i)
	}
	if n := k.failures(wasmhost.FailTrap); n != 1 {
		t.Errorf("%d failures, want 1", n)
	}
	k.Advance(k.clock.Load())
	if n := k.Stats().Recreated; n != 1 {
		t.Errorf("%d instances made again, want 1", n)
	}
}

// TestARehearsalsSaveChangesNothing: what a guest does in lb_save for a rehearsal it does to the rehearsal's copies.
func TestARehearsalsSaveChangesNothing(t *testing.T) {
	k := newKeeper(t, "E") // lb_save ejects endpoint 0
	e := &ejector{}
	tab := table(2)
	tab.Ejector = e
	build(t, k.Policy, tab)
	h, err := k.Rehearse(tab)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if e.n != 0 || k.series("ejection") != 0 {
		t.Errorf("%d ejections, and %d in the series", e.n, k.series("ejection"))
	}
	l := k.next("", nil)
	l.Succeed(k.Policy)
	build(t, l.Policy, tab)
	if e.n != 1 || k.series("ejection") != 1 {
		t.Errorf("a real save made %d ejections, and %d in the series, want 1", e.n, k.series("ejection"))
	}
}
