package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/dgraph-io/ristretto/v2"

	"github.com/weir-lb/weir/policies"
)

// LeaseState is what heartbeats say of an endpoint.
type LeaseState uint8

// Lease states.
const (
	LeaseNone    LeaseState = iota // it never sent a beat: no opinion
	LeaseAlive                     // the last beat is younger than the time to live
	LeaseSuspect                   // younger than twice that
	LeaseDead                      // or longer silent than its own beats make likely: see Accrual
)

// String returns "none", "alive", "suspect" or "dead".
func (s LeaseState) String() string { return [...]string{"none", "alive", "suspect", "dead"}[s&3] }

const (
	leaseBatch    = 10 * time.Millisecond // how long renewals are gathered before they are seen to be in the cache
	leaseInstalls = 3                     // tries to get a new lease into the cache
	leaseQueue    = 1024
)

// Leases are heartbeats that expire. The truth of a lease is Endpoint.lastBeat, an atomic that the beat itself stores;
// ristretto holds a lease object by the endpoint's identity, bounded in number and time. Ristretto may drop a Set of a
// new key, refuse or evict any key, and keep an old value when two Sets of a new key follow each other, so both must
// agree before an endpoint is taken out: a lost entry harms nobody, and since a lease notes its own time, an entry that
// stays too long keeps nobody in. The atomic alone would do for endpoints that are known; see Early for those that are not.
type Leases struct {
	cache leaseCache
	epoch time.Time
	renew chan renewal
	stop  context.CancelFunc
	done  sync.WaitGroup

	pending map[uint64]*pendingLease // the writer's: leases not yet seen in the cache

	beats, installRetries, unstored, overruns, future, replayed atomic.Uint64
}

// leaseCache is what leases need of ristretto.
type leaseCache interface {
	Get(key uint64) (*lease, bool)
	SetWithTTL(key uint64, l *lease, cost int64, ttl time.Duration) bool
	Del(key uint64)
	Wait()
	Close()
}

// lease is mutated in place: its pointer is the same for as long as its key is, so a Set that is lost can lose a
// renewal of the time to live, never a state.
type lease struct {
	endpoint *Endpoint    // nil if discovery has not reported it yet
	at       atomic.Int64 // of the last beat that the cache knows of, on the leases' clock
}

type renewal struct {
	key      uint64
	endpoint *Endpoint
	at       int64
	ttl      time.Duration
	forget   bool
}

type pendingLease struct {
	lease *lease
	ttl   time.Duration
	tries int
}

// NewLeases makes room for leases of about that many endpoints and starts the one goroutine that writes the cache.
func NewLeases(endpoints int) (*Leases, error) {
	n := int64(max(endpoints, 256))
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *lease]{
		NumCounters: 40 * n, MaxCost: 4 * n, BufferItems: 64,
		IgnoreInternalCost: true, // entries are counted, not bytes
		Metrics:            true,
	})
	if err != nil {
		return nil, err
	}
	l := newLeases(cache)
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.done.Go(func() { l.write(ctx) })
	return l, nil
}

func newLeases(cache leaseCache) *Leases {
	return &Leases{
		// A second back, so that no beat has the time 0, which means that there was none.
		cache: cache, epoch: time.Now().Add(-time.Second), renew: make(chan renewal, leaseQueue),
		pending: map[uint64]*pendingLease{},
	}
}

// Close stops the writer. Nothing may send beats any more.
func (l *Leases) Close() {
	l.stop()
	l.done.Wait()
	l.cache.Close()
}

func (l *Leases) now() int64 { return int64(time.Since(l.epoch)) }

// Beat renews the lease of e for ttl.
func (l *Leases) Beat(e *Endpoint, ttl time.Duration) {
	now := l.now()
	e.lastBeat.Store(now)
	l.beats.Add(1)
	l.enqueue(renewal{key: e.leaseKey, endpoint: e, at: now, ttl: ttl})
}

// Early keeps the beat of an endpoint that discovery has not reported yet. Anybody may claim any ID, which is why such
// beats are in a cache that bounds their number and time, and nowhere else.
func (l *Leases) Early(cluster, id string, ttl time.Duration) {
	l.beats.Add(1)
	l.enqueue(renewal{key: leaseKey(cluster, id, 0), at: l.now(), ttl: ttl})
}

// adopt gives e the beat that came before it was known, if one did.
func (l *Leases) adopt(e *Endpoint) {
	key := leaseKey(e.cluster.name, e.ID, 0)
	if x, ok := l.cache.Get(key); ok && x.endpoint == nil {
		e.lastBeat.Store(x.at.Load())
		l.enqueue(renewal{key: key, forget: true})
	}
}

// Forget drops the lease of an endpoint that is gone.
func (l *Leases) Forget(e *Endpoint) {
	if e.lastBeat.Load() != 0 {
		l.enqueue(renewal{key: e.leaseKey, forget: true})
	}
}

func (l *Leases) enqueue(r renewal) {
	select {
	case l.renew <- r:
	default:
		l.overruns.Add(1) // lastBeat has it; the cache learns of the next one, or the entry expires by itself
	}
}

// State tells what the beats of e say, for leases of that time to live.
func (l *Leases) State(e *Endpoint, ttl time.Duration) LeaseState {
	last := e.lastBeat.Load()
	if last == 0 {
		return LeaseNone
	}
	now := l.now()
	if time.Duration(now-last) < ttl {
		return LeaseAlive // whatever the cache has: of 10,000 that beat, ten looks a second at each would be half of the work
	}
	x, hit := l.cache.Get(e.leaseKey)
	hit = hit && x.endpoint == e && time.Duration(now-x.at.Load()) < ttl
	switch age := time.Duration(now - last); {
	case hit:
		return LeaseAlive
	case age < 2*ttl:
		return LeaseSuspect
	}
	return LeaseDead
}

// age refreshes the column that policies read.
func (l *Leases) age(e *Endpoint) {
	if last := e.lastBeat.Load(); last != 0 {
		e.Store(policies.ColHeartbeatAgeMilli, uint32(min((l.now()-last)/1e6, policies.Unknown-1)))
	}
}

func (l *Leases) write(ctx context.Context) {
	flush := time.NewTimer(time.Hour)
	flush.Stop()
	defer flush.Stop()
	armed := false
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-l.renew:
			l.apply(r)
		case <-flush.C:
			armed = false
			l.settle()
		}
		if !armed && len(l.pending) > 0 {
			flush.Reset(leaseBatch)
			armed = true
		}
	}
}

// apply brings one message into the cache.
func (l *Leases) apply(r renewal) {
	key := r.key
	if r.forget {
		delete(l.pending, key)
		l.cache.Del(key)
		return
	}
	if x, ok := l.cache.Get(key); ok && x.endpoint == r.endpoint {
		x.at.Store(r.at)
		l.cache.SetWithTTL(key, x, 1, r.ttl)
		return
	}
	p := l.pending[key]
	if p == nil {
		p = &pendingLease{lease: &lease{endpoint: r.endpoint}}
		l.pending[key] = p
	}
	p.ttl = r.ttl
	p.lease.at.Store(r.at)
	l.cache.SetWithTTL(key, p.lease, 1, r.ttl)
}

// settle sees to it that new leases arrived, and sets those again that did not, three times in all.
func (l *Leases) settle() {
	l.cache.Wait()
	for key, p := range l.pending {
		if x, ok := l.cache.Get(key); ok && x == p.lease {
			delete(l.pending, key)
			continue
		}
		if p.tries++; p.tries >= leaseInstalls {
			l.unstored.Add(1) // lastBeat alone will do
			delete(l.pending, key)
			continue
		}
		l.installRetries.Add(1)
		l.cache.SetWithTTL(key, p.lease, 1, p.ttl)
	}
}

// leaseKey tells an endpoint from any other, and by num from earlier ones of the same ID. 0 is none yet.
func leaseKey(cluster, id string, num uint32) uint64 {
	return xxhash.Sum64String(fmt.Sprintf("%q %q %d", cluster, id, num))
}

// LeaseStats counts what became of heartbeats.
type LeaseStats struct {
	Beats          uint64
	InstallRetries uint64 // Sets of a new lease that had to be repeated
	Unstored       uint64 // leases that the cache would not take
	Overruns       uint64 // renewals that found the queue full
	Future         uint64 // beats that were ignored since they came from the future
	Replayed       uint64 // and since they had come before, or were old
}

// Stats returns the counters.
func (l *Leases) Stats() LeaseStats {
	return LeaseStats{l.beats.Load(), l.installRetries.Load(), l.unstored.Load(), l.overruns.Load(), l.future.Load(), l.replayed.Load()}
}
