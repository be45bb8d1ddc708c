package workbench

import (
	"testing"

	"github.com/weir-lb/weir/policies"
)

// wasteful allocates in every second pick.
type wasteful struct {
	n    int
	kept *[64]byte
}

func (w *wasteful) Pick(*policies.Request, *policies.View) int {
	if w.n++; w.n%2 == 0 {
		w.kept = new([64]byte)
	}
	return 0
}

func TestBenchCountsAllocationsThatSomePicksMake(t *testing.T) {
	if got := allocations(new(wasteful), nil); got < 0.5 || got > 0.51 {
		t.Errorf("%v allocations a pick, want 0.5", got)
	}
	if got := allocations(policies.Picker(null{}), &policies.View{Up: []uint32{0}}); got != 0 {
		t.Errorf("%v allocations a pick, want 0", got)
	}
}
