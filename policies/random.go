package policies

// Random draws an endpoint of the first usable tier by weight, whatever its load. It shares nothing and remembers
// nothing; p2c costs one more draw and is better at everything. It is the baseline that others are measured against.
type Random struct{}

// Build implements [Policy].
func (Random) Build(t *Table) (Picker, error) { return &random{newAliases(t)}, nil }

type random struct{ tiers aliases }

// Pick implements [Picker] in O(1) while most of the tier's weight is there, O(candidates) at worst.
func (p *random) Pick(r *Request, v *View) int {
	candidates := v.Candidates(r)
	if candidates == nil {
		return None
	}
	g := splitmix(r.Rand)
	return draw(r, v, p.tiers[tierOf(v.Table.Endpoints[candidates[0]])], candidates, None, &g)
}
