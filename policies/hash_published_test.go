package policies

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-lb/weir/internal/experiments"
)

const maglevPaper = "Eisenbud et al.: Maglev, NSDI 2016"

// fleetOf is a table of n endpoints of that weight, with identities that follow from g.
func fleetOf(g *rand.Rand, n int, weight uint32) *Table {
	t := &Table{Gen: 1}
	for range n {
		t.Endpoints = append(t.Endpoints, &Endpoint{IDHash: g.Uint64(), Weight: weight, State: NewState(Up)})
	}
	return t
}

func everyone(t *Table) []uint32 { return byTier(t)[0] }

// differ counts the places at which two sequences differ.
func differ[E comparable](a, b []E) (n float64) {
	for k := range max(len(a), len(b)) {
		if k >= len(a) || k >= len(b) || a[k] != b[k] {
			n++
		}
	}
	return n
}

// TestPublishedG3 holds Maglev's tables: table 1 of the paper, which has three endpoints and seven slots, and shares.
func TestPublishedG3(t *testing.T) {
	row := func(what string, published, ours float64) {
		experiments.Hold(t, experiments.Row{ID: "G3", What: what, Source: maglevPaper, Published: published, Ours: ours})
	}
	seats := func() []maglevSeat {
		return []maglevSeat{{0, 1, 3, 4, 0}, {1, 1, 0, 2, 0}, {2, 1, 3, 1, 0}}
	}
	row("Maglev, table 1: slots that differ", 0, differ(fillMaglev(seats(), 7), []uint32{1, 0, 1, 0, 2, 2, 0}))
	row("Maglev, table 1 without B1: slots that differ", 0,
		differ(fillMaglev(slices.Delete(seats(), 1, 2), 7), []uint32{0, 0, 0, 0, 2, 2, 2}))
	for _, c := range []struct {
		n    int
		size uint32
	}{{1000, maglevSize}, {1000, maglevLarge}, {3, maglevSize}} {
		tab := fleetOf(rand.New(rand.NewPCG(1, uint64(c.n))), c.n, 7)
		count := make([]int, c.n)
		for _, i := range maglevSlots(tab, everyone(tab), c.size) {
			count[i]++
		}
		what := fmt.Sprintf("Maglev, %d endpoints in %d slots: ", c.n, c.size)
		row(what+"fewest slots of one", math.Floor(float64(c.size)/float64(c.n)), float64(slices.Min(count)))
		row(what+"most slots of one", math.Ceil(float64(c.size)/float64(c.n)), float64(slices.Max(count)))
	}
	// Each order of preference has every slot once.
	repeated := 0.0
	g := rand.New(rand.NewPCG(2, 3))
	for range 50 {
		s := maglevSeat{next: g.Uint32N(maglevSize), skip: 1 + g.Uint32N(maglevSize-1)}
		seen := make([]bool, maglevSize)
		for range maglevSize {
			if seen[s.next] {
				repeated++
			}
			seen[s.next] = true
			s.step(maglevSize)
		}
	}
	row("Maglev, orders of preference: slots that come twice", 0, repeated)
}

// TestPublishedE6Churn is figure 12 of the Maglev paper: of 1000 endpoints k go, and what counts are the slots of others
// that change hands. The paper has a plot; its figures were computed from the definition.
func TestPublishedE6Churn(t *testing.T) {
	const n = 1000
	for _, size := range []uint32{maglevSize, maglevLarge} {
		published := []float64{0.58, 1.02, 1.81, 2.37, 2.66, 2.79}
		if size == maglevLarge {
			published = []float64{0.32, 0.36, 0.46, 0.57, 0.70, 0.78}
		}
		for c, k := range []int{1, 2, 5, 10, 20, 30} {
			trials := 20
			if !experiments.Whole() {
				if trials = 4; size == maglevLarge {
					trials = 1
				}
				if k != 1 && k != 10 {
					continue
				}
			}
			g := rand.New(rand.NewPCG(uint64(k), uint64(size)))
			changed := 0
			for range trials {
				tab := fleetOf(g, n, 1)
				before := maglevSlots(tab, everyone(tab), size)
				gone := g.Perm(n)[:k]
				left := slices.DeleteFunc(everyone(tab), func(i uint32) bool { return slices.Contains(gone, int(i)) })
				for slot, i := range maglevSlots(tab, left, size) {
					if i != before[slot] && !slices.Contains(gone, int(before[slot])) {
						changed++
					}
				}
			}
			experiments.Hold(t, experiments.Row{
				ID: "E6", What: fmt.Sprintf("Maglev, %d slots, %d of %d go: slots of others that change hands", size, k, n),
				Source:    maglevPaper + ", figure 12; computed",
				Published: published[c], Ours: 100 * float64(changed) / float64(trials) / float64(size), Tolerance: 0.1, Unit: "%",
			})
		}
	}
}

// TestPublishedG4 holds numbers that others compute: those of Guava's tests (HashingTest, consistentHash), and that a number
// more takes its part from all others.
func TestPublishedG4(t *testing.T) {
	row := func(what, source string, published, ours, tolerance float64, unit string) {
		experiments.Hold(t, experiments.Row{ID: "G4", What: what, Source: source, Published: published, Ours: ours, Tolerance: tolerance, Unit: unit})
	}
	var numbers []int
	for key := range uint64(20) {
		numbers = append(numbers, jumpNumber(key, 100))
	}
	const guava = "google/guava, HashingTest; the last four computed"
	row("jump hash, keys 0..19 among 100: numbers that differ", guava,
		0, differ(numbers, []int{0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83}), 0, "")
	for _, c := range []struct {
		key       uint64
		n, number int
	}{
		{10863919174838991, 11, 6},
		{2016238256797177309, 11, 3},
		{1673758223894951030, 11, 5},
		{2, 100_001, 80343},
		{2201, 100_001, 22152},
		{2202, 100_001, 15018},
		{1, 1, 0},
		{42, 57, 43},
		{0xDEAD10CC, 666, 361},
		{256, 1024, 520},
	} {
		row(fmt.Sprintf("jump hash, key %d among %d", c.key, c.n), guava, float64(c.number), float64(jumpNumber(c.key, c.n)), 0, "")
	}
	const keys = 200_000
	const paper = "Lamping, Veach: A fast, minimal memory, consistent hash algorithm, 2014"
	g := rand.New(rand.NewPCG(4, 4))
	moved, elsewhere := 0, 0
	for range keys {
		key := g.Uint64()
		before, after := jumpNumber(key, 10), jumpNumber(key, 11)
		if before != after {
			moved++
			if after != 10 {
				elsewhere++
			}
		}
	}
	row("jump hash, from 10 to 11: keys that move", paper, 100./11, 100*float64(moved)/keys, 0.2, "%")
	row("jump hash, from 10 to 11: keys that move, but not to the new one", paper, 0, float64(elsewhere), 0, "")
}

// TestPublishedE6Ring is table 1 of Lamping and Veach: how unequal a ring of so many points an endpoint is. Shares are
// exact lengths of arcs, of the ring as it is laid.
func TestPublishedE6Ring(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		points    uint32
		rings     int
		deviation float64
		low, high float64 // 99 % of shares are between; 0: not held, the tail is too long
	}{
		{1, 40, 0.998, 0, 0}, {10, 20, 0.315, 0, 0}, {100, 10, 0.0997, 0.76, 1.28}, {1000, 3, 0.0316, 0.92, 1.09},
	} {
		if c.points == 1000 && !experiments.Whole() {
			continue
		}
		g := rand.New(rand.NewPCG(uint64(c.points), 6))
		var shares []float64 // of the mean
		for range c.rings {
			tab := fleetOf(g, n, c.points)
			shares = append(shares, arcs(layRing(tab, everyone(tab), 0, 0), n)...)
		}
		what := fmt.Sprintf("ring of %d points an endpoint: ", c.points)
		const source = "Lamping, Veach: A fast, minimal memory, consistent hash algorithm, 2014, table 1"
		rows := []experiments.Row{{ID: "E6", What: what + "standard deviation of shares", Source: source, Published: c.deviation, Ours: deviation(shares), Tolerance: 0.03 * c.deviation}}
		if c.low > 0 {
			slices.Sort(shares)
			rows = append(
				rows,
				experiments.Row{ID: "E6", What: what + "0.5 % of shares are below", Source: source, Published: c.low, Ours: shares[len(shares)/200], Tolerance: 0.02},
				experiments.Row{ID: "E6", What: what + "0.5 % of shares are above", Source: source, Published: c.high, Ours: shares[len(shares)-1-len(shares)/200], Tolerance: 0.02},
			)
		}
		experiments.Hold(t, rows...)
	}
	g := rand.New(rand.NewPCG(7, 6))
	var shares []float64
	for range 10 {
		tab := fleetOf(g, n, 1)
		shares = append(shares, arcs(newRing(tab, everyone(tab)), n)...)
	}
	experiments.Hold(t, experiments.Row{
		ID: "E6", What: "ring_hash as built, 1000 endpoints: standard deviation of shares", Source: "computed: 1/sqrt(128 points)",
		Published: 1 / math.Sqrt(128), Ours: deviation(shares), Tolerance: 0.03 / math.Sqrt(128),
	})
}

// arcs returns which part of all keys each of n endpoints has, as a multiple of the mean.
func arcs(r ring, n int) []float64 {
	shares := make([]float64, n)
	last := r[len(r)-1].place
	for _, p := range r {
		shares[p.index] += float64(p.place-last) / (1 << 64) * float64(n)
		last = p.place
	}
	return shares
}

// deviation is the standard deviation of shares whose mean is 1.
func deviation(shares []float64) float64 {
	sum := 0.0
	for _, s := range shares {
		sum += (s - 1) * (s - 1)
	}
	return math.Sqrt(sum / float64(len(shares)))
}

// TestPublishedE6Rendezvous counts keys as the Maglev paper does in figure 11: as many as Maglev has slots, of 1000
// endpoints. The most of 1000 Poisson numbers is what chance makes of it: 37 to 65 % by seed.
func TestPublishedE6Rendezvous(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		keys                 int
		published, tolerance float64
	}{{maglevSize, 49.5, 15.5}, {maglevLarge, 12.3, 2}} {
		if c.keys == maglevLarge && !experiments.Whole() {
			continue
		}
		g := rand.New(rand.NewPCG(8, uint64(c.keys)))
		tab := fleetOf(g, n, 1)
		v := NewView(tab, 1, false, allUp)
		count := make([]int, n)
		for range c.keys {
			count[rendezvous{}.Pick(&Request{Flags: HasKey, KeyHash: g.Uint64()}, v)]++
		}
		experiments.Hold(t, experiments.Row{
			ID: "E6", What: fmt.Sprintf("rendezvous, %d keys: what the fullest of %d endpoints has above the mean", c.keys, n),
			Source: maglevPaper + ", section 5.3", Published: c.published,
			Ours: 100 * (float64(slices.Max(count))*n/float64(c.keys) - 1), Tolerance: c.tolerance, Unit: "%",
		})
	}
}
