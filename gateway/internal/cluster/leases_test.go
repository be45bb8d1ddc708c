package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// fakeCache is as unkind as ristretto may be, and worse: it drops Sets, refuses keys, evicts at any time, keeps the old
// value when a new key is set twice, and may keep an entry beyond its time.
type fakeCache struct {
	rnd      *rand.Rand
	resident map[uint64]*lease
	queued   map[uint64]*lease
	unkind   float64 // chance that any step goes wrong
}

func (f *fakeCache) bad() bool { return f.unkind > 0 && f.rnd.Float64() < f.unkind }

func (f *fakeCache) Get(key uint64) (*lease, bool) {
	if f.bad() {
		delete(f.resident, key)
	}
	l, ok := f.resident[key]
	return l, ok
}

func (f *fakeCache) SetWithTTL(key uint64, l *lease, _ int64, _ time.Duration) bool {
	if f.resident[key] != nil {
		f.resident[key] = l
		return true
	}
	if f.bad() {
		return false
	}
	if f.queued[key] == nil || f.bad() {
		f.queued[key] = l
	}
	return true
}

func (f *fakeCache) Wait() {
	for key, l := range f.queued {
		if !f.bad() {
			f.resident[key] = l
		}
	}
	clear(f.queued)
}

func (f *fakeCache) Del(key uint64) { delete(f.resident, key) }
func (f *fakeCache) Close()         {}

// TestLeasesEqualAModelWithoutCache sends beats at random times through caches that misbehave at random: whatever the
// cache does, the state is what the time of the last beat says.
func TestLeasesEqualAModelWithoutCache(t *testing.T) {
	const ttl = time.Second
	for _, unkind := range []float64{0, 0.1, 0.6, 1} {
		t.Run(fmt.Sprintf("unkind_%v", unkind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(7, uint64(unkind*100)))
				f := &fakeCache{rnd: rnd, resident: map[uint64]*lease{}, queued: map[uint64]*lease{}, unkind: unkind}
				l := newLeases(f)
				c := &Cluster{name: "web"}
				type model struct {
					e    *Endpoint
					last time.Time
				}
				all := make([]*model, 8)
				for i := range all {
					all[i] = &model{e: newEndpoint(c, instance(fmt.Sprint(i)), uint32(i+1))}
				}
				seen := map[LeaseState]int{}
				for range 5000 {
					time.Sleep(time.Duration(rnd.IntN(int(ttl / 2)))) // virtual time
					m := all[rnd.IntN(len(all))]
					switch rnd.IntN(4) {
					case 0:
						l.Beat(m.e, ttl)
						m.last = time.Now()
					case 1:
						for len(l.renew) > 0 {
							l.apply(<-l.renew)
						}
					case 2:
						l.settle()
					}
					want := LeaseNone
					if !m.last.IsZero() {
						switch age := time.Since(m.last); {
						case age < ttl:
							want = LeaseAlive
						case age < 2*ttl:
							want = LeaseSuspect
						default:
							want = LeaseDead
						}
					}
					if got := l.State(m.e, ttl); got != want {
						t.Fatalf("endpoint %s: last beat %v ago: %v, want %v", m.e.ID, time.Since(m.last), got, want)
					}
					seen[want]++
				}
				for s := LeaseNone; s <= LeaseDead; s++ {
					if seen[s] == 0 {
						t.Errorf("the walk never saw %v", s)
					}
				}
			})
		})
	}
}

func TestLeases(t *testing.T) {
	const ttl = time.Second
	endpoint := func() *Endpoint {
		return newEndpoint(&Cluster{name: "web"}, instance("a"), 1)
	}
	t.Run("a_refused_lease_is_set_three_times_then_counted", func(t *testing.T) {
		f := &fakeCache{rnd: rand.New(rand.NewPCG(1, 1)), resident: map[uint64]*lease{}, queued: map[uint64]*lease{}, unkind: 1}
		l, e := newLeases(f), endpoint()
		l.Beat(e, ttl)
		l.apply(<-l.renew)
		for range 5 {
			l.settle()
		}
		if s := l.Stats(); s.InstallRetries != leaseInstalls-1 || s.Unstored != 1 {
			t.Errorf("stats %+v, want %d retries and 1 unstored", s, leaseInstalls-1)
		}
		if got := l.State(e, ttl); got != LeaseAlive {
			t.Errorf("state without the cache %v, want alive", got)
		}
	})
	t.Run("ristretto_holds_what_was_set", func(t *testing.T) {
		l, err := NewLeases(16)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		e := endpoint()
		l.Beat(e, time.Minute)
		gatewaytest.Eventually(t, "the lease is in ristretto", func() bool {
			x, ok := l.cache.Get(e.leaseKey)
			return ok && x.endpoint == e
		})
		if got := l.State(e, time.Minute); got != LeaseAlive {
			t.Errorf("state %v, want alive", got)
		}
		l.Forget(e)
		gatewaytest.Eventually(t, "the lease is gone", func() bool { _, ok := l.cache.Get(e.leaseKey); return !ok })
	})
	t.Run("a_shorter_time_to_live_holds_at_once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeCache{rnd: rand.New(rand.NewPCG(1, 1)), resident: map[uint64]*lease{}, queued: map[uint64]*lease{}}
			l, e := newLeases(f), endpoint()
			l.Beat(e, time.Hour)
			l.apply(<-l.renew)
			l.settle()
			time.Sleep(time.Minute) // virtual
			if got := l.State(e, ttl); got != LeaseDead {
				t.Errorf("state %v, want dead", got)
			}
		})
	})
	t.Run("an_entry_that_stays_too_long_keeps_nobody_in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeCache{rnd: rand.New(rand.NewPCG(1, 1)), resident: map[uint64]*lease{}, queued: map[uint64]*lease{}}
			l, e := newLeases(f), endpoint()
			l.Beat(e, ttl)
			l.apply(<-l.renew)
			l.settle()
			time.Sleep(2 * ttl) // virtual; fakeCache does not expire
			if _, ok := f.Get(e.leaseKey); !ok {
				t.Fatal("the entry is gone, the case shows nothing")
			}
			if got := l.State(e, ttl); got != LeaseDead {
				t.Errorf("state %v, want dead", got)
			}
		})
	})
}
