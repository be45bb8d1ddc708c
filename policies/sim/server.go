package sim

import (
	"cmp"
	"container/heap"
	"fmt"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Discipline says how a server shares itself among the attempts that it has.
type Discipline uint8

// Disciplines.
const (
	FIFO    Discipline = iota // Workers at a time, the others wait in the order of their arrival
	Sharing                   // processor sharing: all at once, each at Speed x min(1, Cores / how many)
	Delay                     // each as if it were alone
)

// Server is an endpoint as the world has it.
type Server struct {
	Name       string
	Hash       uint64 // of its identity; 0: one of the name
	Address    string // default Name
	Weight     uint32 // 0..policies.MaxWeight
	Tier       uint8
	Zone       string
	Flags      policies.EndpointFlags // but for SameZone
	Meta       map[string]string
	Discipline Discipline
	Speed      float64 // work a second; default 1
	Workers    int     // FIFO; default 1
	Cores      float64 // Sharing; default 1
	Queue      int     // FIFO: most that wait, further ones are refused; 0 is no limit
	Order      Order   // FIFO: of those that wait
	Service    Dist    // work of an attempt in time at speed 1; nil is the world's
	Answer     Answer  // to what was served
}

// Answer is what comes of an attempt that a server has served. The zero value is a 200.
type Answer struct {
	Class  policies.Class
	Status int  // default 200 if Class is OK
	Unsent bool // nothing of the request had been sent when it failed
}

func (a Answer) outcome() policies.Outcome {
	if a.Class == policies.OK && a.Status == 0 {
		a.Status = 200
	}
	return policies.Outcome{Class: a.Class, Status: a.Status, Sent: !a.Unsent}
}

// check reports what is wrong with s, and fills in defaults.
func (s *Server) check() error {
	if s.Service == nil {
		return fmt.Errorf("server %q: no service time", s.Name)
	}
	s.Address, s.Hash = cmp.Or(s.Address, s.Name), cmp.Or(s.Hash, nameHash(s.Name))
	s.Speed, s.Workers, s.Cores = cmp.Or(s.Speed, 1), max(s.Workers, 1), cmp.Or(s.Cores, 1)
	if s.Order.Tight == 0 {
		s.Order.Tight = s.Order.Limit
	}
	return nil
}

// Order says whom a FIFO server serves next, and whom not at all.
type Order struct {
	// Drop: an attempt whose time is up is thrown away instead of served, because the gateway sends its deadline along.
	Drop bool
	// Limit and Tight bound the wait, 0 is no bound: an attempt that waited longer is refused with a 503. That is after Limit;
	// where somebody has been waiting for more than Limit all the time, after Tight, and then the newest goes first (Maurer,
	// "Fail at Scale", ACM Queue 13(8), 2015: adaptive LIFO and CoDel).
	Limit, Tight time.Duration
}

// mode is what a fault makes of a server.
type mode uint8

const (
	serving  mode = iota
	refusing      // crashed: connections are refused
	hanging       // accepts, and never answers
	failing       // answers with an error, at once
	pausing       // accepts, and begins nothing
)

// server is a Server at work.
type server struct {
	Server
	index int32
	mode  mode
	speed float64 // now
	cores float64 // now

	// FIFO.
	waiting []int32 // attempts; head is the first that waits
	head    int
	working int
	idle    int64 // when nobody waited last

	// Sharing: attained is the work that each attempt which has been there throughout has had.
	jobs     jobs
	attained float64
	since    int64 // when attained was brought up to date
	gen      uint32

	served uint64
	busy   float64 // processor time spent, ns
	load   int     // attempts that are here
	turn   uint32  // how often it went away or came back
	gone   bool    // from the fleet: what was under way goes on

	// What it had at the last count, for weights by load.
	servedThen uint64
	busyThen   float64
}

// newServer puts s into the world, and returns its number. Gateways must be told.
func (w *World) newServer(s Server) int32 {
	i := int32(len(w.servers))
	w.servers = append(w.servers, server{Server: s, index: i, speed: s.Speed, cores: s.Cores})
	return i
}

// job is an attempt in processor sharing. It is done when attained reaches until.
type job struct {
	until   float64
	attempt int32
}

// jobs is a heap by until.
type jobs []job

func (j jobs) Len() int           { return len(j) }
func (j jobs) Less(a, b int) bool { return j[a].until < j[b].until }
func (j jobs) Swap(a, b int)      { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)        { *j = append(*j, x.(job)) }
func (j *jobs) Pop() any {
	old := *j
	x := old[len(old)-1]
	*j = old[:len(old)-1]
	return x
}

// rate is the work that each attempt gets in a nanosecond.
func (s *server) rate() float64 {
	if s.mode == pausing {
		return 0
	}
	n := float64(len(s.jobs))
	if n <= s.cores {
		return s.speed
	}
	return s.speed * s.cores / n
}

// settle brings processor sharing up to now.
func (s *server) settle(now int64) {
	if n := len(s.jobs); n > 0 {
		d := float64(now - s.since)
		s.attained += d * s.rate()
		if s.mode != pausing {
			s.busy += d * min(float64(n), s.cores)
		}
	} else {
		s.attained = 0
	}
	s.since = now
}

// admit takes attempt a with so much work in, and reports false if there is no room.
func (w *World) admit(s *server, a int32, work time.Duration) bool {
	switch s.Discipline {
	case FIFO:
		if s.working < s.Workers && s.mode != pausing {
			w.begin(s, a, work)
			break
		}
		if s.Queue > 0 && s.load-s.working >= s.Queue {
			return false
		}
		if s.head == len(s.waiting) {
			s.idle = w.now
		}
		w.attempts[a].work, w.attempts[a].waits = work, true
		s.waiting = append(s.waiting, a)
	case Sharing:
		s.settle(w.now)
		heap.Push(&s.jobs, job{s.attained + float64(work), a})
		w.replan(s)
	case Delay:
		w.spend(s, a, work)
	}
	s.load++
	return true
}

// begin lets a worker serve attempt a.
func (w *World) begin(s *server, a int32, work time.Duration) {
	s.working++
	w.spend(s, a, work)
}

// spend plans the end of attempt a, which shares its worker with nobody.
func (w *World) spend(s *server, a int32, work time.Duration) {
	took := int64(float64(work) / s.speed)
	t := &w.attempts[a]
	t.until = w.now + took
	s.busy += float64(took)
	w.plan(event{at: t.until, kind: departure, who: a, gen: t.gen})
}

// replan plans the end of the job that ends first. Whatever was planned before is void.
func (w *World) replan(s *server) {
	s.gen++
	if len(s.jobs) == 0 || s.mode == pausing {
		return
	}
	left := max(s.jobs[0].until-s.attained, 0) / s.rate()
	w.plan(event{at: w.now + int64(left) + 1, kind: departure, who: ^s.index, gen: s.gen})
}

// leave lets attempt a go that has been served, or given up, and the next one come.
func (w *World) leave(s *server, a int32) {
	s.load--
	switch s.Discipline {
	case FIFO:
		if w.attempts[a].waits {
			return // it is skipped when its turn comes
		}
		s.busy -= float64(max(w.attempts[a].until-w.now, 0))
		s.working--
		w.fill(s)
	case Delay:
		s.busy -= float64(max(w.attempts[a].until-w.now, 0))
	case Sharing:
		s.settle(w.now)
		for k := range s.jobs {
			if s.jobs[k].attempt == a {
				heap.Remove(&s.jobs, k)
				break
			}
		}
		w.replan(s)
	}
}

// fill gives the workers that are free something to do.
func (w *World) fill(s *server) {
	for s.head < len(s.waiting) && s.working < s.Workers && s.mode == serving {
		newest := false
		if o := s.Order; o.Limit > 0 {
			limit := o.Limit
			if newest = w.now-s.idle > int64(o.Limit); newest {
				limit = o.Tight
			}
			if first := s.waiting[s.head]; w.now-w.attempts[first].start > int64(limit) {
				s.head++
				w.turnAway(s, first)
				continue
			}
		}
		next := s.waiting[s.head]
		if newest {
			next = s.waiting[len(s.waiting)-1]
			s.waiting = s.waiting[:len(s.waiting)-1]
		} else {
			s.head++
		}
		if n := &w.attempts[next]; n.over && (s.Order.Drop || !w.config.Abandon) {
			w.dropped(s, next)
		} else {
			n.waits = false
			w.begin(s, next, n.work)
		}
	}
	if s.head == len(s.waiting) {
		s.idle = w.now
	}
	if 2*s.head >= len(s.waiting) {
		s.waiting = s.waiting[:copy(s.waiting, s.waiting[s.head:])]
		s.head = 0
	}
}

// dropped forgets an attempt that waited and for which nobody waits any more.
func (w *World) dropped(s *server, a int32) {
	if w.config.Abandon {
		s.load-- // else it left when it was given up
	}
	w.freeAttempt(a)
}

// turnAway refuses attempt a, which has waited too long.
func (w *World) turnAway(s *server, a int32) {
	t := &w.attempts[a]
	if t.over {
		w.dropped(s, a)
		return
	}
	s.load--
	t.there, t.waits = false, false
	t.class, t.status = policies.BadStatus, 503
	w.plan(event{at: w.now, kind: failure, who: a, gen: t.gen})
}
