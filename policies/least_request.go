package policies

// LeastRequest takes the endpoint of the first usable tier with the fewest requests in flight for its weight, that is
// the least (in flight + 1) / weight: join the shortest queue (HAProxy calls it leastconn). Of several it takes any, by
// chance: with a fixed order the first endpoints would get all the traffic of a quiet cluster. It looks at every candidate;
// above some 64 endpoints p2c is nearly as good and far cheaper.
type LeastRequest struct{}

// Build implements [Policy].
func (LeastRequest) Build(*Table) (Picker, error) { return leastRequest{}, nil }

type leastRequest struct{}

// Pick implements [Picker] in O(candidates).
func (leastRequest) Pick(r *Request, v *View) int {
	best := None
	var load, weight, ties uint64 // load/weight is the least so far
	g := splitmix(r.Rand)
	for _, i := range v.Candidates(r) {
		e := v.Table.Endpoints[i]
		l, w := uint64(e.Inflight())+1, uint64(e.Weight)
		x, y := l*weight, load*w
		if best != None && x > y || r.HasTried(i) {
			continue
		}
		if best == None || x < y {
			ties = 0
		}
		ties++
		if ties == 1 || g.below(ties) == 0 {
			best, load, weight = int(i), l, w
		}
	}
	return best
}
