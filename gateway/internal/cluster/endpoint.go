package cluster

import (
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Endpoint is an instance with runtime state. It lives as long as discovery reports the same ID at the same address,
// across any number of tables.
type Endpoint struct {
	ID        string
	Address   string // host:port
	Transport Transport
	*policies.State

	cluster  *Cluster
	num      uint32 // from 1
	leaseKey uint64

	attempts atomic.Uint64
	failures atomic.Uint64
	voids    atomic.Uint64 // attempts that say nothing about the endpoint
	place    atomic.Uint32 // see ejector
	asked    atomic.Int64  // until when a policy wants it out, in nanoseconds of the epoch; 0: it asked for nothing
	lastBeat atomic.Int64  // nanoseconds on the leases' clock; 0 if it never sent one
	report   loadReport
	rests    atomic.Int64 // until when it wants no retries, in nanoseconds of the epoch
	drains   atomic.Bool  // it gets no new requests, and what it has may be ended

	// Guarded by cluster.mu.
	instance  discovery.Instance // as the newest table has it
	verified  bool
	override  Override
	probe     probeState
	rhythm    rhythm
	outlier   outlierState
	effective Effective
	announced bool
	beatSent  time.Time // of the last beat, by the endpoint's own clock; zero if it did not say

	poll     *check // nil: none
	suspect  bool   // its heartbeat is: it has half its weight
	rate     rate
	agent    agentState
	draining draining
	rampFrom time.Time // zero: it has its whole weight
	load     policies.LoadWeight
	loadAt   int64 // the report that load has taken
}

func newEndpoint(c *Cluster, in discovery.Instance, num uint32) *Endpoint {
	return &Endpoint{
		ID: in.ID, Address: in.Address, State: policies.NewState(policies.Down), cluster: c, num: num, instance: in,
		leaseKey: leaseKey(c.name, in.ID, num),
	}
}

// barred reports whether an operator, here or in the catalogue, took e out. Panic does not overrule that.
func (e *Endpoint) barred() bool {
	return e.effective == EffectiveDraining || e.override == ForceDown
}

// Begin counts an attempt in flight. Each Begin is followed by one End.
func (e *Endpoint) Begin() {
	e.attempts.Add(1)
	e.AddInflight(1)
}

// End takes the outcome of an attempt when the last byte of it is through.
func (e *Endpoint) End(o policies.Outcome) {
	e.AddInflight(-1)
	if o.Class == policies.Cancelled || o.Class == policies.PoolExhausted {
		e.voids.Add(1)
		return // says nothing about the endpoint
	}
	if o.Load >= 0 {
		e.Store(policies.ColLoadPPM, uint32(min(o.Load, 1)*1e6))
	}
	if !o.Class.EndpointFault() {
		e.smooth(policies.ColEWMA, o.Total.Microseconds(), 3)
		e.smooth(policies.ColErrPPM, 0, 5)
		if e.State.Load(policies.ColConsecutiveFail) != 0 {
			e.Store(policies.ColConsecutiveFail, 0)
		}
		return
	}
	if e.drains.Load() {
		e.voids.Add(1)
		return // it may be that the gateway ended it
	}
	e.failures.Add(1)
	e.smooth(policies.ColErrPPM, 1e6, 5)
	n := e.AddConsecutiveFail()
	if n == e.cluster.tripAt.Load() { // the next tick sees those that cross it while others are out
		e.cluster.poke()
	}
}

// Rest has e get no retries until then: it said so. The last word counts.
func (e *Endpoint) Rest(until time.Time) { e.rests.Store(until.UnixNano()) }

// Rests reports whether e wants no retries at now.
func (e *Endpoint) Rests(now time.Time) bool { return now.UnixNano() < e.rests.Load() }

// smooth moves column c towards x by 1/2^shift of the distance. Two racing calls may lose one sample, which an average
// can bear; a lock per request it cannot.
func (e *Endpoint) smooth(c policies.Column, x int64, shift uint) {
	old := int64(e.State.Load(c))
	if old == 0 && c == policies.ColEWMA {
		e.Store(c, uint32(min(x, policies.Unknown-1)))
		return
	}
	next := old + (x-old)>>shift
	e.Store(c, uint32(min(max(next, 0), policies.Unknown-1)))
}

// rate turns a counter into attempts per second.
type rate struct {
	at              time.Time
	count, failures uint64
	perSecond       float64 // attempts
	failsPerSecond  float64
}

// sample stores the attempts per second since the last call, times 1000. The caller holds cluster.mu.
func (e *Endpoint) sample(now time.Time) {
	next := rate{at: now, count: e.attempts.Load(), failures: e.failures.Load()}
	if d := now.Sub(e.rate.at); !e.rate.at.IsZero() && d > 0 {
		next.perSecond = float64(next.count-e.rate.count) / d.Seconds()
		next.failsPerSecond = float64(next.failures-e.rate.failures) / d.Seconds()
		e.Store(policies.ColRPSMilli, uint32(next.perSecond*1000))
	}
	e.rate = next
}
