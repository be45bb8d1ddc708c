package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// TestWeightsByLoadEvenUtilisation closes the loop: endpoints of speeds 1, 2 and 4 (five, three and two of them) report
// how busy they were over the last second, and weighted round robin goes by that. Service times are exponential, load is
// 0.7 of the capacity of all. Shares are to be within 8 % of those of the speeds, and no endpoint more than 10 %
// busier than the average: what the loop may do, and what the draw of the work does. Without weights the slow ones would get 90 % more than their share.
func TestWeightsByLoadEvenUtilisation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, load, total = 100.0, 0.7, 19.0 // requests a second that speed 1 can bear; the sum of speeds
		speeds := []float64{1, 1, 1, 1, 1, 2, 2, 2, 4, 4}
		s := byLoad()
		s.Policy = policies.WeightedRoundRobin{}
		c := start(t, s, nil)
		var in []discovery.Instance
		for i := range speeds {
			in = append(in, instance(fmt.Sprint(i)))
		}
		c.Apply(live(in...))
		g := rand.New(rand.NewPCG(7, 7))
		sent, busy, all := make([]float64, 10), make([]float64, 10), 0.0
		for second := range 60 {
			requests, work := make([]float64, 10), make([]float64, 10)
			for range int(rate * load * total) {
				snap := c.Load()
				r := policies.Request{Rand: g.Uint64(), StickyEP: policies.None}
				i := snap.Picker.Pick(&r, snap.View.For(g.Uint32()))
				if !snap.View.Usable(i) {
					t.Fatalf("picked %d", i)
				}
				requests[i]++
				work[i] += g.ExpFloat64() / (rate * speeds[i])
			}
			for i, e := range c.Load().Endpoints {
				e.Report(policies.LoadReport{Utilisation: work[i], QPS: requests[i]})
				if second >= 10 {
					sent[i] += requests[i]
					busy[i] += work[i]
					all += requests[i]
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		sum := 0.0
		for _, b := range busy {
			sum += b
		}
		// Work is drawn from an exponential distribution, 3,500 times and more: a standard deviation is 1.7 %.
		for i, speed := range speeds {
			if share, fair := sent[i]/all, speed/total; math.Abs(share/fair-1) > 0.08 {
				t.Errorf("endpoint %d of speed %v got %.2f of its fair share", i, speed, share/fair)
			}
			if over := busy[i] / (sum / 10); over > 1.1 {
				t.Errorf("endpoint %d is %.3f times as busy as the average", i, over)
			}
		}
	})
}
