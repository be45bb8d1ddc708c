package experiments

import (
	"math"
	"testing"
)

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want bool
	}{
		{Row{Published: 10, Ours: 10.2, Tolerance: 0.2}, true},
		{Row{Published: 10, Ours: 9.79, Tolerance: 0.2}, false},
		{Row{Published: 3, Ours: 3}, true},
		{Row{Published: 3, Ours: 3.001}, false},
		{Row{Published: 5, Ours: -100, Kind: AtMost}, true},
		{Row{Published: 5, Ours: 5.1, Kind: AtMost}, false},
		{Row{Published: 5, Ours: 5.1, Kind: AtLeast}, true},
		{Row{Published: 5, Ours: 4.9, Tolerance: 0.05, Kind: AtLeast}, false},
		{Row{Published: 5, Ours: math.NaN(), Tolerance: 1}, false},
		{Row{Published: 5, Ours: math.NaN(), Kind: AtLeast}, false},
	} {
		if got := c.row.Within(); got != c.want {
			t.Errorf("%+v: got %t", c.row, got)
		}
	}
}
