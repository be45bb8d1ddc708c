package plugintest

import (
	"container/heap"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/wasmhost"
)

// Traffic lets requests come to a policy in virtual time, and tells it how they ended, as a gateway does. It is not safe
// for concurrent use.
type Traffic struct {
	Table *policies.Table
	View  *policies.View
	Rand  *rand.Rand
	// Placed holds, for each endpoint by its number, the attempts that were picked and have not ended.
	Placed map[uint32]int

	t      testing.TB
	name   string
	config string
	clock  atomic.Int64
	policy *wasmhost.Policy
	picker policies.Picker
	seq    uint64
	events events
	stirs  uint64
}

// Attempt is what becomes of one attempt.
type Attempt struct {
	Endpoint int // that was picked; None and Rejected are what they are for a picker
	Request  policies.Request
	Delay    time.Duration // from the pick to the beginning
	Takes    time.Duration // from the beginning to the end
	Class    policies.Class
	Status   int
	Never    bool // it does not begin, and nobody hears of it
	Unheard  bool // nobody hears of its end
}

// NewTraffic makes the traffic to a new policy of the module with that configuration, over t.
func NewTraffic(t testing.TB, name, config string, table *policies.Table) *Traffic {
	t.Helper()
	x := &Traffic{t: t, name: name, config: config, Rand: rand.New(rand.NewPCG(20261123, 1)), Placed: map[uint32]int{}}
	x.clock.Store(int64(1e18))
	x.policy = policy(t, name, x.options())
	x.SetTable(table)
	x.After(0, x.advance)
	return x
}

func (x *Traffic) options() wasmhost.Options {
	return wasmhost.Options{Config: []byte(x.config), Manual: true, Now: x.clock.Load}
}

// Now is the virtual time in nanoseconds.
func (x *Traffic) Now() int64 { return x.clock.Load() }

// advance is what the policy's own goroutine does every 10 ms where it is not Manual.
func (x *Traffic) advance() {
	x.policy.Advance(x.Now())
	x.After(10*time.Millisecond, x.advance)
}

// SetTable goes on with another table, in which all endpoints are up.
func (x *Traffic) SetTable(table *policies.Table) {
	x.t.Helper()
	x.Table, x.View, x.picker = table, policytest.View(table, table.Gen), Picker(x.t, x.policy, table)
}

// Swap puts another instance of the same module in the policy's place, as a hot swap does. How attempts end that the old
// one picked, the old one is told, and hands on.
func (x *Traffic) Swap() {
	x.t.Helper()
	old := x.policy
	x.policy = policy(x.t, x.name, x.options())
	x.policy.Succeed(old)
	x.SetTable(x.Table)
}

// After calls f when d has passed. Equal times keep their order.
func (x *Traffic) After(d time.Duration, f func()) {
	x.stirs++
	heap.Push(&x.events, event{x.Now() + d.Nanoseconds(), x.stirs, f})
}

// Run lets d pass.
func (x *Traffic) Run(d time.Duration) {
	end := x.Now() + d.Nanoseconds()
	for len(x.events) > 0 && x.events[0].at <= end {
		e := heap.Pop(&x.events).(event)
		x.clock.Store(e.at)
		e.f()
	}
	x.clock.Store(end)
}

// Request is the next request, as it is at a first attempt.
func (x *Traffic) Request() policies.Request {
	r := policytest.Request(7, x.seq)
	x.seq++
	r.Now = x.Now()
	return r
}

// Send lets the policy place a request, and the request come to what become says of it: the function gets the attempt
// with the endpoint and request filled in. It returns the attempt.
func (x *Traffic) Send(become func(a *Attempt)) Attempt { return x.SendRequest(x.Request(), become) }

// SendRequest is Send for a request of the caller's.
func (x *Traffic) SendRequest(r policies.Request, become func(a *Attempt)) Attempt {
	a := Attempt{Endpoint: x.picker.Pick(&r, x.View), Request: r, Status: 200}
	if a.Endpoint < 0 {
		return a
	}
	become(&a)
	if a.Never {
		return a
	}
	e, view, policy := x.Table.Endpoints[a.Endpoint], x.View, x.policy
	x.Placed[e.Num]++
	x.After(a.Delay, func() {
		e.AddInflight(1)
		x.After(a.Takes, func() {
			e.AddInflight(-1)
			x.Placed[e.Num]--
			if a.Unheard {
				return
			}
			policy.Observe(view, policies.Feedback{
				Outcome: policies.Outcome{Endpoint: a.Endpoint, Class: a.Class, Status: a.Status, Sent: true, FirstByte: a.Takes, Total: a.Takes, Load: -1},
				Now:     x.Now(), Num: e.Num, Tag: a.Request.Tag, Instance: a.Request.Instance, Final: true,
			})
		})
	})
	return a
}

// event is something that happens at a time.
type event struct {
	at   int64
	turn uint64
	f    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].turn < e[j].turn
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *events) Push(v any) { *e = append(*e, v.(event)) }

// Pop implements heap.Interface.
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
