package proxy

import (
	"fmt"
	"testing"

	"github.com/weir-lb/weir/internal/experiments"
)

// TestPublishedG5RetryBudget has the arithmetic of Envoy's retry budget: a share of the requests in flight, and three
// always. A token bucket, as Finagle has, would count requests of the past.
func TestPublishedG5RetryBudget(t *testing.T) {
	for _, c := range []struct {
		inflight int64
		percent  int
		want     float64
	}{{0, 20, 3}, {1, 20, 3}, {15, 20, 3}, {19, 20, 3}, {20, 20, 4}, {1000, 20, 200}, {1000, 10, 100}, {1000, 100, 1000}, {29, 10, 3}} {
		x := new(exchange)
		x.route = &route{Route: &Route{Budget: c.percent}, cluster: new(clusterState)}
		x.route.cluster.active.Store(c.inflight)
		experiments.Hold(t, experiments.Row{
			ID: "G5", What: fmt.Sprintf("%d requests in flight, budget %d %%: retries that may be", c.inflight, c.percent),
			Source: "Envoy, circuit breakers: retry_budget", Published: c.want, Ours: float64(x.retryLimit()),
		})
	}
}
