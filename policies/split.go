package policies

import (
	"math"
	"slices"
)

// Split says how a view is divided among requests before a policy sees it, whatever the policy is. The zero value divides
// nothing: the first tier with anything up gets everything, and no zone is preferred.
type Split struct {
	// Overprovision above 0 lets tiers behind the first one share the traffic as soon as the first has less than
	// 1/Overprovision of its weight up; typically 1.4. See [Priorities].
	Overprovision float64
	// PanicBelow is the share of a cluster's weight, 0..1, below which health is ignored; 0 is never. With Overprovision
	// it goes by tier.
	PanicBelow float64
	// OwnZone keeps requests in the gateway's zone as far as that can bear them; see [Zones]. It takes ZoneMinimum
	// endpoints in all.
	OwnZone     bool
	ZoneMinimum int
	// Barred says of endpoints that they get nothing even in panic: an operator took them out, not an outage. nil: none.
	Barred func(i int) bool
	// Held says of endpoints that they stand by: they serve what is left over, and in panic. nil: none. See [Reserve].
	Held func(i int) bool
	// Counts is what endpoint i counts for when tiers share, in the unit of weights, so that tiers can get their traffic back
	// later than their endpoints. As long as those that count cannot bear everything, all that is up does. nil: all that is
	// up counts at once.
	Counts func(i int) float64
	// Need is what the first tier must bear, in the unit of weights; 0: the weight of all its endpoints.
	Need float64
}

// Part is a view for some of the requests.
type Part struct {
	View *View
	Upto uint32 // the requests whose number, even over 32 bits, is at most this
}

// For returns the view for a request that drew x: a part of v, or v itself if that is undivided.
func (v *View) For(x uint32) *View {
	for i := range v.Parts {
		if x <= v.Parts[i].Upto {
			return v.Parts[i].View
		}
	}
	return v
}

// Apply divides v, which nobody else knows yet. gen numbers the views that it makes.
func (s Split) Apply(v *View, gen func() uint32) {
	if s.Overprovision <= 0 && s.PanicBelow <= 0 && !s.OwnZone && s.Held == nil && s.Counts == nil || len(v.Table.Endpoints) == 0 || v.Panic {
		return
	}
	var parts []portion
	switch {
	case s.Overprovision > 0:
		parts = s.tiers(v)
	case s.Counts != nil:
		if parts = s.whole(v); !parts[0].panic {
			parts = s.tiers(v)
		}
	default:
		parts = s.whole(v)
	}
	if s.OwnZone && v.Table.SelfZone != 0 && len(v.Table.Endpoints) >= s.ZoneMinimum {
		parts = s.zones(v, parts)
	}
	if len(parts) == 0 || len(parts) == 1 && !parts[0].panic && parts[0].all {
		return
	}
	sum := 0.0
	for i, p := range parts {
		part := NewView(v.Table, gen(), false, p.has)
		part.Panic = p.panic
		sum += p.share
		upto := uint32(math.MaxUint32)
		if i < len(parts)-1 {
			upto = uint32(min(sum, 1) * math.MaxUint32)
		}
		v.Parts = append(v.Parts, Part{part, upto})
	}
}

// portion is a part in the making.
type portion struct {
	share float64
	panic bool
	all   bool // it is everything that the undivided view has
	has   func(i int) bool
}

// whole is one portion: all that is up, or, in panic, all there is.
func (s Split) whole(v *View) []portion {
	up, all := weights(v, func(int) bool { return true })
	if up < s.PanicBelow*all {
		return []portion{{share: 1, panic: true, has: func(i int) bool { return !s.barred(i) }}}
	}
	if s.Held != nil && slices.ContainsFunc(v.Up, func(i uint32) bool { return !s.Held(int(i)) }) {
		return []portion{{share: 1, has: func(i int) bool { return v.Usable(i) && !s.Held(i) }}}
	}
	// The first tier that has anything is what an undivided view comes to.
	return []portion{{share: 1, all: true, has: v.Usable}}
}

// tiers is a portion for each tier that gets traffic.
func (s Split) tiers(v *View) []portion {
	var parts []portion
	for tier, share := range s.Shares(v) {
		if share.Part > 0 {
			parts = append(parts, portion{share: share.Part, panic: share.Panic, all: share.Part == 1 && s.undivided(v, tier), has: func(i int) bool {
				return tierOf(v.Table.Endpoints[i]) == tier && (share.Panic && !s.barred(i) || v.Usable(i) && !s.held(i))
			}})
		}
	}
	return parts
}

// undivided reports whether a policy that sees the whole of v keeps to what is in service of tier.
func (s Split) undivided(v *View, tier int) bool {
	return tier == firstWeighted(v.Table) && !slices.ContainsFunc(v.Up[:v.TierEnd[tier]], func(i uint32) bool { return s.held(int(i)) })
}

// Shares is what each tier gets of the traffic that v is for.
func (s Split) Shares(v *View) [numTiers]Share {
	overprovision := s.Overprovision
	if overprovision <= 0 {
		overprovision = 1 / tolerance // the first tier with anything up gets everything
	}
	var up, counted []float64
	var tiers []int
	bearable := 0.0
	for tier := range numTiers {
		u, c, all := s.capacity(v, tier)
		if all == 0 {
			continue
		}
		if s.Need > 0 && tier == firstWeighted(v.Table) {
			all = s.Need
		}
		up = append(up, min(u/all, 1))
		counted = append(counted, min(c/all, 1))
		bearable += min(overprovision*c/all, 1)
		tiers = append(tiers, tier)
	}
	if bearable >= 1 {
		up = counted
	}
	var out [numTiers]Share
	for k, share := range Priorities(up, overprovision, s.PanicBelow) {
		out[tiers[k]] = share
	}
	return out
}

// capacity adds up the weights of a tier's endpoints: those that are up, what they count for, and all.
func (s Split) capacity(v *View, tier int) (up, counts, all float64) {
	for i, e := range v.Table.Endpoints {
		if tierOf(e) != tier {
			continue
		}
		all += float64(e.Weight)
		if !v.Usable(i) || s.held(i) {
			continue
		}
		up += float64(e.Weight)
		if s.Counts != nil {
			counts += s.Counts(i)
		}
	}
	if s.Counts == nil {
		counts = up
	}
	return up, counts, all
}

// firstWeighted is the first tier of t in which anything has a weight.
func firstWeighted(t *Table) int {
	first := numTiers
	for _, e := range t.Endpoints {
		if e.Weight > 0 {
			first = min(first, tierOf(e))
		}
	}
	return first
}

func (s Split) held(i int) bool { return s.Held != nil && s.Held(i) }

func (s Split) barred(i int) bool { return s.Barred != nil && s.Barred(i) }

// zones divides each portion that is not in panic.
func (s Split) zones(v *View, parts []portion) []portion {
	var out []portion
	for _, p := range parts {
		capacity := make([]float64, len(v.Table.Zones))
		total := 0.0
		tier := firstTier(v, p.has)
		for i, e := range v.Table.Endpoints {
			if e.Weight > 0 && p.has(i) && tierOf(e) == tier {
				capacity[e.Zone] += float64(e.Weight)
				total += float64(e.Weight)
			}
		}
		if p.panic || total == 0 || capacity[v.Table.SelfZone] == 0 {
			out = append(out, p)
			continue
		}
		for z := range capacity {
			capacity[z] /= total
		}
		for z, share := range Zones(capacity, int(v.Table.SelfZone)) {
			if share > 0 {
				out = append(out, portion{share: p.share * share, all: p.all && share == 1 && capacity[z] == 1, has: func(i int) bool {
					e := v.Table.Endpoints[i]
					return int(e.Zone) == z && tierOf(e) == tier && p.has(i)
				}})
			}
		}
	}
	return out
}

// firstTier is the first one of which has has any.
func firstTier(v *View, has func(int) bool) int {
	first := numTiers
	for i, e := range v.Table.Endpoints {
		if e.Weight > 0 && has(i) {
			first = min(first, tierOf(e))
		}
	}
	return first
}

// weights adds up the weights of the members, those that are up and all.
func weights(v *View, member func(i int) bool) (up, all float64) {
	for i, e := range v.Table.Endpoints {
		if !member(i) {
			continue
		}
		all += float64(e.Weight)
		if v.Usable(i) {
			up += float64(e.Weight)
		}
	}
	return up, all
}
