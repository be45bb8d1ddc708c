package discovery

import (
	"fmt"
	"slices"
	"time"
)

// resetFactor is how many times longer a shrink is doubted after the catalogue lost its history. Consul agents register
// their services anew when a catalogue came back empty, each at its own time: within a minute in small clusters
// (anti-entropy, https://developer.hashicorp.com/consul/docs/architecture/anti-entropy), so 5 s become 2 minutes.
const resetFactor = 24

// Hold doubts a list that has suddenly shrunk: one that is empty, or that lacks more than half of the instances that
// were fit for traffic. Catalogues say such things when they restart, fail over or lose a permission, and seldom because
// it is so. The list is believed once the same instances were missing for Time. An instance that was critical or in
// maintenance when last seen may go at once: its end was announced. One whose address came back under another ID was
// registered anew, and is not missing.
//
// If the catalogue lost its history, every loss is doubted, Time is 24 times longer, and a list that stays empty is
// never believed.
type Hold struct {
	Time time.Duration

	missing []string  // IDs that are doubted; nil if none are
	since   time.Time // when a sure answer first lacked exactly these; zero if none did
}

// Answer is a list of instances and what is known of its worth.
type Answer struct {
	Instances []Instance // sorted by ID
	Sure      bool       // from the leader; only such answers can end a hold
	Reset     bool       // the catalogue lost its history since the last list that was believed
	Partial   bool       // instances may be hidden from us: that one is absent says nothing
}

// Shrink is why an answer was not believed.
type Shrink struct {
	Missing, Of int           // instances
	Left        time.Duration // until a sure answer is believed; negative if it never is
	Partial     bool          // as the answer was
}

func (s *Shrink) Error() string {
	if s.Partial {
		return fmt.Sprintf("%d of %d instances are hidden from us: keeping them", s.Missing, s.Of)
	}
	if s.Left < 0 {
		return fmt.Sprintf("the catalogue came back without this service: keeping all %d instances", s.Of)
	}
	return fmt.Sprintf("%d of %d instances are missing at once: keeping them until that is confirmed in %v",
		s.Missing, s.Of, s.Left.Round(time.Millisecond))
}

// Weigh compares an answer with the last list that was published. It returns the list to publish now: that of the
// answer, or, together with a Shrink, the answer and all instances that it lacks.
func (h *Hold) Weigh(now time.Time, last []Instance, a Answer) ([]Instance, *Shrink) {
	missing, fit := absent(last, a.Instances)
	suspicious := len(missing) > 0 &&
		(len(h.missing) > 0 || a.Reset || a.Partial || len(a.Instances) == 0 || 2*len(missing) > fit)
	if !suspicious {
		h.missing, h.since = nil, time.Time{}
		return a.Instances, nil
	}
	ids := make([]string, len(missing))
	for i, in := range missing {
		ids[i] = in.ID
	}
	if !slices.Equal(ids, h.missing) {
		h.missing, h.since = ids, time.Time{}
	}
	if h.since.IsZero() && a.Sure {
		h.since = now
	}
	s := &Shrink{Missing: len(missing), Of: fit, Left: h.Time, Partial: a.Partial}
	if a.Reset {
		s.Left *= resetFactor
	}
	if !h.since.IsZero() {
		s.Left = max(0, s.Left-now.Sub(h.since))
	}
	switch {
	case a.Partial, a.Reset && len(a.Instances) == 0:
		s.Left = -1
	case a.Sure && s.Left == 0:
		h.missing, h.since = nil, time.Time{}
		return a.Instances, nil
	}
	return sorted(slices.Concat(a.Instances, missing)), s
}

// Interrupt starts the time of a hold afresh. A source calls it when it lost touch with the catalogue.
func (h *Hold) Interrupt() { h.since = time.Time{} }

// absent returns the instances of last that were fit for traffic and are not in next by ID or address, and how many
// were fit.
func absent(last, next []Instance) (missing []Instance, fit int) {
	known := make(map[string]struct{}, 2*len(next))
	for _, in := range next {
		known[in.ID] = struct{}{}
		known[in.Address] = struct{}{}
	}
	for _, in := range last {
		if in.Status > Warning {
			continue
		}
		fit++
		_, byID := known[in.ID]
		_, byAddress := known[in.Address]
		if !byID && !byAddress {
			missing = append(missing, in)
		}
	}
	return missing, fit
}
