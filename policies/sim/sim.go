// Package sim runs the real policy code, native or Wasm, against a simulated fleet: discrete events under a virtual
// clock, with chance that a seed repeats. What comes out of it is compared with published figures.
//
// [Run] makes a whole run of what a [Config] says. A [World] is moved by whoever has it, and told what comes when: that is how
// the stories of `weir policy test` are played. Both are the same world.
//
// A run has servers, which queue and serve as [Server] says, gateways before them, each with a policy, counters and
// opinions of its own, requests that arrive, and a timeline of faults. Quantiles are exact. The package depends on the
// standard library alone.
package sim

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Config is one run. Times count from its start.
type Config struct {
	Seed     uint64
	Servers  []Server
	Service  Dist // work of an attempt
	Arrivals Arrivals
	Requests int           // at most so many; 0: as many as come until Until
	Until    time.Duration // when requests stop to come; 0: when there were Requests
	WarmUp   float64       // the share of the run at its beginning that does not count, 0..1: of Until, else of Requests
	Keys     Keys          // nil: requests have no key
	Fan      int           // requests that come at once, at one gateway, and are done when the last is; default 1

	Gateways int // default 1; requests go to each in turn
	Zone     string
	// Policy makes the policy of a gateway. If it is also a policies.Failover it decides about retries, and if it has a
	// method Advance(now int64) it is called every 10 ms. now is the clock of the run, in nanoseconds.
	Policy   func(gateway int, now func() int64) (policies.Policy, error)
	Epoch    int64             // what that clock shows at the start, in Unix nanoseconds
	Failover policies.Failover // nil: the next endpoint, where a cluster would retry by default

	Timeout  time.Duration // of a request; 0 is none
	PerTry   time.Duration // of an attempt; 0 is its part of what is left of the request's
	Attempts int           // the first counts; default 1
	Budget   float64       // retries in flight as a share of requests in flight; default 0.2; below 0 is no budget
	Backoff  time.Duration // before a retry, half of it by chance
	Hedge    time.Duration // after which a second attempt starts, where the policy asks for none; 0 is never
	// Abandon: servers do not notice that somebody gave up, and serve whom nobody waits for.
	Abandon bool

	Faults []Fault
	// Detect is how long after a server crashed or hung a gateway takes it for down, Recover how long after it is well
	// again for up. nil: never.
	Detect, Recover Dist

	Weights *Weights // nil: servers have their own
	// Bound is a factor of the part of the requests in flight that is due to an endpoint by its weight: assignments beyond
	// the next whole number are counted. 0 counts none.
	Bound float64

	Slice time.Duration // of Result.Series; 0 is no series
	// Progress, if not nil, is called now and then, and ends the run if it answers false.
	Progress func(arrived int, at time.Duration) bool
}

// Fault changes a server at a time.
type Fault struct {
	At      time.Duration
	Server  int
	Gateway int // Cut and Mend
	Kind    FaultKind
	Speed   float64 // SetSpeed: work a second; 0: the server's own
	Cores   float64 // SetSpeed: 0: the server's own
	Service Dist    // SetService: nil: its own
}

// FaultKind is what happens to a server.
type FaultKind uint8

// Kinds of faults.
const (
	Crash      FaultKind = iota // refuses connections; what it had is reset
	Hang                        // accepts, and answers nothing any more
	Fail                        // answers with 500 at once
	Heal                        // is as it was; what waited is lost
	SetSpeed                    // serves faster or slower from now on
	SetService                  // draws the work of attempts from another distribution
	Cut                         // a partition: what Gateway sends is never answered. The others notice nothing
	Mend                        // the end of it
	Pause                       // accepts, finishes what it has in hand, and begins nothing; what waits stays. FIFO and Sharing
)

// ErrStopped is the error of a run that Progress ended.
var ErrStopped = errors.New("stopped")

// World is a run under way.
type World struct {
	config Config
	agenda
	now      int64
	chance   *rand.Rand // of the world
	dice     *rand.Rand // of policies
	servers  []server
	fleet    []int32 // the servers that gateways know, in their order
	gateways []*gateway
	requests []request
	attempts []attempt
	freeR    []int32
	freeA    []int32
	arrived  int
	open     int // requests that are not answered
	more     bool
	standing int // events that plan themselves again
	err      error
	result   *Result
}

// Run runs c to its end: until all requests that came are answered, or have failed.
func Run(c Config) (*Result, error) {
	switch {
	case c.Arrivals == nil:
		return nil, errors.New("no arrivals")
	case c.Requests <= 0 && c.Until <= 0:
		return nil, errors.New("neither a number of requests nor an end")
	case len(c.Servers) > 0 && !slices.ContainsFunc(c.Servers, func(s Server) bool { return s.Weight > 0 }):
		return nil, errors.New("every server has the weight 0, want one above")
	}
	w, err := Open(c)
	if err != nil {
		return nil, err
	}
	w.more = true
	w.planArrival()
	for n := 0; len(w.events) > w.standing && (w.more || w.open > 0) && w.err == nil; n++ {
		e := w.next()
		w.now = e.at
		w.happen(e)
		if n&0xffff == 0 && w.config.Progress != nil && !w.config.Progress(w.arrived, time.Duration(w.now)) {
			w.err = ErrStopped
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	w.result.finish(w)
	return w.result, nil
}

// Open makes the world of c, in which nothing has happened. Requests come by [World.Send] alone.
func Open(c Config) (*World, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &World{config: c, chance: rand.New(rand.NewPCG(c.Seed, 1)), dice: rand.New(rand.NewPCG(c.Seed, 2))}
	for i := range c.Servers {
		w.fleet = append(w.fleet, w.newServer(c.Servers[i]))
	}
	w.result = newResult(&w.config)
	for n := range c.Gateways {
		g, err := w.newGateway(n)
		if err != nil && c.Gateways > 1 {
			err = fmt.Errorf("gateway %d: %w", n, err)
		}
		if err != nil {
			return nil, err
		}
		w.gateways = append(w.gateways, g)
		if g.advance != nil {
			w.plan(event{at: int64(tickEvery), kind: pass, who: int32(n)})
			w.standing++
		}
	}
	if c := w.config.Weights; c != nil {
		w.plan(event{at: int64(c.Every), kind: weigh})
		w.standing++
	}
	for i, f := range c.Faults {
		w.plan(event{at: int64(f.At), kind: fault, who: int32(i)})
	}
	return w, nil
}

// check reports what is wrong with c, and fills in defaults.
func (c *Config) check() error {
	switch {
	case len(c.Servers) == 0:
		return errors.New("no servers")
	case c.Policy == nil:
		return errors.New("no policy")
	case c.WarmUp < 0 || c.WarmUp >= 1:
		return fmt.Errorf("warm-up %v, want 0..1", c.WarmUp)
	case c.Attempts < 0 || c.Attempts > policies.MaxTried:
		return fmt.Errorf("attempts %d, want 1..%d", c.Attempts, policies.MaxTried)
	}
	if len(c.Servers) > 1<<16 {
		return fmt.Errorf("%d servers, want at most %d", len(c.Servers), 1<<16)
	}
	if c.Gateways > 1<<15 {
		return fmt.Errorf("%d gateways, want at most %d", c.Gateways, 1<<15)
	}
	c.Gateways, c.Attempts, c.Fan = max(c.Gateways, 1), max(c.Attempts, 1), max(c.Fan, 1)
	if c.Budget == 0 {
		c.Budget = 0.2
	}
	own := make([]Server, len(c.Servers))
	for i, s := range c.Servers {
		if s.Name == "" {
			s.Name = fmt.Sprintf("s%03d", i)
		}
		if s.Service == nil {
			s.Service = c.Service
		}
		if err := s.check(); err != nil {
			return err
		}
		own[i] = s
	}
	c.Servers = own
	if c.Weights != nil {
		own := Weights{cmp.Or(c.Weights.Blackout, 10*time.Second), cmp.Or(c.Weights.Every, time.Second)}
		c.Weights = &own
	}
	for i, f := range c.Faults {
		if f.Server < 0 || f.Server >= len(own) {
			return fmt.Errorf("fault %d: server %d, want 0..%d", i, f.Server, len(own)-1)
		}
		if f.Gateway < 0 || f.Gateway >= c.Gateways {
			return fmt.Errorf("fault %d: gateway %d, want 0..%d", i, f.Gateway, c.Gateways-1)
		}
	}
	return nil
}

func (w *World) happen(e event) {
	switch e.kind {
	case arrival:
		w.arrive()
	case departure:
		w.depart(e)
	case failure:
		if a := &w.attempts[e.who]; a.gen == e.gen && !a.over {
			w.end(e.who, policies.Outcome{Class: a.class, Status: a.status, Sent: a.class != policies.Refused})
		}
	case expiry:
		w.expire(e)
	case again:
		if r := &w.requests[e.who]; r.gen == e.gen {
			w.retry(e.who, r.next)
		}
	case company:
		if a := &w.attempts[e.who]; a.gen == e.gen && !a.over {
			w.hedge(e.who)
		}
	case fault:
		w.strike(w.config.Faults[e.who])
	case notice:
		i, g := e.who&0xffff, w.gateways[e.who>>16]
		if w.servers[i].turn+g.turns[i] == e.gen { // else something else happened meanwhile
			h := policies.Up
			if w.servers[i].away() || g.cut[i] {
				h = policies.Down
			}
			g.learn(i, h, w.now)
		}
	case weigh:
		w.err = w.weigh()
		w.plan(event{at: w.now + int64(w.config.Weights.Every), kind: weigh})
	case pass:
		w.gateways[e.who].pass(w)
		w.plan(event{at: w.now + int64(tickEvery), kind: pass, who: e.who})
	case look:
		w.gateways[e.who].look(w.now)
	}
}

func (w *World) planArrival() {
	c := &w.config
	if c.Requests > 0 && w.arrived >= c.Requests {
		w.last()
		return
	}
	d := c.Arrivals.Next(time.Duration(w.now), w.chance)
	if d < 0 || c.Until > 0 && w.now+int64(d) >= int64(c.Until) {
		w.last()
		return
	}
	w.plan(event{at: w.now + int64(d), kind: arrival})
}

// last notes that no more requests come.
func (w *World) last() {
	w.more = false
	w.result.endSlice(w)
	w.result.until = w.count()
}

// strike makes a fault happen, and lets the gateways notice.
func (w *World) strike(f Fault) {
	if f.Kind == Cut || f.Kind == Mend {
		w.part(f, f.Kind == Cut)
		return
	}
	s := &w.servers[f.Server]
	was, away := s.mode, s.away()
	s.settle(w.now)
	switch f.Kind {
	case Crash:
		s.mode = refusing
	case Hang:
		s.mode = hanging
	case Fail:
		s.mode = failing
	case Pause:
		s.mode = pausing
	case Heal:
		s.mode = serving
	case SetSpeed:
		s.speed, s.cores = cmp.Or(f.Speed, s.Speed), cmp.Or(f.Cores, s.Cores)
		if s.Discipline == Sharing {
			w.replan(s)
		}
	case SetService:
		if s.Service = f.Service; s.Service == nil {
			s.Service = w.config.Servers[f.Server].Service
		}
	}
	switch {
	case s.mode == was:
		return
	case s.away() || away:
		w.shed(s)
	case s.Discipline == FIFO:
		w.fill(s)
	case s.Discipline == Sharing:
		w.replan(s)
	}
	if s.away() == away {
		return
	}
	s.turn++
	for n := range w.gateways {
		w.notify(n, s, s.away())
	}
}

// away reports whether a gateway that looks would find nobody there.
func (s *server) away() bool { return s.mode == refusing || s.mode == hanging }

// shed ends what a server had: a crash resets it, one that hangs never answers it, one that comes back knows nothing of it.
func (w *World) shed(s *server) {
	for a := range w.attempts {
		t := &w.attempts[a]
		if t.server != s.index || !t.there {
			continue
		}
		if t.over {
			w.freeAttempt(int32(a))
			continue
		}
		t.gen++ // its departure is void
		t.there, t.waits = false, false
		if s.mode != hanging {
			t.class, t.status = policies.Reset, 0
			w.plan(event{at: w.now, kind: failure, who: int32(a), gen: t.gen})
			continue
		}
		w.lost(int32(a))
	}
	s.jobs, s.waiting, s.head, s.working, s.load = nil, nil, 0, 0, 0
	s.gen++
}

func nameHash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return mix(h.Sum64())
}
