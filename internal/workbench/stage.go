package workbench

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/policies"
)

// epoch is when every story begins: 2026-01-01 UTC, in nanoseconds.
const epoch = int64(1767225600) * 1e9

// stage is a cluster in virtual time: endpoints, the policy, and what is to happen.
type stage struct {
	guest  *Guest
	picker policies.Picker
	table  *policies.Table
	view   *policies.View
	chance *rand.Rand
	zone   string

	now    int64
	queue  events
	order  uint64
	actors map[string]*actor
	num    uint32
	seq    uint64
	jar    map[string]uint32 // sessions, by name: the number of the endpoint
}

// actor is an endpoint as it behaves.
type actor struct {
	Endpoint
	num     uint32
	state   *policies.State
	answer  policies.Outcome
	ejected int64 // until then
}

// event is something that happens at a time. Those of one time happen in the order in which they were planned.
type event struct {
	at    int64
	order uint64
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newStage(zone string, seed uint64) *stage {
	return &stage{now: epoch, zone: zone, actors: map[string]*actor{}, jar: map[string]uint32{}, chance: rand.New(rand.NewPCG(seed, 1))}
}

// plan has do happen after d.
func (s *stage) plan(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.queue, event{s.now + int64(d), s.order, do})
}

// begin lets time pass for the policy, every 10 ms as in a gateway.
func (s *stage) begin() {
	s.guest.Advance(s.now)
	s.plan(10*time.Millisecond, s.begin)
}

// until lets time pass until done says so, which is asked whenever something happened, and reports whether it did
// before limit.
func (s *stage) until(limit int64, done func() bool) bool {
	for !done() {
		if len(s.queue) == 0 || s.queue[0].at > limit {
			s.now = max(s.now, limit)
			return false
		}
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	return true
}

// add puts an endpoint on the stage.
func (s *stage) add(e Endpoint) {
	s.num++
	a := &actor{Endpoint: e, num: s.num, state: policies.NewState(policies.Up)}
	a.answer, _ = parseOutcome(e.Answers)
	s.actors[e.Name] = a
	a.setColumns(func(string) bool { return true })
}

// setColumns stores those live figures that have says are set.
func (a *actor) setColumns(has func(key string) bool) {
	for _, c := range []struct {
		key    string
		column policies.Column
		value  int
	}{
		{"inflight", policies.ColInflight, a.Columns.Inflight},
		{"ewma_us", policies.ColEWMA, a.Columns.EWMA},
		{"err_ppm", policies.ColErrPPM, a.Columns.ErrPPM},
		{"rps_milli", policies.ColRPSMilli, a.Columns.RPSMilli},
		{"consecutive_fail", policies.ColConsecutiveFail, a.Columns.ConsecutiveFail},
		{"load_ppm", policies.ColLoadPPM, a.Columns.LoadPPM},
		{"heartbeat_age_ms", policies.ColHeartbeatAgeMilli, a.Columns.HeartbeatAge},
	} {
		if has(c.key) {
			a.state.Store(c.column, uint32(c.value))
		}
	}
}

// topology gives the policy a new table.
func (s *stage) topology() error {
	names := slices.Sorted(maps.Keys(s.actors))
	zones := map[string]bool{"": true, s.zone: true}
	for _, a := range s.actors {
		zones[a.Zone] = true
	}
	t := &policies.Table{Gen: 1, Zones: slices.Sorted(maps.Keys(zones)), Ejector: s}
	if s.table != nil {
		t.Gen = s.table.Gen + 1
	}
	zone := func(name string) uint16 { return uint16(slices.Index(t.Zones, name)) }
	t.SelfZone = zone(s.zone)
	for i, name := range names {
		a := s.actors[name]
		e := &policies.Endpoint{
			ID: name, IDHash: xxhash.Sum64String(name), Num: a.num, Address: fmt.Sprintf("192.0.2.%d:80", i%250+1), Name: name,
			Weight: uint32(a.Weight), Tier: uint8(a.Tier), Zone: zone(a.Zone), Meta: metadata(a.Meta), State: a.state,
		}
		if e.Zone != 0 && e.Zone == t.SelfZone {
			e.Flags |= policies.SameZone
		}
		if a.Canary {
			e.Flags |= policies.Canary
		}
		if a.Spare {
			e.Flags |= policies.Spare
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	pk, err := s.guest.Build(t)
	if err != nil {
		return err
	}
	s.table, s.picker = t, pk
	s.availability()
	return nil
}

var healths = map[string]policies.Health{"up": policies.Up, "degraded": policies.Degraded, "down": policies.Down}

// availability makes the view of what is up now.
func (s *stage) availability() {
	gen := uint32(1)
	if s.view != nil {
		gen = s.view.Gen + 1
	}
	for _, a := range s.actors {
		h := healths[a.State]
		if a.ejected > s.now {
			h = policies.Down
		}
		a.state.Store(policies.ColHealth, uint32(h))
	}
	s.view = policies.NewView(s.table, gen, false, func(i int) bool { return s.table.Endpoints[i].Health() != policies.Down })
}

// Eject implements policies.Ejector: the next view has it.
func (s *stage) Eject(i int, d time.Duration) bool {
	a := s.actors[s.table.Endpoints[i].Name]
	if a == nil {
		return false
	}
	a.ejected = max(a.ejected, s.now+int64(d))
	s.plan(0, s.availability)
	s.plan(d, s.availability)
	return true
}

// Inflight of an attempt begins and ends here; figures that follow from outcomes are smoothed as in a gateway.
func (a *actor) end(o policies.Outcome) {
	if a.state.Inflight() > 0 {
		a.state.AddInflight(-1)
	}
	smooth := func(c policies.Column, x int64, shift uint) {
		old := int64(a.state.Load(c))
		if old == 0 && c == policies.ColEWMA {
			old = x
		}
		a.state.Store(c, uint32(old+(x-old)>>shift))
	}
	if !o.Class.EndpointFault() {
		smooth(policies.ColEWMA, o.Total.Microseconds(), 3)
		smooth(policies.ColErrPPM, 0, 5)
		a.state.Store(policies.ColConsecutiveFail, 0)
		return
	}
	smooth(policies.ColErrPPM, 1e6, 5)
	a.state.AddConsecutiveFail()
}
