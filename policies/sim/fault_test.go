package sim_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
)

// ticking is a policy to which time passes, as to guests.
type ticking struct{ policies.P2C }

func (ticking) Advance(int64) {}

// TestFaultsLeaveNothingBehind: whatever happens to a server, in any order, it serves as before once it is well.
func TestFaultsLeaveNothingBehind(t *testing.T) {
	for _, d := range []sim.Discipline{sim.FIFO, sim.Sharing} {
		for _, abandon := range []bool{false, true} {
			c := sim.Config{
				Seed: 5, Servers: servers(2, sim.Server{Discipline: d}), Service: sim.Exp(time.Millisecond), Arrivals: sim.Poisson(400),
				Until: 20 * time.Second, Timeout: 50 * time.Millisecond, Attempts: 2, Hedge: 20 * time.Millisecond, Abandon: abandon, Slice: time.Second,
				Policy: func(int, func() int64) (policies.Policy, error) { return ticking{}, nil },
			}
			for k, kind := range []sim.FaultKind{sim.Crash, sim.Hang, sim.Fail, sim.Pause, sim.Hang, sim.Crash} {
				at := time.Duration(k+1) * time.Second
				c.Faults = append(c.Faults, sim.Fault{At: at, Kind: kind}, sim.Fault{At: at + 300*time.Millisecond, Kind: sim.Heal})
			}
			c.Faults = append(c.Faults, sim.Fault{At: 7 * time.Second, Kind: sim.Hang}, sim.Fault{At: 8 * time.Second, Kind: sim.Pause}, sim.Fault{At: 9 * time.Second, Kind: sim.Heal})
			r := run(t, c)
			failed, most := 0, 0
			for _, s := range r.Series[12:] {
				failed += s.Failed
				most = max(most, s.Load[0])
				if s.Load[0] < 0 {
					t.Fatalf("discipline %d: a load of %d", d, s.Load[0])
				}
			}
			if failed > 5 || most > 30 || r.Series[2].Failed == r.Series[2].Requests || r.Failed == 0 {
				t.Errorf("discipline %d, abandon %v: %d failed after the last fault, load up to %d; %d in all", d, abandon, failed, most, r.Failed)
			}
			if u := r.Servers[0].Utilisation; u < 0.1 || u > 0.7 {
				t.Errorf("discipline %d, abandon %v: busy %.2f of the time", d, abandon, u)
			}
		}
	}
}
