package chaos

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Result is what a fault has cost behind a gateway. A time that was not found out is nil.
type Result struct {
	Fault   string
	Gateway string
	Get     Count
	Post    Count
	Retried int // attempts beyond the first, of both, as the gateway tells

	// The 99th percentile of the time that GETs took which were due before the fault, while it lasted, and after it had ended;
	// of those that failed too.
	Before, During, After time.Duration

	Late time.Duration // how far behind its times the load was, at worst

	Seen      *time.Duration `json:",omitempty"` // until the first attempt of a request had failed and was made anew; of Weir alone
	Detected  *time.Duration `json:",omitempty"` // until the gateway said that all endpoints are out which the fault hits
	TakenOver time.Duration  // until GETs were as before: no longer failed, nor took 20 ms more than the 99th percentile before
}

// Count is what became of the requests of a method.
type Count struct {
	Requests    int
	Failed      int
	NotExecuted int            `json:",omitempty"` // of those that failed, though no endpoint has executed them
	Unread      int            `json:",omitempty"` // of these, though no endpoint has even read their head
	Twice       int            `json:",omitempty"` // executed more than once, failed or not
	Why         map[string]int `json:",omitempty"` // failures, by what the client saw
}

// moments are when what happened. Those that are durations are since the load began.
type moments struct {
	began, at            time.Time // at: of struck
	struck, healed, over time.Duration
}

// What "as before" means in [Result.TakenOver].
const (
	hurtBy  = 20 * time.Millisecond
	quietBy = 200 * time.Millisecond // after so long without a request that was hurt the takeover is over
)

// tally fills the result.
func (r *Result) tally(l *load, g *gateway, f *Fault, m moments, done map[int]execution) {
	all := m.over + time.Hour
	gets, posts := l.of(false, settle, all), l.of(true, settle, all)
	r.Get, r.Post, r.Late = count(gets), count(posts), l.late()
	for i := range posts {
		s, x := &posts[i], done[posts[i].id]
		if x.executed > 1 {
			r.Post.Twice++
		}
		if s.err != nil && x.executed == 0 {
			r.Post.NotExecuted++
			if x.read == 0 {
				r.Post.Unread++
			}
		}
	}
	before := l.of(false, settle, m.struck)
	r.Before, r.During, r.After = p99(before), p99(l.of(false, m.struck, m.healed)), p99(l.of(false, m.over, all))
	if g.watch.retries == nil {
		for _, s := range append(gets, posts...) {
			r.Retried += s.answer.retries
		}
	}
	r.TakenOver = takeover(gets, m, r.Before+hurtBy)
	if g.watch.seen != nil {
		r.Seen = firstSeen(gets, g.watch.seen, m)
	}
	r.Detected = detection(g, f, m)
}

func count(samples []sample) Count {
	c := Count{Requests: len(samples)}
	for _, s := range samples {
		if s.err != nil {
			if c.Why == nil {
				c.Why = map[string]int{}
			}
			c.Failed++
			c.Why[reason(s.err)]++
		}
	}
	return c
}

// reason is what went wrong, without the addresses of where.
func reason(err error) string {
	text := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		text = strings.Replace(text, op.Error(), op.Err.Error(), 1)
	}
	return text
}

// takeover is how long after the fault the last request ended that was hurt, before the first time of quiet.
func takeover(samples []sample, m moments, bound time.Duration) (d time.Duration) {
	for _, s := range samples {
		if s.done < m.struck || s.err == nil && s.took() <= bound {
			continue
		}
		if s.due > m.struck+d+quietBy || s.due >= m.healed {
			break
		}
		d = max(d, s.done-m.struck)
	}
	return d
}

func firstSeen(samples []sample, seen func(string) []time.Duration, m moments) *time.Duration {
	var first *time.Duration
	for _, s := range samples {
		if s.answer.explanation == "" {
			continue
		}
		for _, at := range seen(s.answer.explanation) {
			if d := s.due + at - m.struck; first == nil || d < *first {
				first = &d
			}
		}
	}
	return first
}

func detection(g *gateway, f *Fault, m moments) *time.Duration {
	if len(f.hits) == 0 {
		return nil
	}
	var last time.Duration
	for _, i := range f.hits {
		at, ok := g.out(g.settings.Endpoints[i].Name, m.at)
		if !ok || at.Sub(m.at) > m.healed-m.struck {
			return nil
		}
		last = max(last, at.Sub(m.at))
	}
	return &last
}

// execution is how often the endpoints, all together, have read and executed a POST.
type execution struct{ read, executed int }

// executions reads what the endpoints have written down, by ID.
func executions(endpoints []*process) (map[int]execution, error) {
	all := map[int]execution{}
	for _, e := range endpoints {
		f, err := os.Open(e.log)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			l := lines.Text()
			id, err := strconv.Atoi(l[2:])
			if err != nil {
				_ = f.Close()
				return nil, err
			}
			x := all[id]
			if l[0] == 'x' {
				x.executed++
			} else {
				x.read++
			}
			all[id] = x
		}
		err = lines.Err()
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
