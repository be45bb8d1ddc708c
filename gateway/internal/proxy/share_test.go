package proxy

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/policies"
)

// Endpoints say in their responses how busy they are; weighted round robin follows.
func TestRequestsFollowReportedLoad(t *testing.T) {
	var es []*gatewaytest.Endpoint
	speeds := []float64{1, 2, 4}
	for _, s := range speeds { // each is as busy as the others when it has its share
		es = append(es, gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "ok", fmt.Sprintf("Endpoint-Load-Metrics: TEXT cpu_utilization=0.5, rps=%v", 50*s))))
	}
	g := start(t, options{policy: policies.WeightedRoundRobin{}, settings: func(s *cluster.Settings) {
		s.Load = &policies.LoadWeights{Blackout: time.Millisecond, Expiration: time.Minute, Penalty: 1}
	}}, es...)
	c := g.dial()
	gatewaytest.Eventually(t, "weights of 1 to 2 to 4", func() bool {
		c.Get("/")
		w := g.cluster.Status().Endpoints
		return math.Abs(w[1].Effective/w[0].Effective-2) < 0.05 && math.Abs(w[2].Effective/w[0].Effective-4) < 0.05
	})
	before := make([]int, 3)
	for i, e := range es {
		before[i] = e.Count("GET")
	}
	const n = 700
	for range n {
		c.Get("/")
	}
	for i, e := range es {
		if share, fair := float64(e.Count("GET")-before[i])/n, speeds[i]/7; math.Abs(share/fair-1) > 0.05 {
			t.Errorf("endpoint %d got %.3f of the requests, want %.3f", i, share, fair)
		}
	}
}

// Twenty clients while endpoints fall and rise, ramp, report loads that jump, and change tier, zone and weight. Every
// request is answered, no policy is caught at an endpoint that it must not pick, and in the end nothing is in flight.
func TestSharingOutUnderLoad(t *testing.T) {
	for name, policy := range map[string]policies.Policy{
		"weighted_round_robin": policies.WeightedRoundRobin{}, "p2c": policies.P2C{}, "maglev": policies.Maglev{},
	} {
		t.Run(name, func(t *testing.T) {
			const clients, each = 20, 80
			var turn atomic.Int64
			var es []*gatewaytest.Endpoint
			for i := range 6 {
				es = append(es, gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
					u := float64((turn.Add(1)*int64(i+1))%7+1) / 7
					gatewaytest.Respond(200, "ok", fmt.Sprintf("Endpoint-Load-Metrics: TEXT cpu_utilization=%v, rps=%d", u, 10+i))(x)
				}))
			}
			shape := func(i int, in *discovery.Instance) {
				zonesHereAndThere(i, in)
				in.Tier = uint8(i / 4)
			}
			g := start(t, options{policy: policy, instance: shape, route: Route{Affinity: Affinity{Source: PathKey}}, settings: func(s *cluster.Settings) {
				s.Split = policies.Split{Overprovision: 1.4, PanicBelow: 0.4, OwnZone: true}
				s.SlowStart = policies.SlowStart{Window: time.Second, Aggression: 1, Minimum: 0.1}
				s.Load = &policies.LoadWeights{Expiration: time.Minute, Penalty: 1}
			}}, es...)
			var served atomic.Int64
			var wg sync.WaitGroup
			for n := range clients {
				wg.Go(func() {
					client := http.Client{Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					for k := range each {
						r, err := client.Get(fmt.Sprintf("http://%s/%d/%d", g.address, n, k))
						if err != nil {
							t.Error(err)
							return
						}
						_ = r.Body.Close()
						if r.StatusCode != 200 {
							t.Errorf("status %d", r.StatusCode)
						}
						served.Add(1)
					}
				})
			}
			endpoints := g.cluster.Load().Endpoints
			for step := range 40 {
				gatewaytest.Eventually(t, "requests served", func() bool { return served.Load() >= int64(step)*clients*each/40 || t.Failed() })
				s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
				for i, e := range endpoints {
					in := discovery.Instance{ID: e.ID, Address: e.Address, Weight: 1 + (step/7+i)%3}
					shape(i, &in)
					if (step+i)%3 == 0 || step%8 == 5 {
						in.Status = discovery.Critical
					}
					s.Instances = append(s.Instances, in)
				}
				if step%8 == 5 {
					s.Instances[step%6].Status = discovery.Passing
				}
				g.cluster.Apply(s)
			}
			wg.Wait()
			g.settled()
			if n := g.Stats().Clusters[0].BadPicks; n != 0 {
				t.Errorf("the policy was caught at %d endpoints that it must not pick", n)
			}
		})
	}
}
