package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Call is a request that somebody sends.
type Call struct {
	Ask      policies.Request // what the gateway knows of it, but for numbers, times and what has come of it so far
	Attempts int              // at most; 0: those of the world
	Timeout  time.Duration    // 0: that of the world
	Witness  Witness          // nil: nobody
}

// Witness sees what becomes of a request. What it is given is not to be kept.
type Witness interface {
	// Began tells that the next attempt goes to e. Its number is q.Attempt.
	Began(q *policies.Request, e *policies.Endpoint)
	// Ended tells what came of the attempt of that number.
	Ended(attempt int, o policies.Outcome)
	// Answered tells that the request is over, and whether a policy rejected it.
	Answered(q *policies.Request, rejected bool)
}

// Now is the time since the start.
func (w *World) Now() time.Duration { return time.Duration(w.now) }

// Until lets time pass, until limit at the latest, or until done says so, which is asked whenever something happened. It
// reports whether done did.
func (w *World) Until(limit time.Duration, done func() bool) bool {
	for !done() {
		if len(w.events) == 0 || w.events[0].at > int64(limit) {
			w.now = max(w.now, int64(limit))
			return false
		}
		e := w.next()
		w.now = e.at
		w.happen(e)
	}
	return true
}

// Send lets a request come now, after all else that is due, to the first gateway.
func (w *World) Send(c Call) {
	w.Until(w.Now(), func() bool { return false })
	w.result.came(w)
	i := w.newRequest()
	r := &w.requests[i]
	r.gateway, r.group, r.number = 0, i, w.arrived
	r.left, r.worst = 1, policies.Outcome{}
	w.arrived++
	if r.attempts = c.Attempts; r.attempts == 0 {
		r.attempts = w.config.Attempts
	}
	if r.timeout = c.Timeout; r.timeout == 0 {
		r.timeout = w.config.Timeout
	}
	r.witness = c.Witness
	w.enter(i, c.Ask)
}

// Reshape makes servers the fleet from now on, in this order. One whose name was known is the same, with what it had under
// way and what gateways know of it; its discipline is to stay. One that is gone refuses what still comes, and ends what it has.
func (w *World) Reshape(servers []Server) error {
	known := map[string]int32{}
	for _, n := range w.fleet {
		known[w.servers[n].Name] = n
	}
	var fleet []int32
	for _, s := range servers {
		if s.Service == nil {
			s.Service = w.config.Service
		}
		if err := s.check(); err != nil {
			return err
		}
		n, ok := known[s.Name]
		if !ok {
			n = w.newServer(s)
		}
		w.servers[n].Server = s
		fleet = append(fleet, n)
	}
	for _, n := range w.fleet {
		w.servers[n].gone = !slices.Contains(fleet, n)
	}
	w.fleet = fleet
	return w.rebuild()
}

// Alter changes how the server of that name serves and answers.
func (w *World) Alter(name string, service Dist, answer Answer) error {
	n, err := w.number(name)
	if err == nil {
		w.servers[n].Service, w.servers[n].Answer = service, answer
	}
	return err
}

// Judge makes every gateway take the server of that name for so healthy.
func (w *World) Judge(name string, h policies.Health) error {
	n, err := w.number(name)
	if err != nil {
		return err
	}
	for _, g := range w.gateways {
		g.learn(n, h, w.now)
	}
	return nil
}

// State returns what the first gateway knows of the server of that name.
func (w *World) State(name string) (*policies.State, error) {
	n, err := w.number(name)
	if err != nil {
		return nil, err
	}
	return w.gateways[0].states[n], nil
}

// Endpoint returns the index of the server of that name in the table of the first gateway, policies.None if it is not there.
func (w *World) Endpoint(name string) int {
	for i, n := range w.fleet {
		if w.servers[n].Name == name {
			return i
		}
	}
	return policies.None
}

func (w *World) number(name string) (int32, error) {
	i := w.Endpoint(name)
	if i < 0 {
		return 0, fmt.Errorf("server %q: not in the fleet", name)
	}
	return w.fleet[i], nil
}
