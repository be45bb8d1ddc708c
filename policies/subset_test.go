package policies_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-lb/weir/policies"
)

// chosen returns the hashes that a gateway chooses.
func chosen(hashes []uint64, gateway uint64, size int) (out []uint64) {
	for _, i := range policies.Subset(hashes, gateway, size) {
		out = append(out, hashes[i])
	}
	return out
}

func TestSubset(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	const gateways, endpoints, size = 1000, 200, 20
	hashes := make([]uint64, endpoints)
	for i := range hashes {
		hashes[i] = g.Uint64()
	}
	t.Run("every endpoint is chosen by about as many gateways", func(t *testing.T) {
		count := make([]int, endpoints)
		for gateway := range uint64(gateways) {
			s := policies.Subset(hashes, gateway, size)
			if len(s) != size || !slices.IsSorted(s) || len(slices.Compact(slices.Clone(s))) != size {
				t.Fatalf("gateway %d chose %v, want %d different ones in order", gateway, s, size)
			}
			for _, i := range s {
				count[i]++
			}
		}
		// Binomial(1000, 0.1): mean 100, deviation 9.5. The deviation of 200 such counts is itself within 15 % of that.
		variance := 0.0
		for _, n := range count {
			variance += float64((n-100)*(n-100)) / endpoints
		}
		if d := math.Sqrt(variance); d < 8 || d > 11 {
			t.Errorf("the counts deviate by %.1f from 100, want about 9.5", d)
		}
		if least, most := slices.Min(count), slices.Max(count); least < 60 || most > 140 {
			t.Errorf("an endpoint is chosen by %d to %d gateways, want about 100", least, most)
		}
	})
	t.Run("one endpoint more or less changes one choice at most", func(t *testing.T) {
		changes := 0
		for gateway := range uint64(gateways) {
			before := chosen(hashes, gateway, size)
			for what, after := range map[string][]uint64{
				"went": chosen(hashes[1:], gateway, size),
				"came": chosen(append(slices.Clone(hashes), 42), gateway, size),
			} {
				lost := 0
				for _, h := range before {
					if !slices.Contains(after, h) {
						lost++
					}
				}
				if lost > 1 {
					t.Fatalf("gateway %d changed %d of its endpoints when one %s", gateway, lost, what)
				}
				changes += lost
			}
		}
		if changes < 140 || changes > 260 {
			t.Errorf("%d of 2000 choices changed, want about 200: each has a tenth of the endpoints", changes)
		}
	})
	t.Run("order does not matter", func(t *testing.T) {
		shuffled := slices.Clone(hashes)
		g.Shuffle(endpoints, func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
		a, b := chosen(hashes, 7, size), chosen(shuffled, 7, size)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%v and %v", a, b)
		}
	})
	t.Run("few endpoints are all chosen", func(t *testing.T) {
		if s := policies.Subset(hashes[:3], 1, 3); !slices.Equal(s, []int{0, 1, 2}) {
			t.Errorf("chose %v", s)
		}
	})
}
