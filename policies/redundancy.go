package policies

import (
	"cmp"
	"slices"
	"time"
)

// RedundancyMode is how endpoints stand by for one another.
type RedundancyMode uint8

// Modes.
const (
	// ByTier: whatever is up in a tier gets traffic; see [Split].
	ByTier RedundancyMode = iota
	// OneActive is 1+1: one endpoint gets all traffic, the others stand by for it.
	OneActive
	// WithSpares is N+1: spares get traffic while those that are not spares cannot bear what is needed.
	WithSpares
)

// String returns "tiers", "1+1" or "n+1".
func (m RedundancyMode) String() string { return [...]string{"tiers", "1+1", "n+1", ""}[m&3] }

// Redundancy says who stands by, and when traffic goes back.
type Redundancy struct {
	Mode RedundancyMode
	// Need is the capacity that must serve with [WithSpares], in the unit of weights; 0: that of all that are no spares.
	Need float64
	// Hold is how long an endpoint that came back must stay before traffic goes back to it. It doubles, up to 16 times, with
	// each loss within ten Holds of the one before.
	Hold time.Duration
	// Manual leaves the way back to an operator: see [Reserve.FailBack].
	Manual bool
}

// Member is an endpoint as [Reserve] sees it.
type Member struct {
	Num      uint32 // of the endpoint, see Endpoint.Num
	Tier     uint8  // 0 is preferred
	Spare    bool
	Weight   float64 // what it can bear when all is well
	Capacity float64 // what it can bear now; 0: it gets no traffic
}

// Reserve decides, as capacities change, which members are held in reserve. It is not for concurrent use. The zero value has
// seen nothing yet; what is there at the first step counts at once.
type Reserve struct {
	known  map[uint32]*standing
	steps  uint64
	held   map[uint32]bool
	active uint32 // of OneActive; 0: none yet
	asked  bool   // an operator wants traffic back
	cover  Cover
}

// Move is a change of who serves.
type Move struct {
	Num  uint32 // the endpoint that came into service, or left it
	In   bool
	Back bool // since a better one is there again; else since capacity was lost
}

// Step takes what all members can bear now and returns what changed by that. changed reports whether anything did that
// [Reserve.Held] or [Reserve.Counts] tell. Members are in order of preference within their tier. The moves of OneActive
// are one in and one out; the first step moves nothing.
func (r *Reserve) Step(now time.Time, d Redundancy, members []Member) (moves []Move, changed bool) {
	first := r.steps == 0
	r.steps++
	if r.known == nil {
		r.known = map[uint32]*standing{}
	}
	for _, m := range members {
		s := r.known[m.Num]
		if s == nil {
			s = &standing{}
			if first {
				s.steady, s.up = m.Capacity, m.Capacity > 0
			}
			r.known[m.Num] = s
		}
		was := s.counts()
		if r.asked {
			*s = standing{steady: m.Capacity, up: m.Capacity > 0}
		}
		s.take(now, m.Capacity, d)
		s.seen = r.steps
		changed = changed || s.counts() != was
	}
	for num, s := range r.known {
		if s.seen != r.steps {
			delete(r.known, num)
			changed = true
		}
	}
	switch d.Mode {
	case OneActive:
		moves = r.oneActive(d, members)
	case WithSpares:
		moves = r.withSpares(d, members)
	default:
		r.held = nil
		r.cover = coverOf(members, lowest(members), d.Need)
	}
	r.asked = false
	if first {
		return nil, true
	}
	return moves, changed || len(moves) > 0
}

// FailBack lets traffic go back at the next step, whatever Hold and Manual say.
func (r *Reserve) FailBack() { r.asked = true }

// Held reports whether the endpoint is in reserve: it serves only what nobody else can.
func (r *Reserve) Held(num uint32) bool { return r.held[num] }

// Counts is what the endpoint counts for when traffic is divided among tiers, in the unit of its weight.
func (r *Reserve) Counts(num uint32) float64 {
	if s := r.known[num]; s != nil {
		return s.counts()
	}
	return 0
}

// Need is what the first tier has to bear; 0 if that is the weight of all its endpoints.
func (r *Reserve) Need(d Redundancy) float64 {
	if d.Mode == WithSpares {
		return r.cover.Need
	}
	return 0
}

// oneActive keeps one member in service.
func (r *Reserve) oneActive(d Redundancy, members []Member) []Move {
	order := slices.Clone(members)
	slices.SortStableFunc(order, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), boolCompare(a.Spare, b.Spare))
	})
	at := slices.IndexFunc(order, func(m Member) bool { return m.Num == r.active })
	next := at
	switch {
	case at < 0 || order[at].Capacity <= 0:
		steady := func(m Member) bool { return m.Capacity > 0 && r.known[m.Num].steady > 0 }
		if next = slices.IndexFunc(order, steady); next < 0 {
			next = slices.IndexFunc(order, func(m Member) bool { return m.Capacity > 0 })
		}
		if next < 0 {
			next = max(at, 0)
		}
	case !d.Manual || r.asked:
		better := slices.IndexFunc(order, func(m Member) bool { return r.known[m.Num].counts() > 0 })
		if better >= 0 && better < at {
			next = better
		}
	}
	r.cover = Cover{Need: 1}
	r.held = make(map[uint32]bool, len(order))
	for i, m := range order {
		r.held[m.Num] = i != next
		if m.Capacity > 0 {
			r.cover.Capacity++
			r.cover.Largest = 1
		}
	}
	if next == at || len(order) == 0 {
		return nil
	}
	was := r.active
	r.active = order[next].Num
	back := at > next && order[at].Capacity > 0
	return []Move{{Num: r.active, In: true, Back: back}, {Num: was, Back: back}}
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// withSpares calls spares in, the first ones first, until those in service bear what is needed, and lets them go, the last
// ones first, when the others have borne it for long enough.
func (r *Reserve) withSpares(d Redundancy, members []Member) (moves []Move) {
	tier := lowest(members)
	r.cover = coverOf(members, tier, d.Need)
	need := r.cover.Need - tolerance
	first := r.held == nil
	held := make(map[uint32]bool, len(r.held))
	now, steady := 0.0, 0.0 // what those in service bear
	var spares []Member
	for _, m := range members {
		if m.Tier != tier {
			continue
		}
		if m.Spare {
			spares = append(spares, m)
			wasHeld, known := r.held[m.Num]
			held[m.Num] = wasHeld || !known
		}
		if !held[m.Num] {
			now += m.Capacity
			steady += r.known[m.Num].counts()
		}
	}
	call := func(ok func(m Member) bool) {
		for _, m := range spares {
			if now < need && held[m.Num] && m.Capacity > 0 && ok(m) {
				held[m.Num] = false
				now += m.Capacity
				steady += r.known[m.Num].counts()
				moves = append(moves, Move{Num: m.Num, In: true})
			}
		}
	}
	call(func(m Member) bool { return r.known[m.Num].steady > 0 })
	call(func(Member) bool { return true })
	for _, m := range slices.Backward(spares) {
		if counts := r.known[m.Num].counts(); !held[m.Num] && steady-counts >= need {
			held[m.Num] = true
			steady -= counts
			moves = append(moves, Move{Num: m.Num, Back: true})
		}
	}
	r.held = held
	if first {
		return nil
	}
	return moves
}

// tolerance is for sums of weights that slow start and agents have made fractions of.
const tolerance = 1e-9

// lowest is the most preferred tier that has a member with a weight.
func lowest(members []Member) uint8 {
	tier := uint8(255)
	for _, m := range members {
		if m.Weight > 0 {
			tier = min(tier, m.Tier)
		}
	}
	return tier
}
