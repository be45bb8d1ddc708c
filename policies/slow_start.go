package policies

import (
	"math"
	"time"
)

// SlowStart lets endpoints that have just come, or come back, take their load by degrees (Envoy: slow start mode).
type SlowStart struct {
	Window     time.Duration // 0 is off
	Aggression float64       // 1 is linear; above 1 the ramp is steep at first, below 1 at the end
	Minimum    float64       // 0..1: the least share of its weight that an endpoint has
}

// Share returns which share of its weight an endpoint has, 0..1, that came age ago:
// max(minimum, (max(age, 1 s) / window)^(1/aggression)).
func (s SlowStart) Share(age time.Duration) float64 {
	if s.Window <= 0 || age >= s.Window {
		return 1
	}
	passed := max(age.Seconds(), 1) / s.Window.Seconds()
	return min(1, max(s.Minimum, math.Pow(passed, 1/s.Aggression)))
}
