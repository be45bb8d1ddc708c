package policytest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/weir-lb/weir/policies"
)

// hammer lets goroutines pick while one swaps tables and views, as a cluster does: each request holds the snapshot it
// loaded. In the end every request was answered by the laws and nothing is in flight.
func hammer(t *trial) {
	const pickers, picks = 8, 2000
	type snapshot struct {
		view   *policies.View
		picker policies.Picker
	}
	p := t.policy()
	g := rand.New(rand.NewPCG(seed, 3))
	states := make([]*policies.State, 6)
	for i := range states {
		states[i] = policies.NewState(policies.Up)
	}
	var viewGen uint32
	table := func(gen uint32) *policies.Table {
		endpoints := Weights(5, 1, 2, 40000, 7, 1)[:4+g.IntN(3)]
		for i := range endpoints {
			endpoints[i].State = states[i]
			endpoints[i].Tier = uint8(i % 2)
		}
		return t.table(gen, endpoints...)
	}
	view := func(t *policies.Table) *policies.View {
		viewGen++
		return anyView(g, t, viewGen)
	}
	newest := table(1)
	var current atomic.Pointer[snapshot]
	current.Store(&snapshot{view(newest), t.picker(p, newest)})

	var seq, answered atomic.Uint64
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range pickers {
		wg.Go(func() {
			<-begin
			for range picks {
				s := current.Load()
				r := Request(seed, seq.Add(1))
				for range 3 {
					i := s.picker.Pick(&r, s.view)
					if f, want := t.judge(&r, s.view, i); f != nothing {
						t.errorf("up %v, tried %v: picked %s, want %s", s.view.Up, r.Tried[:r.NTried], answer(i), want)
						return
					}
					if i < 0 {
						break
					}
					e := s.view.Table.Endpoints[i]
					e.AddInflight(1)
					e.AddInflight(-1)
					r.MarkTried(uint32(i))
					r.Attempt++
				}
				answered.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	close(begin)
	for gen := uint32(2); ; gen++ {
		s := *current.Load()
		if gen%8 == 0 {
			newest = table(gen)
			s.picker = t.picker(p, newest)
		}
		s.view = view(newest)
		current.Store(&s)
		select {
		case <-done:
			if n := answered.Load(); n != pickers*picks && !t.failed() {
				t.errorf("%d requests were answered, want %d", n, pickers*picks)
			}
			for i, s := range states {
				if n := s.Inflight(); n != 0 {
					t.errorf("endpoint %d has %d requests in flight, want 0", i, n)
				}
			}
			return
		default:
		}
	}
}
