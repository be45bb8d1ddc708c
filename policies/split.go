package policies

import "math"

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
	if s.Overprovision <= 0 && s.PanicBelow <= 0 && !s.OwnZone || len(v.Table.Endpoints) == 0 || v.Panic {
		return
	}
	var parts []portion
	if s.Overprovision > 0 {
		parts = s.tiers(v)
	} else {
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
	// The first tier that has anything is what an undivided view comes to.
	return []portion{{share: 1, all: true, has: v.Usable}}
}

// tiers is a portion for each tier that gets traffic.
func (s Split) tiers(v *View) []portion {
	var up []float64
	var tiers []int
	for tier := range numTiers {
		if u, all := weights(v, func(i int) bool { return tierOf(v.Table.Endpoints[i]) == tier }); all > 0 {
			up = append(up, u/all)
			tiers = append(tiers, tier)
		}
	}
	var parts []portion
	for k, share := range Priorities(up, s.Overprovision, s.PanicBelow) {
		if share.Part > 0 {
			tier := tiers[k]
			parts = append(parts, portion{share: share.Part, panic: share.Panic, all: share.Part == 1 && k == 0, has: func(i int) bool {
				return tierOf(v.Table.Endpoints[i]) == tier && (share.Panic && !s.barred(i) || v.Usable(i))
			}})
		}
	}
	return parts
}

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
