package sim

import (
	"math"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Weights makes gateways weigh servers by what these report of themselves, in place of their own weights: requests a second
// over utilisation, which is what a server could do (gRFC A58). Until Blackout all weigh the same; then the weights follow
// each Every, and one that had nothing to do weighs as much as the average.
type Weights struct {
	Blackout time.Duration // default 10 s
	Every    time.Duration // default 1 s
}

// weigh makes the weights of the time since it last did.
func (w *World) weigh() error {
	c := w.config.Weights
	rates := make([]float64, len(w.servers))
	sum, known := 0.0, 0
	for i := range w.servers {
		s := &w.servers[i]
		s.settle(w.now)
		// What is served and what it took are of the same attempts but for those under way; over a second that is little.
		if served, busy := float64(s.served-s.servedThen), s.busy-s.busyThen; served > 0 && busy > 0 {
			rates[i] = served / busy
			sum += rates[i]
			known++
		}
		s.servedThen, s.busyThen = s.served, s.busy
	}
	if known < 2 || w.now < int64(c.Blackout) {
		return nil
	}
	most := 0.0
	for i, r := range rates {
		if r == 0 {
			rates[i] = sum / float64(known)
		}
		most = max(most, rates[i])
	}
	for i, r := range rates {
		w.servers[i].Weight = max(uint32(math.Round(r/most*policies.MaxWeight)), 1)
	}
	return w.rebuild()
}
