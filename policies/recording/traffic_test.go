package recording_test

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/policies/recording"
	"github.com/weir-lb/weir/wasmhost"
)

// guest makes a policy of a module, in the time of now.
func guest(t *testing.T, wasm []byte, now func() int64) policies.Policy {
	t.Helper()
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Load(t.Context(), wasm, wasmhost.Options{Name: "it", Manual: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	p := m.NewPolicy("web", policies.RoundRobin{}, &policies.NextEndpoint{Conditions: policies.Conditions{Classes: 1 << policies.Refused}})
	t.Cleanup(func() {
		for _, close := range []func() error{p.Close, m.Close, host.Close} {
			if err := close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// subject makes the policy of that name: a built-in, the module of an example, or learner, in the time of now.
func subject(t *testing.T, name string, now func() int64) policies.Policy {
	t.Helper()
	if p, ok := policies.ByName(name); ok {
		return p
	}
	if name == "learner" {
		wasm, err := os.ReadFile("testdata/learner.wasm")
		if err != nil {
			t.Fatal(err)
		}
		return guest(t, wasm, now)
	}
	folder := strings.TrimSuffix(name, ".wasm")
	wasm, err := plugins.Files.ReadFile(folder + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return guest(t, wasm, now)
}

// traffic plays a cluster: requests of several goroutines while endpoints go up and down, come and go.
type traffic struct {
	policy policies.Policy
	seq    atomic.Uint64
	now    atomic.Pointer[snapshot]
	traps  bool // some requests make learner trap
}

type snapshot struct {
	view   *policies.View
	picker policies.Picker
}

type headers map[string]string

func (h headers) Attr(policies.Attr) []byte           { return []byte("/secret") }
func (h headers) Cookie(string) ([]byte, bool)        { return nil, false }
func (h headers) Header(name string) ([]byte, bool)   { v, ok := h[name]; return []byte(v), ok }
func (tr *traffic) Eject(i int, d time.Duration) bool { return tr.seq.Load()%2 == 0 }

func (tr *traffic) request(g *rand.Rand) policies.Request {
	seq := tr.seq.Add(1)
	r := policytest.Request(7, seq)
	r.Now = time.Now().UnixNano()
	r.ClientIP[15], r.ClientPort, r.PathHash, r.Deadline = byte(seq%3), uint16(g.Uint32()), seq%5, time.Second
	r.Attrs = headers{"x-user": "u" + string(rune('a'+seq%7))}
	if tr.traps && seq%301 == 0 {
		r.Method = policies.MethodTrace
	}
	return r
}

// one sends a request: a pick, now and then retries, and the outcomes.
func (tr *traffic) one(g *rand.Rand) {
	s := tr.now.Load()
	r := tr.request(g)
	i := s.picker.Pick(&r, s.view)
	for i >= 0 {
		e := s.view.Table.Endpoints[i]
		e.AddInflight(1)
		o := policies.Outcome{Endpoint: i, Class: policies.OK, Status: 200, Sent: true, Total: time.Duration(g.IntN(1e6)), Load: -1}
		if g.IntN(4) == 0 {
			o = policies.Outcome{Endpoint: i, Class: policies.Refused, Total: time.Millisecond, Load: -1}
		}
		if ob, ok := tr.policy.(policies.Observer); ok {
			ob.Observe(s.view, policies.Feedback{Outcome: o, Now: time.Now().UnixNano(), Num: e.Num, Tag: r.Tag, Instance: r.Instance, Inflight: e.Inflight(), Attempt: r.Attempt, Final: o.Class == policies.OK})
		}
		e.AddInflight(-1)
		r.MarkTried(uint32(i))
		if r.Attempt++; o.Class == policies.OK || r.Attempt == 4 {
			return
		}
		r.Last, r.Rand = o, g.Uint64()
		f, ok := tr.policy.(policies.Failover)
		if !ok {
			i = s.picker.Pick(&r, s.view)
			continue
		}
		v := f.Next(&r, s.view, o)
		if v.Action != policies.Retry {
			return
		}
		if i = v.Endpoint; i == policies.None {
			r.Rand = g.Uint64()
			i = s.picker.Pick(&r, s.view)
		}
	}
}

// change makes a table, or a view of the one there is, and publishes it.
func (tr *traffic) change(t *testing.T, g *rand.Rand, gen uint32, live []*policies.State) {
	old := tr.now.Load()
	var table *policies.Table
	s := new(snapshot)
	if old == nil || gen%5 == 0 {
		endpoints := policytest.Weights(3, 1, 2, 5, 1, 0)[:3+g.IntN(4)]
		for i := range endpoints {
			endpoints[i].State = live[i]
			endpoints[i].Tier = uint8(i / 5)
			endpoints[i].Meta = []policies.Pair{{Key: "version", Value: "v1"}}
		}
		table = policytest.Table(gen, endpoints...)
		table.Ejector = tr
		pk, err := tr.policy.Build(table)
		if err != nil {
			t.Error(err)
			return
		}
		s.picker = pk
	} else {
		table, s.picker = old.view.Table, old.picker
	}
	s.view = policies.NewView(table, gen, gen%7 == 3, func(i int) bool { return g.IntN(5) > 0 })
	tr.now.Store(s)
}

// run sends n requests from each of four goroutines.
func (tr *traffic) run(t *testing.T, n int) {
	live := make([]*policies.State, 6)
	for i := range live {
		live[i] = policies.NewState(policies.Up)
	}
	g := rand.New(rand.NewPCG(1, 2))
	tr.change(t, g, 1, live)
	var wg sync.WaitGroup
	turn := make(chan struct{})
	for k := range 4 {
		wg.Go(func() {
			g := rand.New(rand.NewPCG(3, uint64(k)))
			for i := range n {
				tr.one(g)
				if i%200 == 0 {
					turn <- struct{}{}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for gen := uint32(2); ; gen++ {
		select {
		case <-done:
			return
		case <-turn:
			tr.change(t, g, gen, live)
		}
	}
}

// record returns a trace of traffic through the policy of that name.
func record(t *testing.T, name string, n int, o recording.Options, traps bool) []byte {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	var file bytes.Buffer
	w := recording.NewWriter(&file, o)
	p := w.Wrap("web", name, "", subject(t, name, w.Now))
	tr := &traffic{policy: p, traps: traps}
	tr.run(t, n)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func replay(t *testing.T, trace []byte, name string) *recording.Report {
	t.Helper()
	var clock recording.Clock
	r, err := recording.Replay(bytes.NewReader(trace), "web", subject(t, name, clock.Now), &clock, 3)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
