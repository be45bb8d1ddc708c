package gateway

import (
	"math"

	"github.com/weir-lb/weir/wasmhost"
)

func (c collection) policy(p *policy) {
	refused := 0.0
	if p.module == nil {
		refused = 1
	}
	c.add(mRefused, refused, p.name)
	c.add(mInfo, 1, p.name, p.digest, p.source)
	s := p.stats()
	for _, x := range s.Series {
		c.add(mGuest, float64(x.Value), p.name, x.Name)
	}
	for r, n := range s.Picks {
		c.add(mPicks, float64(n), p.name, wasmhost.Result(r).String())
	}
	for f, n := range s.Failures {
		c.add(mFailures, float64(n), p.name, wasmhost.Failure(f).String())
	}
	c.powers(mFuel, s.Fuel, 1, p.name)
	c.powers(mPickSeconds, s.Nanoseconds, 1e9, p.name)
	c.add(mUnheard, float64(s.Unheard), p.name)
	c.add(mRecreated, float64(s.Recreated), p.name)
	quarantined := 0.0
	if s.Quarantined {
		quarantined = 1
	}
	c.add(mQuarantined, quarantined, p.name)
}

// powers sends a histogram of powers of two, in units of which a metric's unit has so many.
func (c collection) powers(m *metric, h wasmhost.Histogram, units float64, labels ...string) {
	bounds := make([]float64, len(h.Counts)-1)
	for i := range bounds {
		bounds[i] = (math.Exp2(float64(i)) - 1) / units // the largest whole number in the bucket
	}
	c.histogram(m, bounds, h.Counts[:], float64(h.Sum)/units, labels...)
}
