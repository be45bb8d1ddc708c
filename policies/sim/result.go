package sim

import (
	"math"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Result is what a run came to. Requests of the warm-up are not in it, but where it says so.
type Result struct {
	Requests  int // answered, well or not; a group is one
	Failed    int // of them, not well
	Classes   [policies.NumClasses]int
	Sent      int // requests that came, of the whole run, each of a group
	Attempts  int // of the whole run
	Retries   int // of the whole run
	Hedges    int // of the whole run
	Denied    int // retries that the budget did not allow, of the whole run
	Misled    int // picks of an endpoint that was down or tried, of the whole run; another one took the attempt
	Elapsed   time.Duration
	Latencies []time.Duration // of requests that were answered well, and of those that failed by timeout; sorted
	Servers   []ServerResult
	Series    []Slice // of the whole run

	Peak         float64 // most attempts that a gateway had at an endpoint
	OverBound    int     // assignments beyond Config.Bound
	PeakOverPart float64 // most attempts at an endpoint, over the part that was due to it, if there is a Config.Bound

	attempts, retries, hedges, denied, misled int
	runs                                      int // that were added up; 0 is one

	first  int   // number of the first request that counts
	from   int64 // time from which requests count
	slice  int64
	began  *count
	until  *count // when the last request came
	before []uint64
}

// ServerResult is what one server did between the warm-up and the last arrival.
type ServerResult struct {
	Name        string
	Served      uint64
	Utilisation float64 // 0..1, of its cores or workers; 0 if it has no end of them
}

// Slice is a part of the run: what became of the requests that came in it, and what the servers did in it.
type Slice struct {
	From      time.Duration
	Requests  int
	Failed    int
	Latencies []time.Duration // sorted, as in Result
	Served    []uint64        // by server
	Load      []int           // attempts at each server at its end
}

// count is what servers had done at a time.
type count struct {
	at     int64
	busy   []float64
	served []uint64
}

func (w *World) count() *count {
	c := &count{at: w.now}
	for i := range w.servers {
		w.servers[i].settle(w.now)
		c.busy, c.served = append(c.busy, w.servers[i].busy), append(c.served, w.servers[i].served)
	}
	return c
}

func newResult(c *Config) *Result {
	r := &Result{slice: int64(c.Slice), before: make([]uint64, len(c.Servers))}
	if c.Until > 0 {
		r.from = int64(c.WarmUp * float64(c.Until))
	} else {
		r.first = int(c.WarmUp * float64(c.Requests))
	}
	if n := c.Requests - r.first; n > 0 {
		r.Latencies = make([]time.Duration, 0, n)
	}
	return r
}

// came notes that a request is about to come.
func (r *Result) came(w *World) {
	if r.began == nil && w.arrived >= r.first && w.now >= r.from {
		r.began = w.count()
	}
	for r.slice > 0 && w.now >= int64(len(r.Series))*r.slice {
		r.endSlice(w)
		r.Series = append(r.Series, Slice{From: time.Duration(int64(len(r.Series)) * r.slice)})
	}
}

// endSlice notes what the servers did in the slice that is under way, if one is.
func (r *Result) endSlice(w *World) {
	n := len(r.Series)
	if n == 0 || r.until != nil {
		return
	}
	s := &r.Series[n-1]
	for i := range w.servers {
		s.Served = append(s.Served, w.servers[i].served-r.before[i])
		s.Load = append(s.Load, w.servers[i].load)
		r.before[i] = w.servers[i].served
	}
}

// answered notes the end of a request.
func (r *Result) answered(w *World, q *request, o policies.Outcome) {
	took := time.Duration(w.now - q.arrived)
	timed := o.Class == policies.OK || o.Class == policies.HeaderTimeout
	if r.slice > 0 {
		s := &r.Series[q.arrived/r.slice]
		s.Requests++
		if o.Class != policies.OK {
			s.Failed++
		}
		if timed {
			s.Latencies = append(s.Latencies, took)
		}
	}
	if q.number < r.first || q.arrived < r.from {
		return
	}
	r.Requests++
	r.Classes[o.Class]++
	if o.Class != policies.OK {
		r.Failed++
	}
	if timed {
		r.Latencies = append(r.Latencies, took)
	}
}

func (r *Result) finish(w *World) {
	r.Attempts, r.Retries, r.Hedges, r.Denied, r.Misled = r.attempts, r.retries, r.hedges, r.denied, r.misled
	r.Sent = w.arrived * w.config.Fan
	r.Elapsed = time.Duration(w.now)
	slices.Sort(r.Latencies)
	for i := range r.Series {
		slices.Sort(r.Series[i].Latencies)
	}
	if r.began == nil {
		r.began = w.count()
	}
	if r.until == nil {
		r.until = w.count()
	}
	for i := range w.servers {
		s := &w.servers[i]
		one := ServerResult{Name: s.Name, Served: r.until.served[i] - r.began.served[i]}
		room := float64(max(r.until.at-r.began.at, 1))
		switch s.Discipline {
		case FIFO:
			one.Utilisation = (r.until.busy[i] - r.began.busy[i]) / (room * float64(s.Workers))
		case Sharing:
			one.Utilisation = (r.until.busy[i] - r.began.busy[i]) / (room * s.Cores)
		case Delay:
		}
		r.Servers = append(r.Servers, one)
	}
}

// Add makes r what r and o came to together: counts are summed, Utilisation and Elapsed are averages of as many runs as there
// are, Peak and PeakOverPart too. o must be of the same servers, and is spent.
func (r *Result) Add(o *Result) {
	r.runs = max(r.runs, 1)
	mean := func(a *float64, b float64) { *a += (b - *a) / float64(r.runs+1) }
	r.Requests += o.Requests
	r.Failed += o.Failed
	for k := range r.Classes {
		r.Classes[k] += o.Classes[k]
	}
	r.Sent += o.Sent
	r.Attempts += o.Attempts
	r.Retries += o.Retries
	r.Hedges += o.Hedges
	r.Denied += o.Denied
	r.Misled += o.Misled
	r.Elapsed += (o.Elapsed - r.Elapsed) / time.Duration(r.runs+1)
	r.Latencies = merge(r.Latencies, o.Latencies)
	for i := range r.Servers {
		r.Servers[i].Served += o.Servers[i].Served
		mean(&r.Servers[i].Utilisation, o.Servers[i].Utilisation)
	}
	for k := range min(len(r.Series), len(o.Series)) {
		a, b := &r.Series[k], &o.Series[k]
		a.Requests += b.Requests
		a.Failed += b.Failed
		a.Latencies = merge(a.Latencies, b.Latencies)
		for i := range min(len(a.Served), len(b.Served)) {
			a.Served[i] += b.Served[i]
			a.Load[i] += (b.Load[i] - a.Load[i]) / (r.runs + 1)
		}
	}
	mean(&r.Peak, o.Peak)
	mean(&r.PeakOverPart, o.PeakOverPart)
	r.OverBound += o.OverBound
	r.runs++
}

// merge sorts two sorted lists into one.
func merge(a, b []time.Duration) []time.Duration {
	a = append(a, b...)
	slices.Sort(a)
	return a
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

// Under is the share of the requests that were answered well within d.
func (r *Result) Under(d time.Duration) float64 {
	i, _ := slices.BinarySearch(r.Latencies, d)
	return float64(i) / float64(max(r.Requests, 1))
}

// Availability is the share of requests that were answered well.
func (r *Result) Availability() float64 {
	return 1 - float64(r.Failed)/float64(max(r.Requests, 1))
}

// Amplification is the number of attempts of a request.
func (r *Result) Amplification() float64 { return float64(r.Attempts) / float64(max(r.Sent, 1)) }
