package wasmhost

import "time"

// Quarantine of a guest that keeps failing.
const (
	quarantineFailures = 5
	quarantineWindow   = 10 * time.Second
	firstBackoff       = time.Second
	longestBackoff     = 5 * time.Minute
	trialShare         = 100  // one pick of so many goes to the guest
	healedAfter        = 1000 // clean trials
)

// quarantine decides whether a guest is asked. Five failures within ten seconds keep it from the traffic for a second,
// and for twice as long each time that it fails again; then it gets a hundredth of the picks until a thousand were
// clean. (The rule of more than 1 % of at least 1,000 picks in the window never says more than that of five failures.)
// Times are nanoseconds of one clock.
type quarantine struct {
	failures [quarantineFailures]int64 // a ring
	n        int                       // failures so far
	backoff  time.Duration             // 0: not in quarantine
	until    int64
	turn     int
	clean    int
}

func (q *quarantine) active() bool { return q.backoff > 0 }

// wait returns how long from now the guest is kept from the traffic.
func (q *quarantine) wait(now int64) time.Duration {
	if !q.active() {
		return 0
	}
	return time.Duration(max(q.until-now, 0))
}

// admits reports whether the guest gets this pick. It is only to be asked while active.
func (q *quarantine) admits(now int64) bool {
	if now < q.until {
		return false
	}
	q.turn++
	return q.turn%trialShare == 0
}

// succeeded notes a clean pick, and reports whether it healed the guest.
func (q *quarantine) succeeded() (healed bool) {
	if q.clean++; q.clean < healedAfter {
		return false
	}
	*q = quarantine{}
	return true
}

// failed notes a failure, and reports whether it brought the guest into quarantine. Calls that were under way on other
// instances when it began fail for the same reason, and say nothing new.
func (q *quarantine) failed(now int64) (entered bool) {
	if q.active() {
		if now < q.until {
			return false
		}
		q.enter(now)
		return true
	}
	oldest := &q.failures[q.n%quarantineFailures]
	full := q.n >= quarantineFailures-1
	*oldest = now
	q.n++
	first := q.failures[q.n%quarantineFailures]
	if full && now-first <= int64(quarantineWindow) {
		q.enter(now)
		return true
	}
	return false
}

// enter keeps the guest from the traffic, longer each time.
func (q *quarantine) enter(now int64) {
	q.backoff = min(max(2*q.backoff, firstBackoff), longestBackoff)
	q.until = now + int64(q.backoff)
	q.turn, q.clean = 0, 0
}
