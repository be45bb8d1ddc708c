package policies

const numTiers = len(View{}.TierEnd)

// tierOf is the tier of e as views see it: tiers above the last are folded into it.
func tierOf(e *Endpoint) int { return min(int(e.Tier), numTiers-1) }

// byTier lists the indexes of t's endpoints with a weight, tier by tier. These are the members of any view's tiers, so
// what is built over them stays right as health changes.
func byTier(t *Table) [numTiers][]uint32 {
	var members [numTiers][]uint32
	for i, e := range t.Endpoints {
		if e.Weight > 0 {
			members[tierOf(e)] = append(members[tierOf(e)], uint32(i))
		}
	}
	return members
}

// scanWeighted draws one of candidates by weight, leaving out what r has tried and endpoint not (None: leaves out no
// other). It is the way out when draws from a table over all members keep missing, and costs two passes.
func scanWeighted(r *Request, v *View, candidates []uint32, not int, g *splitmix) int {
	var total uint64
	for _, i := range candidates {
		if int(i) != not && !r.HasTried(i) {
			total += uint64(v.Table.Endpoints[i].Weight)
		}
	}
	x := g.below(total)
	for _, i := range candidates {
		if int(i) == not || r.HasTried(i) {
			continue
		}
		w := uint64(v.Table.Endpoints[i].Weight)
		if x < w {
			return int(i)
		}
		x -= w
	}
	return None
}
