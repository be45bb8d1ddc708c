package gateway

import (
	"testing"

	"github.com/weir-lb/weir/wasmhost"
)

func TestMedian(t *testing.T) {
	var h wasmhost.Histogram
	if got := median(h); got != 0 {
		t.Errorf("of nothing %v, want 0", got)
	}
	h.Counts[7] = 100 // 64..127
	if got := median(h); got != 96 {
		t.Errorf("of a hundred values from 64 to 127 %v, want 96", got)
	}
	h.Counts[20] = 99 // a few calls that were interrupted
	if got := median(h); got < 120 || got > 128 {
		t.Errorf("%v, want close to 128", got)
	}
}
