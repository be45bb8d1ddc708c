package cluster

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestWaitsEndOnSteps(t *testing.T) {
	for range 1000 {
		d := 8*step + rand.N(time.Minute)
		before := time.Now()
		got := together(d)
		took := time.Duration(time.Now().UnixNano() - before.UnixNano()) // on the clock that steps are of
		if got < d-step/2-took || got > d+step/2 {
			t.Fatalf("a wait of %v became %v; want at most half a step's difference", d, got)
		}
		at := (time.Duration(before.UnixNano()) + phase + got) % step
		if at > 0 && at < step-took {
			t.Fatalf("a wait of %v ends %v after a step", got, at)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond, 8*step - 1} {
		if got := together(d); got != d {
			t.Errorf("a short wait of %v became %v", d, got)
		}
	}
}
