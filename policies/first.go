package policies

// First takes the first endpoint, in the order of the table, of the first usable tier: one serves, the others stand by
// (HAProxy's first, without a limit of connections). Everything that is untried and better placed comes before.
type First struct{}

// Build implements [Policy].
func (First) Build(*Table) (Picker, error) { return first{}, nil }

type first struct{}

// Pick implements [Picker] in O(endpoints tried).
func (first) Pick(r *Request, v *View) int {
	for _, i := range v.Candidates(r) {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return None
}
