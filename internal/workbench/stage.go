package workbench

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
)

// epoch is when every story begins: 2026-01-01 UTC, in nanoseconds.
const epoch = int64(1767225600) * 1e9

// stage is a world in which every endpoint behaves as it is told.
type stage struct {
	*sim.World
	actors map[string]*Endpoint
	seq    uint64            // of requests
	jar    map[string]string // the endpoints of sessions
}

// newStage makes a stage with these endpoints before one gateway, whose policy is a guest.
func newStage(zone string, seed uint64, endpoints []Endpoint, guest func(now func() int64) (*Guest, error)) (*stage, error) {
	s := &stage{actors: map[string]*Endpoint{}, jar: map[string]string{}}
	for _, e := range endpoints {
		s.actors[e.Name] = &e
	}
	var err error
	s.World, err = sim.Open(sim.Config{
		Seed: seed, Zone: zone, Epoch: epoch, Budget: -1, Servers: s.servers(),
		Policy: func(_ int, now func() int64) (policies.Policy, error) { return guest(now) },
	})
	if err != nil {
		return nil, err
	}
	for _, a := range s.actors {
		err = errors.Join(err, s.apply(change{a, always}))
	}
	return s, err
}

// servers are the endpoints by name.
func (s *stage) servers() (all []sim.Server) {
	for i, name := range slices.Sorted(maps.Keys(s.actors)) {
		a := s.actors[name]
		one := sim.Server{
			Name: name, Hash: xxhash.Sum64String(name), Address: fmt.Sprintf("192.0.2.%d:80", i%250+1), Weight: uint32(a.Weight), Tier: uint8(a.Tier), Zone: a.Zone,
			Meta: a.Meta, Discipline: sim.Delay, Service: sim.Fixed(a.Takes), Answer: a.answer(),
		}
		if a.Canary {
			one.Flags |= policies.Canary
		}
		if a.Spare {
			one.Flags |= policies.Spare
		}
		all = append(all, one)
	}
	return all
}

// topology gives the policy a new table.
func (s *stage) topology() error { return s.Reshape(s.servers()) }

// answer is what comes of an attempt.
func (e *Endpoint) answer() sim.Answer {
	o, _ := parseOutcome(e.Answers)
	return sim.Answer{Class: o.Class, Status: o.Status, Unsent: !o.Sent}
}

// change is what an endpoint is told, and which of its live figures are set by hand.
type change struct {
	*Endpoint
	set func(column string) bool
}

func always(string) bool { return true }

// apply makes the endpoint behave as it is told.
func (s *stage) apply(c change) error {
	state, err := s.State(c.Name)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		key    string
		column policies.Column
		value  int
	}{
		{"inflight", policies.ColInflight, c.Columns.Inflight},
		{"ewma_us", policies.ColEWMA, c.Columns.EWMA},
		{"err_ppm", policies.ColErrPPM, c.Columns.ErrPPM},
		{"rps_milli", policies.ColRPSMilli, c.Columns.RPSMilli},
		{"consecutive_fail", policies.ColConsecutiveFail, c.Columns.ConsecutiveFail},
		{"load_ppm", policies.ColLoadPPM, c.Columns.LoadPPM},
		{"heartbeat_age_ms", policies.ColHeartbeatAgeMilli, c.Columns.HeartbeatAge},
	} {
		if c.set(f.key) {
			state.Store(f.column, uint32(f.value))
		}
	}
	health := map[string]policies.Health{"up": policies.Up, "degraded": policies.Degraded, "down": policies.Down}[c.State]
	return errors.Join(s.Judge(c.Name, health), s.Alter(c.Name, sim.Fixed(c.Takes), c.answer()))
}

var _ sim.Witness = (*request)(nil)

// request is one request on the stage, as somebody sees it who watches.
type request struct {
	stage    *stage
	session  string
	arrived  time.Duration
	attempts []attempt
	sticky   bool // the policy wanted the client bound, by its last answer
	reason   uint32
	rejected int  // the status that the policy refused it with
	open     *int // requests of its send that have not ended
}

// attempt is where one attempt went, and how it ended.
type attempt struct {
	endpoint string
	number   int
	outcome  policies.Outcome
}

// Began implements [sim.Witness].
func (q *request) Began(r *policies.Request, e *policies.Endpoint) {
	q.sticky, q.reason = r.SetSticky, r.Reason
	q.attempts = append(q.attempts, attempt{endpoint: e.Name, number: int(r.Attempt)})
}

// Ended implements [sim.Witness].
func (q *request) Ended(number int, o policies.Outcome) {
	for i := range q.attempts {
		if a := &q.attempts[i]; a.number == number {
			a.outcome = o
		}
	}
}

// Answered implements [sim.Witness].
func (q *request) Answered(r *policies.Request, rejected bool) {
	*q.open--
	if rejected {
		q.rejected = r.RejectStatus
	}
	n := len(q.attempts)
	if n == 0 {
		q.reason = r.Reason
		return
	}
	if q.sticky && q.session != "" && !rejected {
		q.stage.jar[q.session] = q.attempts[n-1].endpoint
	}
}
