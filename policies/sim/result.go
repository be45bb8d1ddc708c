package sim

import (
	"math"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Result is what a run came to. Requests of the warm-up are not in it, but for Elapsed.
type Result struct {
	Requests  int // answered, well or not
	Failed    int // of them, not well
	Classes   [policies.NumClasses]int
	Attempts  int // of the whole run
	Retries   int // of the whole run
	Hedges    int // of the whole run
	Denied    int // retries that the budget did not allow, of the whole run
	Elapsed   time.Duration
	Latencies []time.Duration // of requests that were answered well, and of those that failed by timeout; sorted
	Servers   []ServerResult
	Series    []Slice

	attempts, retries, hedges, denied int
	first                             int   // number of the first request that counts
	from                              int64 // time from which requests count
	slice                             int64
	busyBefore                        []float64
	servedBefore                      []uint64
	began                             int64
}

// ServerResult is what one server did after the warm-up.
type ServerResult struct {
	Name        string
	Served      uint64
	Utilisation float64 // 0..1, of its cores or workers
}

// Slice is a part of the run.
type Slice struct {
	From     time.Duration
	Requests int
	Failed   int
	P50, P99 time.Duration
	Served   []uint64 // by server
	Load     []int    // attempts at each server at its end

	latencies []time.Duration
	before    []uint64
}

func newResult(c *Config) *Result {
	r := &Result{busyBefore: make([]float64, len(c.Servers)), servedBefore: make([]uint64, len(c.Servers)), began: -1}
	if c.Until > 0 {
		r.from = int64(c.WarmUp * float64(c.Until))
	} else {
		r.first = int(c.WarmUp * float64(c.Requests))
	}
	if n := c.Requests - r.first; n > 0 {
		r.Latencies = make([]time.Duration, 0, n)
	}
	if c.Slices > 0 && c.Until > 0 {
		r.slice = int64(c.Until) / int64(c.Slices)
	}
	return r
}

// answered notes the end of a request.
func (r *Result) answered(w *world, q *request, o policies.Outcome) {
	if r.slice > 0 {
		r.intoSlice(w, q, o)
	}
	if q.number < r.first || q.arrived < r.from {
		return
	}
	if r.began < 0 {
		r.began = w.now
		for i := range w.servers {
			w.servers[i].settle(w.now)
			r.busyBefore[i], r.servedBefore[i] = w.servers[i].busy, w.servers[i].served
		}
	}
	r.Requests++
	r.Classes[o.Class]++
	if o.Class != policies.OK {
		r.Failed++
	}
	if o.Class == policies.OK || o.Class == policies.HeaderTimeout {
		r.Latencies = append(r.Latencies, time.Duration(w.now-q.arrived))
	}
}

func (r *Result) intoSlice(w *world, q *request, o policies.Outcome) {
	k := int(w.now / r.slice)
	for len(r.Series) <= k && len(r.Series) < w.config.Slices {
		if n := len(r.Series); n > 0 {
			r.Series[n-1].end(w)
		}
		s := Slice{From: time.Duration(int64(len(r.Series)) * r.slice), before: make([]uint64, len(w.servers))}
		for i := range w.servers {
			s.before[i] = w.servers[i].served
		}
		r.Series = append(r.Series, s)
	}
	if k >= len(r.Series) {
		return // after the last request came
	}
	s := &r.Series[k]
	s.Requests++
	if o.Class != policies.OK {
		s.Failed++
	}
	s.latencies = append(s.latencies, time.Duration(w.now-q.arrived))
}

// end closes a slice.
func (s *Slice) end(w *world) {
	slices.Sort(s.latencies)
	s.P50, s.P99 = Quantile(s.latencies, 0.5), Quantile(s.latencies, 0.99)
	for i := range w.servers {
		s.Served = append(s.Served, w.servers[i].served-s.before[i])
		s.Load = append(s.Load, w.servers[i].load)
	}
	s.latencies, s.before = nil, nil
}

func (r *Result) finish(w *world) {
	r.Attempts, r.Retries, r.Hedges, r.Denied = r.attempts, r.retries, r.hedges, r.denied
	r.Elapsed = time.Duration(w.now)
	slices.Sort(r.Latencies)
	if n := len(r.Series); n > 0 {
		r.Series[n-1].end(w)
	}
	for i := range w.servers {
		s := &w.servers[i]
		s.settle(w.now)
		room := float64(s.Workers)
		switch s.Discipline {
		case Sharing:
			room = s.Cores
		case Delay:
			room = math.Inf(1)
		}
		r.Servers = append(r.Servers, ServerResult{
			Name: s.Name, Served: s.served - r.servedBefore[i],
			Utilisation: (s.busy - r.busyBefore[i]) / (float64(max(w.now-r.began, 1)) * room),
		})
	}
}

// Quantile returns the smallest of sorted values that at least the share q of them does not exceed, 0 if there are none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// Quantile is that of the latencies.
func (r *Result) Quantile(q float64) time.Duration { return Quantile(r.Latencies, q) }

// Mean is that of the latencies.
func (r *Result) Mean() time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	sum := 0.0
	for _, d := range r.Latencies {
		sum += float64(d)
	}
	return time.Duration(sum / float64(len(r.Latencies)))
}

// Availability is the share of requests that were answered well.
func (r *Result) Availability() float64 {
	return 1 - float64(r.Failed)/float64(max(r.Requests, 1))
}
