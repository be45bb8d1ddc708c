package sim

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// gateway is one load balancer with a policy, counters and a view of health of its own.
type gateway struct {
	policy   policies.Policy
	failover policies.Failover
	observer policies.Observer // nil if the policy is none
	advance  interface{ Advance(now int64) }
	table    *policies.Table
	view     *policies.View
	picker   policies.Picker
	viewGen  uint32
	up       []bool
	cut      []bool   // by server: a partition lies between
	turns    []uint32 // by server: partitions that came and went
	seq      uint64
	active   int // requests in flight
	retrying int // retries in flight
	inflight int // attempts in flight
	weight   uint64
	begun    []uint32 // attempts, by endpoint, since rates were counted
	counted  int64
}

// newGateway makes gateway number n and builds its policy.
func (w *world) newGateway(n int) (*gateway, error) {
	policy, err := w.config.Policy(n, func() int64 { return w.now })
	if err != nil {
		return nil, err
	}
	g := &gateway{policy: policy, failover: w.config.Failover}
	if g.failover == nil {
		g.failover = &policies.NextEndpoint{Conditions: Conditions()}
	}
	if f, ok := g.policy.(policies.Failover); ok {
		g.failover = f
	}
	g.observer, _ = g.policy.(policies.Observer)
	g.advance, _ = g.policy.(interface{ Advance(now int64) })
	zones := []string{"", w.config.Zone}
	for _, s := range w.config.Servers {
		zones = append(zones, s.Zone)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	zone := func(name string) uint16 {
		i, _ := slices.BinarySearch(zones, name)
		return uint16(i)
	}
	// Gateways have seen different numbers of tables. Were these equal, all would start their rounds at the same endpoint.
	g.table = &policies.Table{Gen: 1 + uint32(n)<<16, Zones: zones, SelfZone: zone(w.config.Zone)}
	for i, s := range w.config.Servers {
		e := &policies.Endpoint{
			ID: fmt.Sprintf("%05d %s", i, s.Name), IDHash: nameHash(s.Name), Num: uint32(i + 1), Name: s.Name, Address: s.Name, Weight: s.Weight, Tier: s.Tier,
			Zone: zone(s.Zone), State: policies.NewState(policies.Up),
		}
		for _, k := range slices.Sorted(maps.Keys(s.Meta)) {
			e.Meta = append(e.Meta, policies.Pair{Key: k, Value: s.Meta[k]})
		}
		if g.table.SelfZone != 0 && e.Zone == g.table.SelfZone {
			e.Flags |= policies.SameZone
		}
		g.table.Endpoints = append(g.table.Endpoints, e)
		g.up = append(g.up, true)
	}
	g.begun, g.turns, g.cut = make([]uint32, len(g.up)), make([]uint32, len(g.up)), make([]bool, len(g.up))
	if g.picker, err = g.policy.Build(g.table); err != nil {
		return nil, err
	}
	g.look()
	return g, nil
}

// began counts an attempt at endpoint i, and looks at how the load lies then.
func (g *gateway) began(w *world, i int) {
	e := g.table.Endpoints[i]
	e.AddInflight(1)
	g.inflight++
	g.begun[i]++
	r := w.result
	r.attempts++
	if w.arrived <= r.first || w.now < r.from {
		return
	}
	here := uint64(e.Inflight())
	r.Peak = max(r.Peak, float64(here))
	if w.config.Bound == 0 || g.weight == 0 {
		return
	}
	part := float64(g.inflight) * float64(e.Weight) / float64(g.weight)
	r.PeakOverPart = max(r.PeakOverPart, float64(here)/part)
	if float64(here) > math.Ceil(w.config.Bound*part-1e-9) {
		r.OverBound++
	}
}

// pass lets time pass for the policy.
func (g *gateway) pass(now int64) {
	g.advance.Advance(now)
	if d := now - g.counted; d >= int64(time.Second) {
		for i, n := range g.begun {
			g.table.Endpoints[i].Store(policies.ColRPSMilli, uint32(float64(n)/time.Duration(d).Seconds()*1000))
			g.begun[i] = 0
		}
		g.counted = now
	}
}

// reweigh makes a new table with these weights.
func (g *gateway) reweigh(weights []uint32) error {
	t := *g.table
	t.Gen++
	t.Endpoints = make([]*policies.Endpoint, len(weights))
	for i, e := range g.table.Endpoints {
		now := *e
		now.Weight = weights[i]
		t.Endpoints[i] = &now
	}
	picker, err := g.policy.Build(&t)
	if err != nil {
		return err
	}
	g.table, g.picker = &t, picker
	g.look()
	return nil
}

// look makes the view of what the gateway takes for up.
func (g *gateway) look() {
	g.viewGen++
	g.view = policies.NewView(g.table, g.viewGen, false, func(i int) bool { return g.up[i] })
	g.weight = 0
	for _, i := range g.view.Up {
		g.weight += uint64(g.table.Endpoints[i].Weight)
	}
}

// learn notes that endpoint i is up or down.
func (g *gateway) learn(i int32, up bool) {
	if g.up[i] == up {
		return
	}
	g.up[i] = up
	h := policies.Down
	if up {
		h = policies.Up
	}
	g.table.Endpoints[i].Store(policies.ColHealth, uint32(h))
	g.look()
}

// ended keeps the figures of an endpoint as a gateway does: the same averages, in the same steps.
func ended(e *policies.Endpoint, o *policies.Outcome) {
	e.AddInflight(-1)
	if o.Class == policies.Cancelled || o.Class == policies.PoolExhausted {
		return
	}
	smooth := func(c policies.Column, x int64, shift uint) {
		old := int64(e.State.Load(c))
		if old == 0 && c == policies.ColEWMA {
			e.Store(c, uint32(x))
			return
		}
		e.Store(c, uint32(max(old+(x-old)>>shift, 0)))
	}
	if o.Load >= 0 {
		e.Store(policies.ColLoadPPM, uint32(min(o.Load, 1)*1e6))
	}
	if !o.Class.EndpointFault() {
		smooth(policies.ColEWMA, o.Total.Microseconds(), 3)
		smooth(policies.ColErrPPM, 0, 5)
		e.Store(policies.ColConsecutiveFail, 0)
		return
	}
	smooth(policies.ColErrPPM, 1e6, 5)
	e.AddConsecutiveFail()
}

// retryLimit is how many retries may be in flight.
func (w *world) retryLimit(g *gateway) int {
	if w.config.Budget < 0 {
		return int(^uint(0) >> 1)
	}
	return max(minRetries, int(float64(g.active)*w.config.Budget))
}

const minRetries = 3

// Conditions are those of a cluster that names none.
func Conditions() policies.Conditions {
	return policies.Conditions{
		Classes: 1<<policies.Refused | 1<<policies.ConnectTimeout | 1<<policies.TLSFailed | 1<<policies.Unresolvable |
			1<<policies.PoolExhausted | 1<<policies.Reset | 1<<policies.Malformed | 1<<policies.HeaderTimeout,
		Statuses: []int{502, 503, 504},
	}
}

const tickEvery = 10 * time.Millisecond
