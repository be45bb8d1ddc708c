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
	back       time.Time // when the last ejection ended
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
		if limit == 0 || e.outlier.until.After(now) || e.State.Load(policies.ColConsecutiveFail) < limit {
			continue
		}
		if s.isLast(e) || !e.takeOut() {
			continue // somebody must serve; with everything bad, nothing is an outlier
		}
		e.outlier.recent++
		c.eject(e, now.Add(min(c.settings.Outlier.BaseEjection*time.Duration(e.outlier.recent), MaxEjection)), byFailures)
		changed = true
		c.publishView("consecutive failures") // so that the next round of the loop sees who is left
		s = c.current.Load()
	}
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

// readmit ends an ejection. The caller holds mu.
func (c *Cluster) readmit(e *Endpoint) {
	e.takeBack(placeIn)
	e.outlier.until = time.Time{}
	e.outlier.readmitted = true
	e.outlier.back = time.Now()
	e.Store(policies.ColConsecutiveFail, 0)
}
