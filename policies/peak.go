package policies

import (
	"math"
	"sync/atomic"
	"time"
)

// peak is a moving average that jumps up to each peak and decays with time. The zero value knows nothing.
type peak struct {
	cost  atomic.Uint64 // float64 bits: nanoseconds
	stamp atomic.Int64  // when
}

// at returns what is left at now, in nanoseconds.
func (p *peak) at(now int64) float64 {
	cost := math.Float64frombits(p.cost.Load())
	if cost == 0 {
		return 0
	}
	return cost * math.Exp(-float64(max(now-p.stamp.Load(), 0))/float64(peakDecay))
}

// observe takes a response time at now. Two racing calls may lose one, which an average can bear.
func (p *peak) observe(now int64, took time.Duration) {
	x, left := float64(took), p.at(now)
	if x < left {
		keep := math.Exp(-float64(max(now-p.stamp.Load(), 0)) / float64(peakDecay))
		x = left + x*(1-keep)
	}
	p.cost.Store(math.Float64bits(x))
	p.stamp.Store(now)
}
