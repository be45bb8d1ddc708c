package policies

import (
	"math/bits"
	"time"
)

// pace is how long an endpoint takes, by how many requests it has in flight: 0, 1, 2 to 3, 4 to 7 and so on. What it took
// while it was busy says little of what it takes now that it is not.
type pace [paceSlots]peak

const paceSlots = 8

func paceSlot(inflight uint32) int { return min(bits.Len32(inflight), paceSlots-1) }

// observe takes a response time at now, of a request that found so many in flight.
func (p *pace) observe(now int64, inflight uint32, took time.Duration) {
	p[paceSlot(inflight)].observe(now, took)
}

// at returns the response time to expect with so many in flight, in nanoseconds, from the nearest number of which
// something is known; 0 if there is none.
func (p *pace) at(now int64, inflight uint32) float64 {
	k := paceSlot(inflight)
	for d := range paceSlots {
		if k-d >= 0 {
			if x := p[k-d].at(now); x > 0 {
				return x
			}
		}
		if k+d < paceSlots {
			if x := p[k+d].at(now); x > 0 {
				return x
			}
		}
	}
	return 0
}
