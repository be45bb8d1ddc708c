package policies

import "time"

// standing is what an endpoint counts for over time: what it loses counts at once, what it wins when it has stayed for a
// while. Whatever is decided by it follows a failure without delay, and does not swing with an endpoint that flaps.
type standing struct {
	steady float64   // the least capacity of late
	since  time.Time // from when on it has had more than that without a break; zero: it has not
	up     bool
	losses int // in a row, with little time between them
	lostAt time.Time
	barred bool // an operator has to say that it may come back
	seen   uint64
}

// The time that an endpoint must stay is doubled for each loss that follows soon on the one before, so that one which
// flaps more slowly than that does not swing things either.
const (
	lossesRemembered = 10 // times the hold
	maxDoublings     = 4
)

// take brings in the capacity at now, 0 if the endpoint is down.
func (s *standing) take(now time.Time, capacity float64, d Redundancy) {
	if s.up && capacity <= 0 {
		if !s.lostAt.IsZero() && now.Sub(s.lostAt) >= lossesRemembered*d.Hold {
			s.losses = 0
		}
		s.losses++
		s.lostAt = now
		s.barred = s.barred || d.Manual
	}
	s.up = capacity > 0
	switch {
	case capacity <= s.steady:
		s.steady, s.since = capacity, time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= s.wait(d.Hold):
		s.steady, s.since = capacity, time.Time{}
	}
	if !d.Manual {
		s.barred = false
	}
}

// wait is how long a gain must last.
func (s *standing) wait(hold time.Duration) time.Duration {
	return hold << min(max(s.losses-1, 0), maxDoublings)
}

// counts is what may be relied on when traffic goes back.
func (s *standing) counts() float64 {
	if s.barred {
		return 0
	}
	return s.steady
}
