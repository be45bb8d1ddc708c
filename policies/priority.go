package policies

// Share is the part of the traffic that a tier or a zone gets, 0..1.
type Share struct {
	Part  float64
	Panic bool // so few are up that health is to be ignored there
}

// Priorities divides the traffic among the tiers of a cluster, preferred ones first. A tier in which the share up[i] of
// the capacity is up can bear overprovision times that share, 1 at most; what it cannot bear goes to the tiers after
// it. If all of them together cannot bear everything, each gets in proportion, and those with less than panicBelow up
// are in panic. It is what Envoy does by default with overprovision 1.4 and panicBelow 0.5 (load_balancers: priority
// levels, panic threshold). Nothing up anywhere leaves everything to the first tier.
func Priorities(up []float64, overprovision, panicBelow float64) []Share {
	shares := make([]Share, len(up))
	bearable := 0.0
	for i, u := range up {
		shares[i].Part = min(overprovision*u, 1)
		bearable += shares[i].Part
	}
	total := min(bearable, 1)
	if total == 0 {
		for i := range shares {
			shares[i] = Share{Panic: panicBelow > 0}
		}
		if len(shares) > 0 {
			shares[0].Part = 1
		}
		return shares
	}
	left := 1.0
	for i := range shares {
		s := &shares[i]
		s.Part = min(s.Part/total, left)
		s.Panic = total < 1 && up[i] < panicBelow
		left -= s.Part
	}
	if left > 0 { // rounding
		shares[len(shares)-1].Part += left
	}
	return shares
}

// Zones divides the traffic of a gateway in one zone among all zones, given the share of the capacity in each; self is the
// gateway's own. It keeps what its zone can bear and hands the rest to zones that have more than their gateways bring
// them, in proportion to that surplus, so that the endpoints of all zones are loaded alike (Envoy: zone aware routing).
// Gateways are taken to be spread evenly over the zones that have endpoints.
func Zones(capacity []float64, self int) []float64 {
	parts := make([]float64, len(capacity))
	zones := 0
	for _, c := range capacity {
		if c > 0 {
			zones++
		}
	}
	if zones == 0 || self < 0 || self >= len(capacity) || capacity[self] == 0 {
		copy(parts, capacity)
		return parts
	}
	brings := 1 / float64(zones)
	local := min(1, capacity[self]/brings)
	surplus := 0.0
	for _, c := range capacity {
		surplus += max(c-brings, 0)
	}
	for i, c := range capacity {
		if surplus > 0 {
			parts[i] = (1 - local) * max(c-brings, 0) / surplus
		}
	}
	parts[self] += local
	if surplus == 0 {
		parts[self] = 1
	}
	return parts
}
