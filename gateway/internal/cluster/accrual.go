package cluster

import (
	"math"
	"time"
)

// Accrual turns the silence of an endpoint into suspicion, by what its beats were like before (Hayashibara et al.: The phi
// accrual failure detector, SRDS 2004, with the normal distribution; minimum and pause are those of Akka's). Suspicion phi
// means that a beat comes this late once in 10^phi. Where beats come every 200 ms, give or take a tenth, phi 8 is reached
// 1.26 s after the last one: 200 ms, the pause of 500 ms, and 5.61 times the least sigma of 100 ms.
type Accrual struct {
	Threshold float64       // at which an endpoint is taken for dead, and at half of it for suspect; 0 is never
	MinSigma  time.Duration // beats are taken to vary by this much at least: calm ones would make each delay a sign
	Pause     time.Duration // a beat may be late by this much without suspicion
}

const (
	accrualWindow = 1000 // intervals that are remembered; of 200 estimates are so rough that phi 3 errs by a sixth
	accrualLeast  = 10   // intervals without which there is no opinion
)

// rhythm is what the beats of one endpoint are like. The zero value knows nothing. Times are nanoseconds of any one clock.
type rhythm struct {
	intervals    []float32 // s; a ring, once it is full
	next         int
	sum, squares float64
	last         int64
	mean, sigma  float64 // s
}

// beat takes a beat at now. The silence that made the endpoint suspect is no interval between beats, and is left out.
func (h *rhythm) beat(a Accrual, now int64) {
	late := h.last == 0 || h.phi(a, now) >= a.Threshold
	last := h.last
	h.last = now
	if late {
		return
	}
	x := float32(float64(now-last) / 1e9)
	h.sum += float64(x)
	h.squares += float64(x) * float64(x)
	if len(h.intervals) < accrualWindow {
		h.intervals = append(h.intervals, x)
	} else {
		old := float64(h.intervals[h.next])
		h.sum -= old
		h.squares -= old * old
		h.intervals[h.next] = x
		h.next = (h.next + 1) % accrualWindow
	}
	n := float64(len(h.intervals))
	h.mean = h.sum / n
	h.sigma = math.Sqrt(max(h.squares/n-h.mean*h.mean, 0))
}

// phi is how suspect silence is at now: 0 and more.
func (h *rhythm) phi(a Accrual, now int64) float64 {
	if len(h.intervals) < accrualLeast {
		return 0
	}
	late := float64(now-h.last)/1e9 - h.mean - a.Pause.Seconds()
	if late < 0 {
		return 0 // every second beat is that late
	}
	return phiOf(late / max(h.sigma, a.MinSigma.Seconds()))
}

// phiOf is -log10 of the chance that a normal variable is more than z sigmas above its mean. Beyond 37 sigmas it is +Inf.
func phiOf(z float64) float64 { return -math.Log10(math.Erfc(z/math.Sqrt2) / 2) }
