package cluster

import (
	"math"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

const (
	weighEvery   = time.Second // weights by load (gRFC A58: weight_update_period)
	rampSteps    = 16          // tables in a window of slow start
	leastChange  = 0.02        // relative change of a weight that is worth a new table
	suspectShare = 0.5         // of its weight, while the silence of an endpoint may mean that it is gone
	resolution   = 1000        // the average weight in a table where weights are not whole: 1 of it is a tenth of a percent
)

// weights says what weight each of instances has now, in the unit of their own weights: by load or of its own, times what
// its agent says, times how far it has come in slow start. The caller holds mu.
func (c *Cluster) weights(instances []discovery.Instance, endpoints map[string]*Endpoint, now time.Time) []float64 {
	w := make([]float64, len(instances))
	for i, in := range instances {
		w[i] = float64(instanceWeight(in))
	}
	if p := c.settings.Load; p != nil {
		load := make([]float64, len(instances))
		for i, in := range instances {
			load[i] = endpoints[in.ID].load.At(*p, now.UnixNano())
		}
		policies.SpreadLoad(w, load)
	}
	for i, in := range instances {
		w[i] *= c.share(endpoints[in.ID], now)
	}
	return w
}

// share is the part of its weight that e has for other reasons than load: what its agent leaves of it, half while its
// heartbeat is suspect, times how far it has come in slow start. The caller holds mu.
func (c *Cluster) share(e *Endpoint, now time.Time) float64 {
	share := e.agent.share()
	if e.suspect {
		share *= suspectShare
	}
	if e.light(now) {
		share *= probationShare
	}
	if !e.rampFrom.IsZero() {
		share *= c.settings.SlowStart.Share(now.Sub(e.rampFrom))
	}
	return share
}

func instanceWeight(in discovery.Instance) uint32 {
	return uint32(min(max(in.Weight, 0), policies.MaxWeight))
}

// whole brings weights to whole numbers. Those that are whole, and in range, stay as they are; otherwise all are scaled
// so that rounding does not matter. What is above 0 stays above 0.
func whole(weights []float64) []uint32 {
	sum, most, members := 0.0, 0.0, 0.0
	for _, w := range weights {
		if w > 0 {
			sum += w
			most = max(most, w)
			members++
		}
	}
	scale := 1.0
	if !areWhole(weights) {
		scale = min(max(1, resolution*members/sum), policies.MaxWeight/most)
	}
	out := make([]uint32, len(weights))
	for i, w := range weights {
		if w > 0 {
			out[i] = uint32(min(max(math.Round(w*scale), 1), policies.MaxWeight))
		}
	}
	return out
}

func areWhole(weights []float64) bool {
	for _, w := range weights {
		if w != math.Trunc(w) || w > policies.MaxWeight {
			return false
		}
	}
	return true
}

// differ reports whether weights have changed enough for a new table.
func differ(old, now []float64) bool {
	for i, w := range now {
		if math.Abs(w-old[i]) > leastChange*max(w, old[i]) {
			return true
		}
	}
	return areWhole(now) && !areWhole(old) // the end of a ramp
}

// ramp begins slow start for endpoints that have come into the traffic of s, and ends it for those that left. If that
// made more than half of those that get traffic start slowly, the others would bear too much: then nobody does. It
// reports whether weights are to be looked at. The caller holds mu.
func (c *Cluster) ramp(s *Snapshot, came []*Endpoint, now time.Time) bool {
	window := c.settings.SlowStart.Window
	if window == 0 {
		return false // and weights does not look at what is left of earlier settings
	}
	serving, ramping := 0, 0
	for i, e := range s.Endpoints {
		serves := e.effective.Health() != policies.Down && s.Table.Endpoints[i].Weight > 0
		if !serves || now.Sub(e.rampFrom) >= window {
			e.rampFrom = time.Time{}
		}
		if serves {
			serving++
		}
		if !e.rampFrom.IsZero() {
			ramping++
		}
	}
	if 2*(ramping+len(came)) <= serving {
		for _, e := range came {
			e.rampFrom = now
		}
		return len(came) > 0
	}
	if 2*ramping <= serving {
		return false
	}
	for _, e := range s.Endpoints {
		e.rampFrom = time.Time{}
	}
	return true
}

// reweigh returns s with a table of the present weights, or nil if s has them or the policy does not take them. The caller
// holds mu and publishes.
func (c *Cluster) reweigh(s *Snapshot, now time.Time) *Snapshot {
	c.weighAt = time.Time{}
	if c.settings.Load != nil {
		c.weighAt = now.Add(weighEvery)
	}
	instances := make([]discovery.Instance, len(s.Endpoints))
	again := func(at time.Time) {
		if c.weighAt.IsZero() || at.Before(c.weighAt) {
			c.weighAt = at
		}
	}
	for i, e := range s.Endpoints {
		instances[i] = e.instance
		if !e.rampFrom.IsZero() {
			again(now.Add(max(c.settings.SlowStart.Window/rampSteps, reconcileEvery)))
		}
		if e.light(now) {
			again(e.outlier.back.Add(probationFor))
		}
	}
	weights := c.weights(instances, c.endpoints, now)
	if !differ(s.weights, weights) {
		return nil
	}
	failing := c.buildErr != nil
	next, err := c.assemble(instances, c.endpoints, weights)
	if err != nil {
		if !failing {
			c.log.Error("the new weights are not in use: the policy cannot serve them", "err", err)
		}
		return nil
	}
	return next
}
