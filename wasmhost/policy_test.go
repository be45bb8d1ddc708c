package wasmhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

func TestMain(m *testing.M) {
	if os.Getenv(compileOnly) != "" {
		compileStdin()
	}
	goleak.VerifyTestMain(m)
}

func TestNext(t *testing.T) {
	refused := policies.Outcome{Endpoint: 0, Class: policies.Refused}
	for _, c := range []struct {
		name  string
		parts string
		r     func(*policies.Request)
		o     policies.Outcome
		want  policies.Verdict
	}{
		{"the guest names the next endpoint", "rr", nil, refused, policies.Verdict{Action: policies.Retry, Endpoint: 1}},
		{"DEFER leaves it to the cluster's failover", "rd", nil, refused, policies.Verdict{Action: policies.Retry, Endpoint: policies.None}},
		{"STOP ends it", "rS", nil, refused, policies.Verdict{}},
		{"REJECT ends it with a status", "rj", nil, refused, policies.Verdict{Action: policies.Reject}},
		{"a trap leaves it to the cluster's failover", "ru", nil, refused, policies.Verdict{Action: policies.Retry, Endpoint: policies.None}},
		{"a list gives its first usable", "rL", nil, refused, policies.Verdict{Action: policies.Retry, Endpoint: 2}},
		{"what is left of a list comes before the guest", "rr", func(r *policies.Request) { r.NList, r.List = 2, [8]uint32{0, 3} }, refused, policies.Verdict{Action: policies.Retry, Endpoint: 3}},
		{"a list is no reason to retry what the route does not", "rS", func(r *policies.Request) { r.NList, r.List = 1, [8]uint32{3} }, policies.Outcome{Class: policies.BadStatus, Status: 500}, policies.Verdict{}},
		{"NO_RETRY holds", "rr", func(r *policies.Request) { r.NoRetry = true }, refused, policies.Verdict{}},
		{"a good answer is no failure", "rr", nil, policies.Outcome{Class: policies.OK, Status: 404}, policies.Verdict{}},
		{"a status that the route retries is one", "rr", nil, policies.Outcome{Class: policies.OK, Status: 503}, policies.Verdict{Action: policies.Retry, Endpoint: 1}},
		{"a client that went away is not retried", "rr", nil, policies.Outcome{Class: policies.Cancelled}, policies.Verdict{Action: policies.Retry, Endpoint: policies.None}},
		{"a POST that may have arrived is not sent again", "rr", func(r *policies.Request) { r.Flags = policies.Replayable }, policies.Outcome{Class: policies.Reset, Sent: true}, policies.Verdict{}},
		{"a POST of which no byte was sent is", "rr", func(r *policies.Request) { r.Flags = policies.Replayable }, refused, policies.Verdict{Action: policies.Retry, Endpoint: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := table(4)
			p := policy(t, actor(t, c.parts, wasmhost.Options{}))
			build(t, p, tab)
			r := request(act)
			r.MarkTried(0)
			r.Attempt, r.Last = 1, c.o
			if c.r != nil {
				c.r(r)
			}
			if v := p.Next(r, view(tab, 1), c.o); v != c.want {
				t.Errorf("%+v, want %+v", v, c.want)
			}
			if c.want.Action == policies.Reject && r.RejectStatus != 429 {
				t.Errorf("status %d, want 429", r.RejectStatus)
			}
		})
	}
}

func TestEndpointsThatTheGuestCannotServe(t *testing.T) {
	for part, what := range map[string]string{"u": "a trap", "l": "an endless loop", "n": "a refusal"} {
		t.Run(what, func(t *testing.T) {
			p := policy(t, actor(t, "rr"+part, wasmhost.Options{}))
			big, small := table(6), table(3)
			pk := build(t, p, big)
			if i := pk.Pick(request(2), view(big, 1)); i != 0 {
				t.Errorf("picked %d, want the native answer 0", i)
			}
			if n := p.Stats().Failures[wasmhost.FailEndpoints]; n == 0 {
				t.Error("no failure was counted")
			}
			pk = build(t, p, small)
			eventually(t, "an instance with the table that it can serve", func() bool {
				return pk.Pick(request(2), view(small, 2)) == 2 || p.Stats().Instances == 1
			})
		})
	}
}

// TestQuarantine runs in virtual time.
func TestQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, actor(t, "u", wasmhost.Options{}))
		tab := table(4)
		v := view(tab, 1)
		pk := build(t, p, tab)
		seq := uint64(act)
		pick := func(n int) {
			for range n {
				if i := pk.Pick(request(seq), v); i < 0 {
					t.Fatalf("picked %d", i)
				}
				synctest.Wait() // for the new instance
			}
		}
		pick(4)
		if s := p.Stats(); s.Quarantined || s.Recreated != 4 {
			t.Fatalf("after 4 traps: %+v", s)
		}
		pick(1)
		if s := p.Stats(); !s.Quarantined || !p.Quarantined() || s.Instances != 0 || s.Failures[wasmhost.FailTrap] != 5 {
			t.Fatalf("after 5 traps in 10 s: %+v", s)
		}
		pick(300)
		if s := p.Stats(); s.Picks[wasmhost.Quarantined] != 300 {
			t.Fatalf("in the first second: %+v", s)
		}
		time.Sleep(time.Second) // virtual
		pick(99)
		if s := p.Stats(); s.Picks[wasmhost.Quarantined] != 399 || s.Instances != 1 {
			t.Fatalf("at the beginning of the trial: %+v", s)
		}
		pick(1) // the hundredth traps
		if s := p.Stats(); s.Failures[wasmhost.FailTrap] != 6 || s.Instances != 0 {
			t.Fatalf("after a trap in the trial: %+v", s)
		}
		time.Sleep(time.Second)
		pick(100)
		if s := p.Stats(); s.Failures[wasmhost.FailTrap] != 6 {
			t.Fatalf("the second back-off is not longer than the first: %+v", s)
		}
		time.Sleep(time.Second)
		seq = 0 // from now on the guest is honest
		pick(100 * 1000)
		if s := p.Stats(); s.Quarantined || s.Failures[wasmhost.FailTrap] != 6 {
			t.Fatalf("after 1,000 clean picks: %+v", s)
		}
		before := p.Stats().Picks[wasmhost.Chosen]
		pick(10)
		if n := p.Stats().Picks[wasmhost.Chosen] - before; n != 10 {
			t.Errorf("%d of 10 picks went to the healed guest", n)
		}
	})
}

func TestAGuestThatCannotBeMadeAgainIsNotTriedInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, actor(t, "rru", wasmhost.Options{}))
		build(t, p, table(6))
		for n, after := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
			time.Sleep(after) // virtual
			synctest.Wait()
			if s := p.Stats(); s.Failures[wasmhost.FailEndpoints] != uint64(2+n) || !s.Quarantined {
				t.Fatalf("after %d back-offs: %+v, want %d failures", n, s, 2+n)
			}
		}
		build(t, p, table(3)) // which it can serve
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if s := p.Stats(); s.Instances != 1 {
			t.Errorf("with a table that it can serve: %+v", s)
		}
	})
}

func TestFiveFailuresInElevenSecondsAreNoQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, actor(t, "i", wasmhost.Options{}))
		tab := table(4)
		pk := build(t, p, tab)
		for seq := range uint64(10) {
			pk.Pick(request(act+seq), view(tab, 1))
			time.Sleep(2600 * time.Millisecond) // virtual
		}
		if s := p.Stats(); s.Quarantined || s.Failures[wasmhost.FailBadIndex] != 10 {
			t.Errorf("stats %+v", s)
		}
	})
}

type attrs struct{}

var text, alice, c1 = []byte("text"), []byte("alice"), []byte("c1")

func (attrs) Attr(policies.Attr) []byte { return text }

func (attrs) Header(name string) ([]byte, bool) { return alice, name == "x-user" }

func (attrs) Cookie(name string) ([]byte, bool) { return c1, name == "v" }

func TestHostFunctions(t *testing.T) {
	m := actor(t, "F", wasmhost.Options{})
	p := policy(t, m)
	tab := table(9)
	pk := build(t, p, tab)
	for n := 1; n <= 3; n++ {
		r := request(act)
		r.Attrs = attrs{}
		pk.Pick(r, view(tab, 1))
		if s := p.Stats(); s.Picks[wasmhost.Chosen] != uint64(n) {
			t.Fatalf("the guest was not content: %+v", s)
		}
		h := func(s string) uint64 {
			d := xxhash.NewWithSeed(7)
			_, _ = d.WriteString(s)
			return d.Sum64()
		}
		if want := h("alice") ^ h("c1"); r.Tag != want {
			t.Errorf("hashes 0x%x, want 0x%x", r.Tag, want)
		}
		if r.Timeout != 1*time.Millisecond { // metadata v of endpoint 1 is one letter
			t.Errorf("ep_meta answered %d, want 1", r.Timeout/time.Millisecond)
		}
		if r.Hedge != time.Duration(n)*time.Millisecond {
			t.Errorf("ctr_add answered %d, want %d", r.Hedge/time.Millisecond, n)
		}
		if r.Reason != 5+100*3+10000 { // "alice", "web", and they are equal
			t.Errorf("header, attr and header_eq come to %d, want 10305", r.Reason)
		}
	}
	if s := m.Stats(); len(s.Series) != 1 || s.Series[0] != (wasmhost.Series{Name: "picks", Value: 6}) {
		t.Errorf("series %+v, want picks = 6", s.Series)
	}
}

func TestStatsOutliveThePolicies(t *testing.T) {
	m := actor(t, "rr", wasmhost.Options{})
	tab := table(3)
	for n := range 3 {
		p := m.NewPolicy(fmt.Sprint(n), first{}, retryAll)
		build(t, p, tab).Pick(request(0), view(tab, 1))
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.Stats(); s.Picks[wasmhost.Chosen] != 3 || s.Instances != 0 {
		t.Errorf("stats %+v, want 3 picks and no instance", s)
	}
}

// TestCompilerAndInterpreterAgree: same picks, same fuel.
func TestCompilerAndInterpreterAgree(t *testing.T) {
	run := func(interpret bool) (picks []int, fuel uint64) {
		h, err := wasmhost.NewHost(wasmhost.HostOptions{Interpret: interpret})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		m, err := h.Load(t.Context(), guest(t, "p2c"), wasmhost.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := m.NewPolicy("web", first{}, retryAll)
		defer p.Close()
		tab := table(16)
		pk, v := build(t, p, tab), view(tab, 1, 3)
		rnd := rand.New(rand.NewPCG(1, 2))
		for seq := range uint64(500) {
			tab.Endpoints[rnd.IntN(16)].Store(policies.ColInflight, rnd.Uint32N(5))
			r := request(seq)
			r.Rand = rnd.Uint64()
			picks = append(picks, pk.Pick(r, v))
		}
		return picks, p.Stats().Fuel.Sum
	}
	a, fa := run(false)
	b, fb := run(true)
	if fmt.Sprint(a) != fmt.Sprint(b) || fa != fb {
		t.Errorf("compiler and interpreter differ: fuel %d and %d\n%v\n%v", fa, fb, a, b)
	}
}

// TestHammer: pickers of changing tables and views, of a guest that traps now and then, from all sides at once.
func TestHammer(t *testing.T) {
	p := policy(t, actor(t, "u", wasmhost.Options{}))
	type out struct {
		pk policies.Picker
		v  *policies.View
	}
	var now atomic.Pointer[out]
	publish := func(n int) {
		tab := table(2 + n%5)
		now.Store(&out{build(t, p, tab), view(tab, uint32(n), n%2)})
	}
	publish(0)
	var picks atomic.Uint64
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 2000 {
				o := now.Load()
				r := request(uint64(n))
				if n%500 == 499 && g == 0 {
					r.Seq = act // traps
				}
				i := o.pk.Pick(r, o.v)
				if !o.v.Usable(i) {
					t.Errorf("picked %d of view %d", i, o.v.Gen)
					return
				}
				picks.Add(1)
				r.MarkTried(uint32(i))
				p.Next(r, o.v, policies.Outcome{Endpoint: i, Class: policies.Refused})
			}
		})
	}
	all.Go(func() {
		for n := range 300 {
			publish(n)
		}
	})
	all.Wait()
	o := now.Load()
	eventually(t, "the guest to serve the last table", func() bool {
		before := p.Stats()
		o.pk.Pick(request(1), o.v)
		after := p.Stats()
		picks.Add(1)
		return after.Picks[wasmhost.Chosen] > before.Picks[wasmhost.Chosen] || after.Quarantined && after.Instances == 1
	})
	s := p.Stats()
	sum := uint64(0)
	for _, n := range s.Picks {
		sum += n
	}
	if sum > 2*picks.Load() || sum < picks.Load() {
		t.Errorf("%d calls counted, want %d picks and at most as many retries", sum, picks.Load())
	}
}

// gate is a log whose lines wait.
type gate struct {
	slog.Handler
	entered, open chan struct{}
}

func (g gate) WithAttrs([]slog.Attr) slog.Handler { return g }

func (g gate) Handle(context.Context, slog.Record) error {
	g.entered <- struct{}{}
	<-g.open
	return nil
}

// TestBusy: while lb_endpoints runs, a pick does not wait for it.
func TestBusy(t *testing.T) {
	g := gate{slog.NewTextHandler(io.Discard, nil), make(chan struct{}), make(chan struct{})}
	h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(g)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m, err := h.Load(t.Context(), guest(t, "actor"), wasmhost.Options{Name: "actor", Config: []byte("rrw")})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := policy(t, m)
	small, big := table(3), table(6)
	pk, v := build(t, p, small), view(small, 1)
	built := make(chan policies.Picker)
	go func() {
		next, err := p.Build(big)
		if err != nil {
			t.Error(err)
		}
		built <- next
	}()
	<-g.entered
	// request 2 goes to endpoint 2 by the guest, to endpoint 0 natively
	if i := pk.Pick(request(2), v); i != 0 {
		t.Errorf("picked %d, want the native 0", i)
	}
	close(g.open)
	next := <-built
	if i := next.Pick(request(2), view(big, 1)); i != 2 {
		t.Errorf("picked %d, want the guest's 2", i)
	}
	if n := p.Stats().Picks[wasmhost.Busy]; n != 1 {
		t.Errorf("%d picks were counted as busy, want 1", n)
	}
}
