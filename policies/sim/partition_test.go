package sim_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

// TestPartition cuts one of two gateways off one of two servers, from 2 s to 6 s. It notices after a second.
func TestPartition(t *testing.T) {
	for _, d := range []sim.Discipline{sim.FIFO, sim.Sharing, sim.Delay} {
		c := sim.Config{
			Seed: 3, Gateways: 2, Servers: servers(2, sim.Server{Discipline: d}), Service: sim.Exp(time.Millisecond), Arrivals: sim.Poisson(1000),
			Until: 10 * time.Second, Timeout: 50 * time.Millisecond, Slice: time.Second, Policy: builtIn(t, "round_robin"),
			Detect: sim.Fixed(time.Second), Recover: sim.Fixed(time.Second),
			Faults: []sim.Fault{
				{At: 2 * time.Second, Server: 1, Gateway: 1, Kind: sim.Cut},
				{At: 6 * time.Second, Server: 1, Gateway: 1, Kind: sim.Mend},
			},
		}
		r := run(t, c)
		for k, s := range r.Series[:10] {
			// A quarter of the requests is one gateway's at one server. Between 3 and 7 s that gateway sends there none.
			want := 0.0
			if k == 2 {
				want = 0.25
			}
			if got := float64(s.Failed) / float64(s.Requests); got < want-0.05 || got > want+0.05 {
				t.Errorf("discipline %d, second %d: %.3f of the requests failed, want %.2f", d, k, got, want)
			}
		}
		if a, b := r.Servers[0].Served, r.Servers[1].Served; float64(b)/float64(a) < 0.6 || float64(b)/float64(a) > 0.72 {
			t.Errorf("discipline %d: %d and %d served, want 5 seconds of 10 in which one has a third of the other", d, a, b)
		}
	}
}
