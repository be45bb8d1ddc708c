package cluster

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// Where an endpoint stands with regard to ejection: values of Endpoint.place.
const (
	placeIn      uint32 = iota
	placeOut            // counted in Cluster.out
	placeRetired        // it left the cluster
)

// ejector is what the policy of one table ejects through. A guest may call it while whoever builds the next table
// holds the cluster's lock and waits for that guest: it takes no lock, and leaves the rest to the cluster's goroutine.
type ejector struct {
	cluster   *Cluster
	endpoints []*Endpoint
}

func newEjector(c *Cluster, t *policies.Table, endpoints map[string]*Endpoint) *ejector {
	x := &ejector{cluster: c, endpoints: make([]*Endpoint, len(t.Endpoints))}
	for i, e := range t.Endpoints {
		x.endpoints[i] = endpoints[e.ID]
	}
	return x
}

// Eject implements policies.Ejector. The most an ejection lasts is MaxEjection.
func (x *ejector) Eject(i int, d time.Duration) bool {
	if i < 0 || i >= len(x.endpoints) || d <= 0 {
		return false
	}
	c, e := x.cluster, x.endpoints[i]
	if e.place.Load() != placeOut && (c.Load().isLast(e) || !e.takeOut()) {
		return false
	}
	until := time.Now().Add(min(d, MaxEjection)).UnixNano()
	for {
		old := e.asked.Load()
		if old >= until || e.asked.CompareAndSwap(old, until) {
			break
		}
	}
	c.poke()
	return true
}

// takeOut claims one of the places for endpoints that are out, and reports whether e has one now.
func (e *Endpoint) takeOut() bool {
	c := e.cluster
	if c.out.Add(1) > c.mayBeOut.Load() {
		c.out.Add(-1)
		return e.place.Load() == placeOut
	}
	if !e.place.CompareAndSwap(placeIn, placeOut) {
		c.out.Add(-1)
		return e.place.Load() == placeOut
	}
	return true
}

// takeBack gives the place up, for good if the endpoint leaves the cluster.
func (e *Endpoint) takeBack(to uint32) {
	e.asked.Store(0)
	if e.place.Swap(to) == placeOut {
		e.cluster.out.Add(-1)
	}
}

// eject takes e, which has its place, out of the traffic. The caller holds mu and publishes.
func (c *Cluster) eject(e *Endpoint, until time.Time, why ejectedBy) {
	e.outlier.ejections[why]++
	e.outlier.why = why
	e.outlier.readmitted, e.outlier.probeFell = false, false
	e.outlier.until = until
}

// heed does what policies asked for. The caller holds mu.
func (c *Cluster) heed(now time.Time) {
	for _, e := range c.current.Load().Endpoints {
		if e.asked.Load() == 0 {
			continue
		}
		asked := e.asked.Swap(0)
		until := now.Add(time.Duration(asked - now.UnixNano()))
		out := e.outlier.until.After(now)
		switch {
		case !until.After(now):
		case out && !until.After(e.outlier.until):
			continue // it is out for longer than that
		case !out && c.current.Load().isLast(e): // others went down meanwhile: somebody must serve
		case !e.takeOut(): // an operator readmitted it meanwhile, and others took its place
		default:
			if out {
				e.outlier.until = until
				continue
			}
			c.eject(e, until, byPolicy)
			c.publishView("policy") // so that the next round of the loop sees who is left
			continue
		}
		if !out {
			e.takeBack(placeIn)
		}
	}
}

// bound says how many endpoints of n may be out at once. The caller holds mu.
func (c *Cluster) bound(n int) {
	share := c.settings.Outlier.MaxEjected
	if c.settings.Outlier.Consecutive == 0 {
		share = defaultMaxEjected
	}
	c.mayBeOut.Store(int32(max(1, int(share*float64(n)))))
}

// defaultMaxEjected is the share that policies may eject where outlier detection, which would bound it, is off.
const defaultMaxEjected = 0.5

// isLast reports whether e is the only endpoint that gets traffic.
func (s *Snapshot) isLast(e *Endpoint) bool {
	return len(s.View.Up) == 1 && s.Endpoints[s.View.Up[0]] == e
}

// ejectedBy says who wanted an ejection.
type ejectedBy uint8

const (
	byFailures ejectedBy = iota
	byPolicy
	bySuccessRate
	byFailureShare
	numEjectedBy
)

// String returns "failures", "policy", "success rate" or "failure percentage".
func (b ejectedBy) String() string {
	return [...]string{"failures", "policy", "success rate", "failure percentage"}[b&3]
}

// reason is what events say of an ejection.
func (b ejectedBy) reason() string {
	if b == byFailures {
		return "consecutive failures"
	}
	return b.String()
}

// poke makes the cluster's goroutine look at once.
func (c *Cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // already on its way
	}
}

var _ policies.Ejector = (*ejector)(nil)
