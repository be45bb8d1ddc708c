package policies

// BoundedHash is ring_hash that lets no endpoint have more than 1.25 times its part of the requests in flight: a key whose
// endpoint is full goes on along the ring to the next that is not (consistent hashing with bounded loads: Mirrokni,
// Thorup and Zadimoghaddam, SODA 2018; HAProxy's hash-balance-factor 125). A hot key costs its neighbours on the ring, not
// its endpoint.
type BoundedHash struct{}

// The bound: an endpoint may have this many hundredths of its part.
const boundedPercent = 125

// Build implements [Policy].
func (BoundedHash) Build(t *Table) (Picker, error) { return &boundedHash{newRings(t)}, nil }

type boundedHash struct{ tiers rings }

// Pick implements [Picker] in O(candidates), for the sum of requests in flight.
func (p *boundedHash) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	switch len(candidates) {
	case 0:
		return None
	case 1:
		return int(candidates[0])
	}
	requests, weights := uint64(1), uint64(0) // this one counts
	for _, i := range candidates {
		e := v.Table.Endpoints[i]
		requests += uint64(e.Inflight())
		weights += uint64(e.Weight)
	}
	full := func(e *Endpoint) bool {
		// in flight >= ceil(1.25 * requests * weight / weights)
		return uint64(e.Inflight())*weights*100 >= boundedPercent*requests*uint64(e.Weight)
	}
	if i := p.tiers.follow(r, v, candidates, full); i != None {
		return i
	}
	return leastRequest{}.Pick(r, v)
}
