package cluster

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// schedule has the checks of a cluster's endpoints made when they are due: one timer for all of them, and a goroutine for
// each that is under way.
type schedule struct {
	ctx      context.Context // of all checks
	underWay sync.WaitGroup

	mu    sync.Mutex // nothing else is locked while it is held
	due   dueChecks  // all but those that are under way
	timer *time.Timer
}

// check is what a schedule does again and again.
type check struct {
	schedule *schedule
	ctx      context.Context
	cancel   context.CancelFunc
	do       func(ctx context.Context) (interval time.Duration)

	// Guarded by schedule.mu.
	at    time.Time
	place int  // in due; -1: it is not in there
	again bool // it was wanted at once while it was under way
}

func newSchedule(ctx context.Context) *schedule {
	s := &schedule{ctx: ctx}
	s.timer = time.AfterFunc(0, s.run) // finds nothing
	return s
}

// start has do called until the check is stopped: first after a random part of interval, then at the interval that do
// returns with a jitter of a tenth, so that endpoints and gateways do not fall into step. Intervals are from one beginning
// to the next: what hangs is asked as often as what answers.
func (s *schedule) start(interval time.Duration, do func(ctx context.Context) time.Duration) *check {
	k := &check{schedule: s, do: do, place: -1}
	k.ctx, k.cancel = context.WithCancel(s.ctx)
	k.after(rand.N(interval))
	return k
}

// wait returns when nothing is under way any more. The schedule's context is to have ended.
func (s *schedule) wait() {
	s.mu.Lock()
	s.due = nil // and nothing comes into it
	s.timer.Stop()
	s.mu.Unlock()
	s.underWay.Wait()
}

// run makes the checks that are due.
func (s *schedule) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for now := time.Now(); len(s.due) > 0 && s.due[0].at.Before(now.Add(time.Millisecond)); { // those of one step at once
		k := heap.Pop(&s.due).(*check)
		s.underWay.Go(k.run)
	}
	s.arm()
}

// arm sets the timer to the first check. The caller holds mu.
func (s *schedule) arm() {
	if len(s.due) > 0 {
		s.timer.Reset(time.Until(s.due[0].at))
	}
}

func (k *check) run() {
	began := time.Now()
	interval := k.do(k.ctx)
	k.after(interval*9/10 + rand.N(interval/5+1) - time.Since(began))
}

func (k *check) after(wait time.Duration) {
	s := k.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.ctx.Err() != nil {
		return
	}
	if k.again {
		k.again, wait = false, 0
	}
	k.at = time.Now().Add(together(wait))
	heap.Push(&s.due, k)
	if k.place == 0 {
		s.arm()
	}
}

// now has k made at once. nil is made never.
func (k *check) now() {
	if k == nil {
		return
	}
	s := k.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.again = k.place < 0; k.again {
		return
	}
	k.at = time.Now()
	heap.Fix(&s.due, k.place)
	s.arm()
}

// stop has k made no more, and ends the context of what is under way.
func (k *check) stop() {
	if k == nil {
		return
	}
	k.cancel()
	k.schedule.mu.Lock()
	defer k.schedule.mu.Unlock()
	if k.place >= 0 && len(k.schedule.due) > 0 {
		heap.Remove(&k.schedule.due, k.place)
	}
}

// dueChecks is a heap, the earliest first.
type dueChecks []*check

func (d dueChecks) Len() int           { return len(d) }
func (d dueChecks) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d dueChecks) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push is heap.Interface's.
func (d *dueChecks) Push(k any) {
	k.(*check).place = len(*d)
	*d = append(*d, k.(*check))
}

// Pop is heap.Interface's.
func (d *dueChecks) Pop() any {
	last := len(*d) - 1
	k := (*d)[last]
	(*d)[last] = nil
	*d, k.place = (*d)[:last], -1
	return k
}
