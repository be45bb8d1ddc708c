package cluster

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// loadReport is the last report of an endpoint. A reader that comes between two of its stores mixes two reports, which
// are a moment apart: a weight can bear that, a lock per request it cannot.
type loadReport struct {
	utilisation, qps, eps atomic.Uint64 // bits of a float64
	at                    atomic.Int64  // nanoseconds of the epoch; 0: there was none
}

// maxUtilisation is far beyond what an overloaded endpoint says of itself. What is above it is a mistake of units.
const maxUtilisation = 1000

// possible reports whether an endpoint can be like that: its figures are finite and not negative, and no more of its
// requests fail than it has.
func possible(r policies.LoadReport) bool {
	for _, x := range []float64{r.Utilisation, r.QPS, r.EPS} {
		if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
			return false
		}
	}
	return r.Utilisation <= maxUtilisation && (r.QPS == 0 || r.EPS <= r.QPS)
}

// Report takes what the endpoint says of its load. What is impossible is ignored and counted.
func (e *Endpoint) Report(r policies.LoadReport) {
	if !possible(r) {
		e.cluster.impossible.Add(1)
		return
	}
	e.report.utilisation.Store(math.Float64bits(r.Utilisation))
	e.report.qps.Store(math.Float64bits(r.QPS))
	e.report.eps.Store(math.Float64bits(r.EPS))
	e.report.at.Store(time.Now().UnixNano())
}

func (l *loadReport) load() policies.LoadReport {
	return policies.LoadReport{
		Utilisation: math.Float64frombits(l.utilisation.Load()),
		QPS:         math.Float64frombits(l.qps.Load()),
		EPS:         math.Float64frombits(l.eps.Load()),
	}
}

func (l *loadReport) status(now time.Time) *LoadStatus {
	at := l.at.Load()
	if at == 0 {
		return nil
	}
	r := l.load()
	return &LoadStatus{Utilisation: r.Utilisation, QPS: r.QPS, EPS: r.EPS, AgeSeconds: now.Sub(time.Unix(0, at)).Seconds()}
}

// loadExpires is how long a report holds where nothing else says so (gRFC A58: weight_expiration_period).
const loadExpires = 3 * time.Minute

// takeReport brings a new report into the endpoint's weight by load. An endpoint that does not say how many requests it
// had is taken to have had those that it got from here. The caller holds cluster.mu and has sampled the rates.
func (e *Endpoint) takeReport(p *policies.LoadWeights, now time.Time) {
	at, expires := e.report.at.Load(), loadExpires
	if p != nil {
		expires = p.Expiration
	}
	if at == 0 {
		return
	}
	if time.Duration(now.UnixNano()-at) >= expires {
		e.Store(policies.ColLoadPPM, policies.Unknown)
		return
	}
	if p == nil || at == e.loadAt {
		return
	}
	e.loadAt = at
	r := e.report.load()
	if r.QPS == 0 {
		r.QPS, r.EPS = e.rate.perSecond, e.rate.failsPerSecond
	}
	e.load.Report(*p, at, r)
}
