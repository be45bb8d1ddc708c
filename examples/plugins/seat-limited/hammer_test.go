package seatlimited_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// TestNeverMoreAtTheSameTime lets goroutines pick and end as a gateway does, on the real clock: in flight is added after the
// pick, and the end is reported after it is taken off.
func TestNeverMoreAtTheSameTime(t *testing.T) {
	const pickers, served = 8, 400
	seats := []int{3, 5}
	table := fleet(1, nil, seats...)
	view := policytest.View(table, 1)
	p := plugintest.Policy(t, "seat-limited", "")
	pk, err := p.Build(table)
	if err != nil {
		t.Fatal(err)
	}
	var placed [2]atomic.Int64
	var seq, done atomic.Uint64
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range pickers {
		wg.Go(func() {
			<-begin
			for done.Load() < served && t.Context().Err() == nil {
				r := policytest.Request(3, seq.Add(1))
				r.Now = 1e18
				i := pk.Pick(&r, view)
				if i < 0 {
					runtime.Gosched()
					continue
				}
				if n := placed[i].Add(1); n > int64(seats[i]) {
					t.Errorf("endpoint %d has %d requests, want at most %d", i, n, seats[i])
				}
				runtime.Gosched()
				table.Endpoints[i].AddInflight(1)
				runtime.Gosched()
				placed[i].Add(-1)
				table.Endpoints[i].AddInflight(-1)
				p.Observe(view, policies.Feedback{
					Outcome: policies.Outcome{Endpoint: i, Status: 200, Load: -1}, Now: r.Now, Num: table.Endpoints[i].Num, Tag: r.Tag, Instance: r.Instance, Final: true,
				})
				done.Add(1)
			}
		})
	}
	close(begin)
	wg.Wait()
	for i, e := range table.Endpoints {
		if n := e.Inflight(); n != 0 {
			t.Errorf("endpoint %d has %d requests in flight, want none", i, n)
		}
	}
}
