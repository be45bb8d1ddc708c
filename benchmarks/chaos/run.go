package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Options says what runs do. The zero value of a field is its default, where it has one.
type Options struct {
	Gets, Posts int               // requests a second
	Programs    map[string]string // files of gateways; those that are not here are looked for in PATH
	Ground      *Ground

	Before, After time.Duration // time that is measured before the fault and after it has ended
	Longest       time.Duration // of a fault, where that is less than it lasts
}

// settle is how long there is load before anything is measured.
const settle = 500 * time.Millisecond

// fleet is how many endpoints there are; half of them are in each of two zones.
const fleet = 4

// Run measures what a fault costs behind a gateway, each with processes that have seen nothing else.
func Run(ctx context.Context, o Options, f *Fault, name string) (r Result, err error) {
	r = Result{Fault: f.Name, Gateway: name}
	dir, err := os.MkdirTemp("", "weir-chaos-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	g := o.Ground
	if f.needs != nothing && !g.Namespaces {
		return r, fmt.Errorf("%s: %w", f.Name, ErrNoGround)
	}
	s, stop, err := g.scene(dir)
	defer stop()
	if err != nil {
		return r, err
	}
	if s.gateway, err = startGateway(ctx, name, o.Programs[name], s.settings()); err != nil {
		return r, err
	}
	defer s.gateway.end()
	return r, s.measure(ctx, o, f, &r)
}

// ErrNoGround says that a fault takes network namespaces, which are not here.
var ErrNoGround = errors.New("no network namespaces")

// scene starts the endpoints. stop ends what was started, even if not all could be.
func (g *Ground) scene(dir string) (s *scene, stop func(), err error) {
	s = &scene{}
	stop = func() {
		for _, e := range s.endpoints {
			e.stop()
		}
	}
	for i := range fleet {
		name := fmt.Sprintf("e%d", i)
		p, err := g.place(name)
		if err != nil {
			return s, stop, err
		}
		e, err := newProcess(name, string(rune('a'+i*2/fleet)), p, dir)
		s.endpoints = append(s.endpoints, e)
		if err != nil {
			return s, stop, err
		}
	}
	return s, stop, nil
}

func (s *scene) settings() settings {
	var t settings
	for _, e := range s.endpoints {
		t.Endpoints = append(t.Endpoints, member{e.name, e.address, e.zone})
	}
	return t
}

// measure puts load on the gateway, lets the fault strike and end, and fills r.
func (s *scene) measure(ctx context.Context, o Options, f *Fault, r *Result) error {
	const longest = time.Minute
	l := startLoad(s.gateway.Address, o.Gets, o.Posts, longest, 1)
	ended := false
	end := func() {
		if !ended {
			ended = true
			l.end()
		}
	}
	defer end()
	if err := pause(ctx, settle+o.Before); err != nil {
		return err
	}
	if s.gateway.watch.seen != nil {
		token := explainToken
		l.explain.Store(&token)
	}
	lasts := f.Lasts
	if o.Longest > 0 {
		lasts = min(lasts, o.Longest)
	}
	var m moments
	m.began, m.struck, m.at = l.began, l.now(), time.Now()
	if err := f.strike(s); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if err := pause(ctx, min(lasts, explainFor)-(l.now()-m.struck)); err != nil {
		return err
	}
	l.explain.Store(nil)
	if err := pause(ctx, lasts-(l.now()-m.struck)); err != nil {
		return err
	}
	m.healed = l.now()
	if err := f.mend(s); err != nil {
		return fmt.Errorf("%s, its end: %w", f.Name, err)
	}
	m.over = l.now()
	if err := pause(ctx, o.After); err != nil {
		return err
	}
	if s.gateway.watch.retries != nil {
		n, err := s.gateway.watch.retries(s.gateway)
		if err != nil {
			return fmt.Errorf("retries: %w", err)
		}
		r.Retried = n
	}
	end()
	done, err := executions(s.endpoints)
	if err != nil {
		return err
	}
	r.tally(l, s.gateway, f, m, done)
	return nil
}

// explainFor is how long after a fault strikes Weir is asked to explain requests.
const explainFor = 100 * time.Millisecond

// pause waits, unless ctx ends. It returns at once if d is not above 0.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
