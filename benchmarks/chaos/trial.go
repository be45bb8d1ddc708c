package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"
)

// Layout is how many endpoints are needed, and how many stand by.
type Layout struct {
	Name          string // as `weir sim availability --units` has it
	Needed, Spare int
	tiers         []int // of the endpoints; those of tier 1 are asked if none of tier 0 can be
}

// Layouts are those that trials are made in: a pair of which one stands by, and four that share the work of three.
var Layouts = []Layout{
	{Name: "1+1", Needed: 1, Spare: 1, tiers: []int{0, 1}},
	{Name: "3+1", Needed: 3, Spare: 1, tiers: []int{0, 0, 0, 0}},
}

// Trial is one fault at one moment.
type Trial struct {
	Layout   string
	Endpoint string
	Result
	Clean bool // see [Trial.judge]
}

// CleanWithin is how long after a fault GETs may be slower than before, for a takeover to be clean: the four attempts of half a
// second that a request has.
const CleanWithin = 2 * time.Second

// judge says whether the takeover was clean: no GET failed, no POST was executed twice, and GETs were as before within
// CleanWithin.
func (t *Trial) judge() {
	t.Clean = t.Get.Failed == 0 && t.Post.Twice == 0 && t.TakenOver <= CleanWithin
}

// trialFaults are those of one endpoint that end its work, whatever it is. A reset within a body is not among them: nobody can
// take back what the client has, however good the takeover is.
func trialFaults() []*Fault {
	var some []*Fault
	for i := range Faults {
		if f := &Faults[i]; len(f.hits) == 1 && f.Name != "reset in body" && f.Name != "flapping" {
			some = append(some, f)
		}
	}
	return some
}

// Trials makes n trials with Weir in each layout, in so many lanes beside each other, each with a gateway and endpoints of its own.
// Fault, endpoint and moment are random. done is called after each.
func Trials(ctx context.Context, o Options, n, lanes int, seed uint64, done func(Trial)) error {
	dir, err := os.MkdirTemp("", "weir-chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range lanes {
		l := lane{o: o, layout: Layouts[i%len(Layouts)], name: fmt.Sprintf("l%d", i), dir: dir, chance: rand.New(rand.NewPCG(seed, uint64(i)))}
		share := n * len(Layouts) / lanes
		wg.Go(func() {
			err := l.run(ctx, share, func(t Trial) {
				mu.Lock()
				defer mu.Unlock()
				done(t)
			})
			if err != nil {
				stop(fmt.Errorf("lane %s: %w", l.name, err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// lane makes one trial after the other.
type lane struct {
	o      Options
	layout Layout
	name   string
	dir    string
	chance *rand.Rand
}

func (l *lane) run(ctx context.Context, n int, done func(Trial)) error {
	st := &Stage{o: l.o, dir: l.dir}
	s, stop, err := st.scene(ctx, l.dir, l.name, len(l.layout.tiers))
	defer stop()
	if err != nil {
		return err
	}
	t := s.members(l.o)
	for i := range t.Endpoints {
		t.Endpoints[i].Tier = l.layout.tiers[i]
	}
	for void, most := 0, 3+n; n > 0; {
		one, err := l.trial(ctx, s, t)
		switch {
		case err != nil:
			return err
		case one.Late < StallsAt:
			done(one)
			n--
		default:
			if void++; void > most {
				return fmt.Errorf("the machine stood still in %d trials", void)
			}
		}
	}
	return nil
}

// trial lets a random fault strike a random endpoint at a random moment, for a random time, behind a new gateway: one that has seen
// an endpoint fail again and again lets it wait for longer each time.
func (l *lane) trial(ctx context.Context, s *scene, with settings) (t Trial, err error) {
	if s.gateway, err = startGateway(ctx, "weir", l.o.Programs["weir"], with); err != nil {
		return t, err
	}
	defer s.gateway.end()
	s.retried = 0
	if err := s.allUp(ctx); err != nil {
		return t, err
	}
	some := trialFaults()
	f := *some[l.chance.IntN(len(some))]
	for f.needs == wires && !l.o.Ground.Namespaces {
		f = *some[l.chance.IntN(len(some))]
	}
	if l.layout.tiers[1] == 0 {
		f.hits = []int{l.chance.IntN(len(s.endpoints))}
	} else {
		f.hits = []int{0} // the standby one has no work that could be taken over
	}
	o := l.o
	o.Before = 300*time.Millisecond + time.Duration(l.chance.Int64N(int64(500*time.Millisecond)))
	f.Lasts = CleanWithin + time.Duration(l.chance.Int64N(int64(time.Second)))
	o.Longest = 0
	o.After = 200 * time.Millisecond
	t = Trial{Layout: l.layout.Name, Endpoint: s.endpoints[f.hits[0]].name, Result: Result{Fault: f.Name, Gateway: "weir"}}
	err = s.measure(o, &f, &t.Result)
	t.judge()
	return t, err
}

// allUp waits until Weir gives all endpoints traffic again.
func (s *scene) allUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var c struct {
			Endpoints []struct{ Name, State string }
		}
		up := 0
		resp, err := http.Get(s.gateway.admin("/api/v1/clusters/web"))
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&c)
			resp.Body.Close()
		}
		for _, e := range c.Endpoints {
			if e.State == "up" {
				up++
			}
		}
		if err == nil && up == len(s.endpoints) {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("not all endpoints are up twenty seconds after the start: %+v, %v", c.Endpoints, err)
		}
	}
}
