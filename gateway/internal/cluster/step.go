package cluster

import (
	"math/rand/v2"
	"time"
)

// step is what the work of a fleet's health falls into: what is due in one step wakes the process once, not each endpoint
// and each cluster for itself. At 10,000 endpoints those wake-ups cost as much as half of the checks.
const step = 50 * time.Millisecond

// phase keeps the steps of gateways apart.
var phase = rand.N(step)

// together returns a wait of about d that ends on a step, at most half of one earlier or later. A short one stays as it is.
func together(d time.Duration) time.Duration {
	if d < 8*step {
		return d
	}
	return onStep(d + step/2)
}

// onStep returns d, less what it goes beyond a step.
func onStep(d time.Duration) time.Duration {
	return d - (time.Duration(time.Now().UnixNano())+phase+d)%step
}
