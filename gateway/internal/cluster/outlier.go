package cluster

import (
	"time"

	"github.com/weir-lb/weir/policies"
)

// Outlier sets passive ejection: an endpoint that fails Consecutive attempts in a row is taken out for BaseEjection
// times the number of its recent ejections, MaxEjection at most. The terms and defaults are Envoy's.
type Outlier struct {
	Consecutive  int           // 0 is off
	BaseEjection time.Duration // typically 30 s
	MaxEjected   float64       // 0..1: the largest share of a cluster that may be out at once; one always may
	Rates        Rates
}

// MaxEjection bounds how long an endpoint is out at a time.
const MaxEjection = 5 * time.Minute

// sweepEvery is how often an endpoint that is in is forgiven one earlier ejection (gRFC A50).
const sweepEvery = 10 * time.Second

type outlierState struct {
	until      time.Time // in the future while ejected
	recent     int       // ejections not yet forgiven
	ejections  [numEjectedBy]uint64
	why        ejectedBy // the last one
	readmitted bool      // ConsecutiveFail was reset after the last ejection
	probeFell  bool      // a probe failed since the last ejection
	back       time.Time // when the last ejection ended, or later: when it last came into the traffic
	seen       tally     // at the end of the last interval
	probation  bool      // it is back, and has not answered a request since
	freed      tally     // when it came back
}

// detectOutliers ejects and readmits, and reports whether it did either. The caller holds mu.
func (c *Cluster) detectOutliers(now time.Time) bool {
	s := c.current.Load()
	limit := uint32(c.settings.Outlier.Consecutive)
	changed := false
	for _, e := range s.Endpoints {
		if !e.outlier.until.IsZero() && !e.outlier.until.After(now) {
			c.readmit(e)
			changed = true
		}
	}
	for _, e := range s.Endpoints {
		if limit == 0 || e.State.Load(policies.ColConsecutiveFail) < limit {
			continue
		}
		changed = c.expel(e, now, byFailures) || changed
	}
	changed = c.seeProbation(now) || changed
	changed = c.judgeRates(now) || changed
	if now.Sub(c.sweptAt) >= sweepEvery {
		c.sweptAt = now
		for _, e := range s.Endpoints {
			if e.outlier.recent > 0 && e.outlier.readmitted && now.Sub(e.outlier.back) >= sweepEvery {
				e.outlier.recent--
			}
		}
	}
	return changed
}

// expel ejects e, for as long as its recent ejections are worth, unless nobody else would be left, or too many are out: with
// everything bad, nothing is an outlier. The caller holds mu.
func (c *Cluster) expel(e *Endpoint, now time.Time, why ejectedBy) bool {
	if e.outlier.until.After(now) || c.current.Load().isLast(e) || !e.takeOut() {
		return false
	}
	e.outlier.recent++
	c.eject(e, now.Add(min(c.settings.Outlier.BaseEjection*time.Duration(e.outlier.recent), MaxEjection)), why)
	c.publishView(why.reason()) // so that who asks next sees who is left
	return true
}

// readmit ends an ejection. The endpoint is on probation until it has answered a request, if that was not the policy's
// doing. The caller holds mu.
func (c *Cluster) readmit(e *Endpoint) {
	if e.place.Load() == placeOut && e.outlier.why != byPolicy {
		e.outlier.probation, e.outlier.freed = true, e.ended()
		c.weighAt = time.Now()
	}
	e.takeBack(placeIn)
	e.outlier.until = time.Time{}
	e.outlier.readmitted = true
	e.outlier.back = time.Now()
	e.Store(policies.ColConsecutiveFail, 0)
}
