package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Options says what runs do. The zero value of a field is its default, where it has one.
type Options struct {
	Gets, Posts int               // requests a second
	Programs    map[string]string // files of gateways; those that are not here are looked for in PATH
	Ground      *Ground

	Before, After time.Duration // time that is measured before the fault and after it has ended
	Longest       time.Duration // of a fault, where that is less than it lasts
	Patient       bool          // Weir takes nobody for down that is only slow, as all is where other work runs too
}

// settle is how long there is load before anything is measured.
const settle = 500 * time.Millisecond

// fleet is how many endpoints there are; half of them are in each of two zones.
const fleet = 4

// Stage is where faults are tried, one after the other. Close it.
type Stage struct {
	o         Options
	dir       string
	catalogue *catalogue // nil until a fault needs it
}

// NewStage makes one.
func NewStage(o Options) (*Stage, error) {
	dir, err := os.MkdirTemp("", "weir-chaos-")
	if err != nil {
		return nil, err
	}
	return &Stage{o: o, dir: dir}, nil
}

// Close ends what faults have in common, and removes its files.
func (st *Stage) Close() error {
	if st.catalogue != nil {
		st.catalogue.stop()
	}
	return os.RemoveAll(st.dir)
}

// StallsAt is how late a load may be for its run to say something of the gateway: if it is later, the machine has stood still.
const StallsAt = 250 * time.Millisecond

// Run measures what a fault costs behind a gateway, both with processes that have seen nothing else, and does so again, twice
// at most, if the machine has stood still. If the fault is nothing for that gateway, or not possible here, the error is ErrNotHere.
func (st *Stage) Run(ctx context.Context, f *Fault, name string) (r Result, err error) {
	for range 3 {
		if r, err = st.once(ctx, f, name); err != nil || r.Late < StallsAt {
			break
		}
	}
	return r, err
}

func (st *Stage) once(ctx context.Context, f *Fault, name string) (r Result, err error) {
	r = Result{Fault: f.Name, Gateway: name}
	if why := st.impossible(f, name); why != "" {
		return r, fmt.Errorf("%s, %s: %w: %s", f.Name, name, ErrNotHere, why)
	}
	dir, err := os.MkdirTemp(st.dir, "run-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	s, stop, err := st.scene(ctx, dir, "e", fleet)
	defer stop()
	if err != nil {
		return r, err
	}
	t, err := st.settings(s, f, dir)
	if err != nil {
		return r, err
	}
	if t.Snapshot != "" {
		defer unmount(filepath.Dir(t.Snapshot))
	}
	if s.gateway, err = startGateway(ctx, name, st.o.Programs[name], t); err != nil {
		return r, err
	}
	defer s.gateway.end()
	if err := s.gateway.await(ctx); err != nil {
		return r, err
	}
	return r, s.measure(st.o, f, &r)
}

// impossible says why a fault cannot be tried, or "".
func (st *Stage) impossible(f *Fault, name string) string {
	switch {
	case (f.needs == wires || f.needs == consul) && !st.o.Ground.Namespaces:
		return "it takes network namespaces"
	case f.needs == clocks && (runtime.GOOS != "linux" || runtime.GOARCH != "amd64"):
		return "it takes linux/amd64"
	case f.only != "" && f.only != name:
		return "it is nothing for this gateway"
	case f.needs == consul && name != "weir" && name != "haproxy":
		return "it has its list from a file"
	}
	return ""
}

// ErrNotHere says that a fault cannot be tried.
var ErrNotHere = errors.New("not here")

// settings says what a gateway is told. Consul, if it takes part, knows the endpoints afterwards.
func (st *Stage) settings(s *scene, f *Fault, dir string) (t settings, err error) {
	t = s.members(st.o)
	if f.needs != consul {
		return t, nil
	}
	if st.catalogue == nil {
		if st.catalogue, err = startCatalogue(s.ctx, st.o.Ground, st.dir); err != nil {
			return t, err
		}
	}
	s.catalogue = st.catalogue
	for _, e := range s.endpoints {
		if err := s.catalogue.register(s.ctx, e); err != nil {
			return t, err
		}
	}
	if err := s.catalogue.await(s.ctx, s.catalogue.whole); err != nil {
		return t, err
	}
	t.Consul, t.ConsulDNS = s.catalogue.near.api(), net.JoinHostPort(s.catalogue.near.place.ip, "8600")
	t.Snapshot = filepath.Join(dir, "disk", "discovery.json")
	return t, mountSmall(filepath.Dir(t.Snapshot))
}

// scene starts the endpoints. stop ends what was started, even if not all could be.
func (st *Stage) scene(ctx context.Context, dir, name string, n int) (s *scene, stop func(), err error) {
	s = &scene{ctx: ctx, next: 1}
	stop = func() {
		for _, e := range s.endpoints {
			e.stop()
		}
	}
	for i := range n {
		name := fmt.Sprintf("%s%d", name, i)
		p, err := st.o.Ground.place(name)
		if err != nil {
			return s, stop, err
		}
		e, err := newProcess(name, string(rune('a'+i*2/n)), p, dir)
		s.endpoints = append(s.endpoints, e)
		if err != nil {
			return s, stop, err
		}
	}
	return s, stop, nil
}

// members are the settings that a scene gives a gateway.
func (s *scene) members(o Options) (t settings) {
	t.Patient = o.Patient
	for _, e := range s.endpoints {
		t.Endpoints = append(t.Endpoints, member{Name: e.name, Address: e.address, Zone: e.zone})
	}
	return t
}

// measure puts load on the gateway, lets the fault strike and end, and fills r.
func (s *scene) measure(o Options, f *Fault, r *Result) error {
	const longest = time.Minute
	l := startLoad(s.gateway.Address, o.Gets, o.Posts, longest, s.next)
	ended := false
	end := func() {
		if !ended {
			ended = true
			l.end()
		}
	}
	defer end()
	if err := pause(s.ctx, settle+o.Before); err != nil {
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
	if err := f.strike(s, f.hits); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if err := pause(s.ctx, min(lasts, explainFor)-(l.now()-m.struck)); err != nil {
		return err
	}
	l.explain.Store(nil)
	if err := pause(s.ctx, lasts-(l.now()-m.struck)); err != nil {
		return err
	}
	m.healed = l.now()
	if err := f.mend(s); err != nil {
		return fmt.Errorf("%s, its end: %w", f.Name, err)
	}
	m.over = l.now()
	if err := pause(s.ctx, o.After); err != nil {
		return err
	}
	end()
	if s.gateway.watch.retries != nil {
		n, err := s.gateway.watch.retries(s.gateway)
		if err != nil {
			return fmt.Errorf("retries: %w", err)
		}
		r.Retried = n - s.retried
		s.retried = n
	}
	done, err := executions(s.endpoints)
	if err != nil {
		return err
	}
	s.next += len(l.samples)
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
