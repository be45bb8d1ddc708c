package chaos

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what became of a request. Times are since the beginning of the load. A request's time begins when it was due,
// not when it was sent: one that had to wait because the machine was busy has waited all the same.
type sample struct {
	id        int
	post      bool
	due, done time.Duration
	sent      time.Duration // begun to be sent
	err       error
	answer    answer
}

func (s *sample) took() time.Duration { return s.done - s.due }

// load sends requests at even distances, whatever becomes of them.
type load struct {
	began   time.Time
	samples []sample // complete once wait has returned
	explain atomic.Pointer[string]

	clients clients
	stop    chan struct{}
	done    sync.WaitGroup
}

// startLoad sends gets and posts a second, for at most so long, with IDs from first on.
func startLoad(address string, gets, posts int, most time.Duration, first int) *load {
	rate := gets + posts
	n := int(most.Seconds() * float64(rate))
	l := &load{began: time.Now(), samples: make([]sample, n), clients: clients{address: address}, stop: make(chan struct{})}
	l.done.Go(func() {
		sent := 0
		defer func() { l.samples = l.samples[:sent] }()
		for i := range n {
			due := time.Duration(i) * time.Second / time.Duration(rate)
			if wait := due - time.Since(l.began); wait > 0 {
				select {
				case <-time.After(wait):
				case <-l.stop:
					return
				}
			}
			s := &l.samples[i]
			*s = sample{id: first + i, post: i*posts/rate != (i+1)*posts/rate, due: due, sent: l.now()}
			sent++
			l.done.Go(func() {
				token := ""
				if t := l.explain.Load(); t != nil {
					token = *t
				}
				s.answer, s.err = l.clients.send(s.id, s.post, token)
				s.done = time.Since(l.began)
			})
		}
	})
	return l
}

// now is the time since the load began.
func (l *load) now() time.Duration { return time.Since(l.began) }

// end stops sending, and waits until each request has an end.
func (l *load) end() {
	close(l.stop)
	l.done.Wait()
	l.clients.close()
}

// of returns the samples of one method that were due from one time to another.
func (l *load) of(post bool, from, to time.Duration) []sample {
	var some []sample
	for _, s := range l.samples {
		if s.post == post && s.due >= from && s.due < to {
			some = append(some, s)
		}
	}
	return some
}

// late is how far behind its times the load was, at worst: how long the machine had no time for it.
func (l *load) late() (d time.Duration) {
	for _, s := range l.samples {
		d = max(d, s.sent-s.due)
	}
	return d
}

// p99 is the 99th percentile of the times; those of requests that failed count too. It is 0 if there are none.
func p99(samples []sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(a.took(), b.took()) })
	return sorted[(len(sorted)-1)*99/100].took()
}
