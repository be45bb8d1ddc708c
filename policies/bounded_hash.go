package policies

// BoundedHash is ring_hash that lets no endpoint have more than 1.25 times its part of the requests in flight: a key whose
// endpoint is full goes on along the ring to the next that is not (consistent hashing with bounded loads: Mirrokni,
// Thorup and Zadimoghaddam, SODA 2018; HAProxy's hash-balance-factor 125). A hot key costs its neighbours on the ring, not
// its endpoint.
type BoundedHash struct{}

// The bound: an endpoint may have this many hundredths of its part.
const boundedPercent = 125

// Build implements [Policy].
func (BoundedHash) Build(t *Table) (Picker, error) {
	p := new(boundedHash)
	for tier, members := range byTier(t) {
		p.tiers[tier] = newRing(t, members)
	}
	return p, nil
}

type boundedHash struct{ tiers [numTiers]ring }

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
	points := p.tiers[tierOf(v.Table.Endpoints[candidates[0]])]
	at := points.after(keyOf(r))
	for range min(maxSteps, len(points)) {
		if i := points[at].index; v.Usable(int(i)) && !r.HasTried(i) && !full(v.Table.Endpoints[i]) {
			return int(i)
		}
		if at++; at == len(points) {
			at = 0
		}
	}
	return leastRequest{}.Pick(r, v)
}
