package policies

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	if got := p.at(0, 3); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	p.observe(0, 0, 10*time.Millisecond)
	p.observe(0, 20, 100*time.Millisecond)
	for inflight, want := range map[uint32]time.Duration{0: 10, 1: 10, 2: 10, 3: 10, 4: 100, 15: 100, 16: 100, 31: 100, 1000: 100} {
		if got := time.Duration(p.at(0, inflight)).Round(time.Millisecond) / time.Millisecond; got != want {
			t.Errorf("%d in flight: %d ms, want %d", inflight, got, want)
		}
	}
	if got := time.Duration(p.at(int64(peakDecay), 0)); got.Round(10*time.Microsecond) != 3680*time.Microsecond {
		t.Errorf("after the time of decay: %v, want 1/e of 10 ms", got)
	}
}
