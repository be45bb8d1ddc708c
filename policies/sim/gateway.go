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
	number   int32
	policy   policies.Policy
	failover policies.Failover
	observer policies.Observer // nil if the policy is none
	advance  interface{ Advance(now int64) }
	table    *policies.Table
	view     *policies.View
	picker   policies.Picker
	gen      uint32 // of table
	viewGen  uint32
	states   []*policies.State // by server, as all that follow
	health   []policies.Health
	ejected  []int64  // until then, by the policy
	cut      []bool   // a partition lies between
	turns    []uint32 // partitions that came and went
	begun    []uint32 // attempts since rates were counted
	seq      uint64
	active   int // requests in flight
	retrying int // retries in flight
	inflight int // attempts in flight
	weight   uint64
	counted  int64
}

// newGateway makes gateway number n and builds its policy.
func (w *World) newGateway(n int) (*gateway, error) {
	policy, err := w.config.Policy(n, w.clock)
	if err != nil {
		return nil, err
	}
	g := &gateway{number: int32(n), policy: policy, failover: w.config.Failover}
	if g.failover == nil {
		g.failover = &policies.NextEndpoint{Conditions: Conditions()}
	}
	if f, ok := g.policy.(policies.Failover); ok {
		g.failover = f
	}
	g.observer, _ = g.policy.(policies.Observer)
	g.advance, _ = g.policy.(interface{ Advance(now int64) })
	// Gateways have seen different numbers of tables. Were these equal, all would start their rounds at the same endpoint.
	g.gen = uint32(n) << 16
	return g, g.build(w)
}

// rebuild gives every gateway a new table.
func (w *World) rebuild() error {
	for _, g := range w.gateways {
		if err := g.build(w); err != nil {
			return err
		}
	}
	return nil
}

// build makes the table of the fleet as it is now, and its picker.
func (g *gateway) build(w *World) error {
	for len(g.states) < len(w.servers) {
		g.states = append(g.states, policies.NewState(policies.Up))
		g.health = append(g.health, policies.Up)
		g.ejected = append(g.ejected, 0)
		g.begun, g.turns, g.cut = append(g.begun, 0), append(g.turns, 0), append(g.cut, false)
	}
	zones := []string{"", w.config.Zone}
	for _, s := range w.fleet {
		zones = append(zones, w.servers[s].Zone)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	zone := func(name string) uint16 {
		i, _ := slices.BinarySearch(zones, name)
		return uint16(i)
	}
	g.gen++
	t := &policies.Table{Gen: g.gen, Zones: zones, SelfZone: zone(w.config.Zone)}
	t.Ejector = ejector{w, g, t}
	for _, n := range w.fleet {
		s := &w.servers[n]
		e := &policies.Endpoint{
			ID: fmt.Sprintf("%05d %s", n, s.Name), IDHash: s.Hash, Num: uint32(n + 1), Name: s.Name, Address: s.Address,
			Weight: s.Weight, Tier: s.Tier, Flags: s.Flags, Zone: zone(s.Zone), State: g.states[n],
		}
		for _, k := range slices.Sorted(maps.Keys(s.Meta)) {
			e.Meta = append(e.Meta, policies.Pair{Key: k, Value: s.Meta[k]})
		}
		if t.SelfZone != 0 && e.Zone == t.SelfZone {
			e.Flags |= policies.SameZone
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	picker, err := g.policy.Build(t)
	if err != nil {
		return err
	}
	g.table, g.picker = t, picker
	g.look(w.now)
	return nil
}

// serverOf returns the number of the server that endpoint i of a table is.
func serverOf(t *policies.Table, i int) int32 { return int32(t.Endpoints[i].Num - 1) }

// began counts an attempt at e, and looks at how the load lies then.
func (g *gateway) began(w *World, e *policies.Endpoint) {
	e.AddInflight(1)
	g.inflight++
	g.begun[e.Num-1]++
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
func (g *gateway) pass(w *World) {
	g.advance.Advance(w.clock())
	if d := w.now - g.counted; d >= int64(time.Second) {
		for i, n := range g.begun {
			g.states[i].Store(policies.ColRPSMilli, uint32(float64(n)/time.Duration(d).Seconds()*1000))
			g.begun[i] = 0
		}
		g.counted = w.now
	}
}

// look makes the view of what the gateway takes for fit.
func (g *gateway) look(now int64) {
	g.viewGen++
	g.view = policies.NewView(g.table, g.viewGen, false, func(i int) bool {
		n := serverOf(g.table, i)
		h := g.health[n]
		if g.ejected[n] > now {
			h = policies.Down
		}
		g.states[n].Store(policies.ColHealth, uint32(h))
		return h != policies.Down
	})
	g.weight = 0
	for _, i := range g.view.Up {
		g.weight += uint64(g.table.Endpoints[i].Weight)
	}
}

// learn notes what the gateway takes server n for.
func (g *gateway) learn(n int32, h policies.Health, now int64) {
	if g.health[n] != h {
		g.health[n] = h
		g.look(now)
	}
}

// ejector takes endpoints out that a policy wants out, as many as it names.
type ejector struct {
	w *World
	g *gateway
	t *policies.Table
}

// Eject implements [policies.Ejector]: the next view has it.
func (e ejector) Eject(i int, d time.Duration) bool {
	if i < 0 || i >= len(e.t.Endpoints) || d <= 0 {
		return false
	}
	n, until := serverOf(e.t, i), e.w.now+int64(d)
	if until <= e.g.ejected[n] {
		return true
	}
	e.g.ejected[n] = until
	e.w.plan(event{at: e.w.now, kind: look, who: e.g.number})
	e.w.plan(event{at: until, kind: look, who: e.g.number})
	return true
}

// clock is what clocks show.
func (w *World) clock() int64 { return w.config.Epoch + w.now }

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
func (w *World) retryLimit(g *gateway) int {
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
