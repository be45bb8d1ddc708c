package wasmhost_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// act is the seq from which on the guest actor plays its part.
const act = 1000

func newHost(t testing.TB) *wasmhost.Host {
	t.Helper()
	h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func guest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// actor loads the guest that plays parts: see testdata/actor.wat.
func actor(t testing.TB, parts string, o wasmhost.Options) *wasmhost.Module {
	t.Helper()
	o.Name, o.Config = "actor", []byte(parts)
	m, err := newHost(t).Load(t.Context(), guest(t, "actor"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// first is a policy that picks the first endpoint which is left: with it one sees who decided.
type first struct{}

func (first) Build(*policies.Table) (policies.Picker, error) { return first{}, nil }

func (first) Pick(r *policies.Request, v *policies.View) int {
	for _, i := range v.Candidates(r) {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

var retryAll = &policies.NextEndpoint{Conditions: policies.Conditions{Classes: 1<<policies.NumClasses - 1, Statuses: []int{503}}}

func policy(t testing.TB, m *wasmhost.Module) *wasmhost.Policy {
	t.Helper()
	p := m.NewPolicy("web", first{}, retryAll)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func table(n int) *policies.Table {
	t := &policies.Table{Gen: 7, Zones: []string{""}}
	for i := range n {
		t.Endpoints = append(t.Endpoints, &policies.Endpoint{
			ID: fmt.Sprintf("e%03d", i), Num: uint32(i + 1), Name: fmt.Sprintf("e%03d", i), Weight: 1,
			Meta: []policies.Pair{{Key: "v", Value: strings.Repeat("x", i)}}, State: policies.NewState(policies.Up),
		})
	}
	return t
}

func view(t *policies.Table, gen uint32, down ...int) *policies.View {
	return policies.NewView(t, gen, false, func(i int) bool {
		return !slices.Contains(down, i)
	})
}

func build(t testing.TB, p *wasmhost.Policy, tab *policies.Table) policies.Picker {
	t.Helper()
	pk, err := p.Build(tab)
	if err != nil {
		t.Fatal(err)
	}
	return pk
}

func request(seq uint64) *policies.Request {
	return &policies.Request{
		Now: 5e9, Rand: seq*0x9e3779b97f4a7c15 + 1, Seq: seq, Method: policies.MethodGet, StickyEP: policies.None, ContentLength: -1,
		Flags: policies.Idempotent | policies.Replayable, Last: policies.Outcome{Endpoint: policies.None},
	}
}

// eventually waits until ok, for a limited time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestPicker(t *testing.T) {
	t.Run("the honest guest does round robin by seq", func(t *testing.T) {
		tab := table(4)
		p := policy(t, actor(t, "rr", wasmhost.Options{}))
		pk, v := build(t, p, tab), view(tab, 1)
		for seq := range uint64(20) {
			if i := pk.Pick(request(seq), v); i != int(seq%4) {
				t.Fatalf("pick %d: %d, want %d", seq, i, seq%4)
			}
		}
		s := p.Stats()
		if s.Picks[wasmhost.Chosen] != 20 || s.Fuel.Count() != 20 || s.Fuel.Sum == 0 || s.Instances != 1 {
			t.Errorf("stats %+v", s)
		}
	})
	t.Run("a new view is seen at the next pick, without lb_endpoints", func(t *testing.T) {
		tab := table(4)
		pk := build(t, policy(t, actor(t, "rr", wasmhost.Options{})), tab)
		old, now := view(tab, 1), view(tab, 2, 1)
		for _, c := range []struct {
			v    *policies.View
			seq  uint64
			want int
		}{{old, 1, 1}, {now, 1, 2}, {now, 2, 3}, {old, 1, 1}, {now, 0, 0}} {
			if i := pk.Pick(request(c.seq), c.v); i != c.want {
				t.Errorf("view %d, seq %d: %d, want %d", c.v.Gen, c.seq, i, c.want)
			}
		}
	})
	t.Run("a new table is seen at once, and requests that hold the old one are answered natively", func(t *testing.T) {
		p := policy(t, actor(t, "rr", wasmhost.Options{}))
		small, big := table(3), table(40)
		before := build(t, p, small)
		after := build(t, p, big)
		if i := after.Pick(request(39), view(big, 2)); i != 39 {
			t.Errorf("in the new table: %d, want 39", i)
		}
		if i := before.Pick(request(2), view(small, 1)); i != 0 {
			t.Errorf("in the old table: %d, want 0, which is the native answer", i)
		}
		if n := p.Stats().Picks[wasmhost.Outdated]; n != 1 {
			t.Errorf("%d picks counted as outdated, want 1", n)
		}
	})
	t.Run("endpoints that were tried are left out", func(t *testing.T) {
		tab := table(3)
		pk := build(t, policy(t, actor(t, "rr", wasmhost.Options{})), tab)
		r := request(0)
		for _, want := range []int{0, 1, 2, policies.None} {
			i := pk.Pick(r, view(tab, 1))
			if i != want {
				t.Fatalf("attempt %d: %d, want %d", r.Attempt, i, want)
			}
			r.MarkTried(uint32(i))
			r.Attempt++
		}
	})
	t.Run("an endpoint that was tried is stale", func(t *testing.T) {
		tab := table(3)
		p := policy(t, actor(t, "z", wasmhost.Options{}))
		r := request(act)
		r.MarkTried(0)
		if i := build(t, p, tab).Pick(r, view(tab, 1)); i != 1 || p.Stats().Picks[wasmhost.Stale] != 1 {
			t.Errorf("picked %d, %v", i, p.Stats().Picks)
		}
	})
	t.Run("a host function costs by the length of what it reads", func(t *testing.T) {
		tab := table(3)
		p := policy(t, actor(t, "H", wasmhost.Options{}))
		build(t, p, tab).Pick(request(act), view(tab, 1))
		if used := p.Stats().Fuel.Sum; used < 65536>>2+100 {
			t.Errorf("%d fuel for a hash of 64 KiB, want at least %d", used, 65536>>2+100)
		}
	})
	t.Run("no endpoints at all", func(t *testing.T) {
		tab := table(0)
		pk := build(t, policy(t, actor(t, "rr", wasmhost.Options{})), tab)
		if i := pk.Pick(request(0), view(tab, 1)); i != policies.None {
			t.Errorf("%d, want None", i)
		}
	})
	t.Run("after Close the native policy answers", func(t *testing.T) {
		tab := table(3)
		p := policy(t, actor(t, "rr", wasmhost.Options{}))
		pk := build(t, p, tab)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if i := pk.Pick(request(2), view(tab, 1)); i != 0 {
			t.Errorf("%d, want 0", i)
		}
	})
	t.Run("what the guest asks for beside the endpoint arrives", func(t *testing.T) {
		tab := table(3)
		pk := build(t, policy(t, actor(t, "o", wasmhost.Options{})), tab)
		r := request(act)
		pk.Pick(r, view(tab, 1))
		if r.Timeout != 250*time.Millisecond || r.Hedge != 20*time.Millisecond || r.Tag != 0x1122334455667788 || r.Reason != 42 || !r.SetSticky || !r.NoRetry {
			t.Errorf("got %+v", r)
		}
		r.Seq = 1
		pk.Pick(r, view(tab, 1))
		if r.Timeout != 0 || r.Hedge != 0 || r.Tag != 0 || r.Reason != 0 || r.SetSticky || r.NoRetry {
			t.Errorf("the answers of one pick are there after the next: %+v", r)
		}
	})
}

// TestAnswers: what each answer of lb_pick leads to, in a table of 4 of which endpoint 0 is down: natively it is 1.
func TestAnswers(t *testing.T) {
	for part, c := range map[string]struct {
		name    string
		want    int
		result  wasmhost.Result
		failure wasmhost.Failure // NumFailures: none
	}{
		"d": {"DEFER", 1, wasmhost.Deferred, wasmhost.NumFailures},
		"j": {"REJECT", policies.Rejected, wasmhost.Refused, wasmhost.NumFailures},
		"J": {"REJECT with status 200", 1, wasmhost.BadReturn, wasmhost.FailBadReturn},
		"L": {"LIST", 2, wasmhost.Listed, wasmhost.NumFailures},
		"M": {"LIST of nine", 1, wasmhost.BadReturn, wasmhost.FailBadReturn},
		"N": {"LIST of garbage", 1, wasmhost.BadIndex, wasmhost.FailBadIndex},
		"S": {"STOP, which is for retry alone", 1, wasmhost.BadReturn, wasmhost.FailBadReturn},
		"n": {"-77", 1, wasmhost.BadReturn, wasmhost.FailBadReturn},
		"i": {"index 10^6", 1, wasmhost.BadIndex, wasmhost.FailBadIndex},
		"z": {"an endpoint that is down", 1, wasmhost.Stale, wasmhost.NumFailures},
		"l": {"an endless loop", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"R": {"endless recursion", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"u": {"unreachable", 1, wasmhost.Trapped, wasmhost.FailTrap},
		"g": {"growing for ever", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"G": {"growing by 4 G pages", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"h": {"hashing for ever", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"f": {"flooding the log", 1, wasmhost.OutOfFuel, wasmhost.FailFuel},
		"p": {"a pointer outside memory for a host function", 1, wasmhost.Trapped, wasmhost.FailTrap},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := table(4)
			p := policy(t, actor(t, part, wasmhost.Options{}))
			pk := build(t, p, tab)
			r := request(act)
			if i := pk.Pick(r, view(tab, 1, 0)); i != c.want {
				t.Errorf("picked %d, want %d", i, c.want)
			}
			s := p.Stats()
			if s.Picks[c.result] != 1 {
				t.Errorf("picks %v, want one %v", s.Picks, c.result)
			}
			for f, n := range s.Failures {
				if want := wasmhost.Failure(f) == c.failure; (n == 1) != want || n > 1 {
					t.Errorf("%d failures of class %v", n, wasmhost.Failure(f))
				}
			}
			switch part {
			case "j":
				if r.RejectStatus != 429 {
					t.Errorf("status %d, want 429", r.RejectStatus)
				}
			case "L":
				if r.NList != 1 || r.List[0] != 1 {
					t.Errorf("rest of the list %v, want [1]: 99 is not there", r.List[:r.NList])
				}
			}
			if c.failure == wasmhost.FailTrap || c.failure == wasmhost.FailFuel {
				eventually(t, "a new instance", func() bool { return p.Stats().Recreated == 1 })
				if i := pk.Pick(request(2), view(tab, 1)); i != 2 {
					t.Errorf("the new instance picked %d, want 2", i)
				}
			}
		})
	}
	t.Run("on_error reject answers 503", func(t *testing.T) {
		tab := table(4)
		pk := build(t, policy(t, actor(t, "u", wasmhost.Options{OnError: wasmhost.Reject})), tab)
		r := request(act)
		if i := pk.Pick(r, view(tab, 1)); i != policies.Rejected || r.RejectStatus != 503 {
			t.Errorf("picked %d with status %d, want Rejected with 503", i, r.RejectStatus)
		}
	})
	t.Run("a guest that scribbles over its table harms only itself", func(t *testing.T) {
		tab := table(4)
		p := policy(t, actor(t, "w", wasmhost.Options{}))
		pk := build(t, p, tab)
		honest := 0
		for seq := range uint64(100) {
			i := pk.Pick(request(act+seq), view(tab, 1))
			if i < 0 || i > 3 {
				t.Fatalf("picked %d", i)
			}
			if i == int((act+seq)%4) {
				honest++
			}
		}
		if honest == 100 {
			t.Error("it picks as if its table were whole: the part is not played")
		}
	})
	t.Run("memory that grows in a pick stays bound", func(t *testing.T) {
		tab := table(4)
		p := policy(t, actor(t, "B", wasmhost.Options{}))
		pk := build(t, p, tab)
		for seq := range uint64(200) { // beyond the limit of 64 pages, where memory.grow answers -1
			if i := pk.Pick(request(act+seq), view(tab, uint32(seq+1))); i != int((act+seq)%4) {
				t.Fatalf("pick %d: %d, stats %+v", seq, i, p.Stats())
			}
		}
	})
}

// lines counts log records.
type lines struct {
	slog.Handler
	n *atomic.Int64
}

func (l lines) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "X-User" {
		l.n.Add(1)
	}
	return nil
}

func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func TestLogIsRateLimited(t *testing.T) {
	var n atomic.Int64
	h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(lines{slog.NewTextHandler(io.Discard, nil), &n})})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m, err := h.Load(t.Context(), guest(t, "actor"), wasmhost.Options{Config: []byte("f"), Now: func() int64 { return 5e9 }})
	if err != nil {
		t.Fatal(err)
	}
	p := m.NewPolicy("web", first{}, retryAll)
	defer p.Close()
	tab := table(3)
	build(t, p, tab).Pick(request(act), view(tab, 1))
	if got := n.Load(); got != 20 {
		t.Errorf("%d lines in a second, want 20", got)
	}
}
