package policies

import (
	"cmp"
	"math/bits"
	"slices"
)

// RingHash places each endpoint of a tier at many points of a ring, in proportion to its weight, and gives a key to the
// endpoint whose point follows the key's own (consistent hashing: Karger et al., STOC 1997; ketama and Envoy's ring_hash
// have the same form). Where that one is down or tried, the next point decides, so that the keys of a lost endpoint
// spread over all others and no other key moves. A request without a key gets an endpoint by chance.
type RingHash struct{}

// Points of a tier's ring. An endpoint's share is off by about 1/sqrt(its points): 160 points, as in ketama, are 8 %.
const (
	pointsPerEndpoint = 160 // on average
	pointsOfLightest  = 16
	minPoints         = 1024
	maxPoints         = 1 << 20
)

// maxSteps bounds how many points one pick walks past before rendezvous hashing decides.
const maxSteps = 256

// Build implements [Policy].
func (RingHash) Build(t *Table) (Picker, error) { return &ringHash{newRings(t)}, nil }

type ringHash struct{ tiers rings }

// Pick implements [Picker] in O(log points) while most of the tier is there, O(candidates) at worst.
func (p *ringHash) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	switch len(candidates) {
	case 0:
		return None
	case 1:
		return int(candidates[0])
	}
	if i := p.tiers.follow(r, v, candidates, func(*Endpoint) bool { return false }); i != None {
		return i
	}
	return highest(r, v, candidates, keyOf(r))
}

// rings are those of the tiers of a table.
type rings [numTiers]ring

func newRings(t *Table) (w rings) {
	for tier, members := range byTier(t) {
		w[tier] = newRing(t, members)
	}
	return w
}

// follow walks on from the key of r to the first endpoint that can take it and is not full, or gives up with None.
func (w *rings) follow(r *Request, v *View, candidates []uint32, full func(*Endpoint) bool) int {
	points := w[tierOf(v.Table.Endpoints[candidates[0]])]
	at := points.after(keyOf(r))
	for range min(maxSteps, len(points)) {
		if i := points[at].index; v.Usable(int(i)) && !r.HasTried(i) && !full(v.Table.Endpoints[i]) {
			return int(i)
		}
		if at++; at == len(points) {
			at = 0
		}
	}
	return None
}

// ring is sorted by place.
type ring []point

type point struct {
	place uint64
	index uint32 // into the table's endpoints
}

// newRing lays out members, whose weights are above 0. The points of a weight are fixed up to a power of two, so that an
// endpoint which comes or goes leaves the points of the others where they are, but for once in a while, when they
// double or halve.
func newRing(t *Table, members []uint32) ring {
	if len(members) == 0 {
		return nil
	}
	total, lightest := uint64(0), uint64(MaxWeight)
	for _, i := range members {
		weight := uint64(t.Endpoints[i].Weight)
		total += weight
		lightest = min(lightest, weight)
	}
	want := min(max(uint64(pointsPerEndpoint*len(members)), pointsOfLightest*total/lightest, minPoints), maxPoints)
	// Points are weight << up >> down: at least half of what is wanted, at most all of it.
	up, down := 0, 0
	if total <= want {
		up = bits.Len64(want/total) - 1
	} else {
		down = bits.Len64((total - 1) / want)
	}
	return layRing(t, members, up, down)
}

// layRing gives each of members weight << up >> down points, at least one.
func layRing(t *Table, members []uint32, up, down int) ring {
	var points ring
	for _, i := range members {
		e := t.Endpoints[i]
		for k := range max(uint64(e.Weight)<<up>>down, 1) {
			points = append(points, point{pairHash(k, e.IDHash), i})
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.index, b.index))
	})
	return points
}

// after returns the index of the first point at or after place, round the end.
func (p ring) after(place uint64) int {
	lo, hi := 0, len(p)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if p[mid].place < place {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(p) {
		return 0
	}
	return lo
}
