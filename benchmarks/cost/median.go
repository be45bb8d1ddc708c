//go:build linux

package cost

import (
	"cmp"
	"math"
	"slices"
)

// quantile returns the element of a sorted slice at or above a share q of it (nearest rank), and zero of an empty one.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// Spread is the middle of some figures, and the least and the greatest of them.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// spread is the mean of the two in the middle where their number is even, and N is 0 of none.
func spread(figures []float64) Spread {
	n := len(figures)
	if n == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(figures))
	return Spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1], n}
}
