package policies

// Cover says what a cluster could lose.
type Cover struct {
	Need     float64 // what must be borne, in the unit of weights; endpoints where one of them is active
	Capacity float64 // of all that could serve now, spares and standbys included
	Largest  float64 // the capacity of the one whose loss would cost most
}

// CoverState is what a cover comes to.
type CoverState uint8

// States of cover.
const (
	Short     CoverState = iota // what is needed cannot be borne
	Exposed                     // it can, and not without each one of them
	Redundant                   // whichever one fails next, the others bear what is needed
)

// String returns "short", "exposed" or "redundant".
func (s CoverState) String() string { return [...]string{"short", "exposed", "redundant", ""}[s&3] }

// State answers whether N+1 is satisfied: only in state Redundant it is.
func (c Cover) State() CoverState {
	switch {
	case c.Capacity < c.Need-tolerance || c.Capacity <= 0:
		return Short
	case c.Capacity-c.Largest < c.Need-tolerance || c.Capacity-c.Largest <= 0:
		return Exposed
	}
	return Redundant
}

// Cover says what the members of the last step could lose.
func (r *Reserve) Cover() Cover { return r.cover }

// coverOf is the cover of members. What is needed is the weight of those in tier that are no spares, unless need says so.
func coverOf(members []Member, tier uint8, need float64) Cover {
	c := Cover{Need: need}
	all := 0.0
	for _, m := range members {
		c.Capacity += m.Capacity
		c.Largest = max(c.Largest, m.Capacity)
		if m.Tier != tier {
			continue
		}
		all += m.Weight
		if need == 0 && !m.Spare {
			c.Need += m.Weight
		}
	}
	if c.Need == 0 {
		c.Need = all // there is nothing but spares
	}
	return c
}
