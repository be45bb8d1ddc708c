package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
	"github.com/weir-lb/weir/wasmhost"
)

// Options say what of a scenario is run.
type Options struct {
	Seed     uint64   // default 1
	Policies []string // built-in, of the scenario, or files of modules; empty: those that the scenario compares
	Cases    []string // empty: all
	Scale    float64  // of the number of requests, 0..1; 0 is 1
	// Progress, if not nil, is called now and then: run number n of so many has come so far, 0..1. It ends everything by
	// answering false.
	Progress func(n, of int, share float64) bool
}

// Report is what a scenario came to.
type Report struct {
	Scenario *Scenario
	Seed     uint64
	Runs     []*Run
}

// Run is one policy in one case.
type Run struct {
	Case, Policy string
	Result       *sim.Result
	Took         time.Duration // of real time
	Guest        *Guest        // nil of built-in policies
	Verdicts     []Verdict
}

// Guest is what became of a Wasm policy.
type Guest struct {
	wasmhost.Stats
	Fallback string // the built-in policy that decides where the guest does not
}

// Verdict is an expectation, and what there was.
type Verdict struct {
	Expect
	Unit Unit
	Got  float64
	OK   bool
}

// OK reports whether every expectation was met.
func (r *Report) OK() bool {
	for _, one := range r.Runs {
		for _, v := range one.Verdicts {
			if !v.OK {
				return false
			}
		}
	}
	return true
}

// plan is a run to be made.
type plan struct {
	scenario *Scenario
	name     string // of the case
	policy   string
}

// Run runs s.
func (s *Scenario) Run(ctx context.Context, o Options) (*Report, error) {
	o.Seed = cmp.Or(o.Seed, 1)
	cases := s.Cases
	if len(cases) == 0 {
		cases = []Case{{Weights: "same"}}
	}
	var plans []plan
	for _, c := range cases {
		if len(o.Cases) > 0 && !contains(o.Cases, c.Name) {
			continue
		}
		changed := s.changed(c)
		if o.Scale > 0 {
			changed.Requests = int(math.Ceil(float64(changed.Requests) * o.Scale))
		}
		names := o.Policies
		if len(names) == 0 {
			names = changed.Compare
		}
		for _, name := range names {
			plans = append(plans, plan{changed, c.Name, name})
		}
	}
	if len(plans) == 0 {
		return nil, fmt.Errorf("no case is called %s", strings.Join(o.Cases, " or "))
	}
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	bench := &bench{Scenario: s, host: host}
	defer bench.close()
	r := &Report{Scenario: s, Seed: o.Seed}
	for n, p := range plans {
		one, err := bench.run(ctx, p, o.Seed, func(share float64) bool {
			return ctx.Err() == nil && (o.Progress == nil || o.Progress(n, len(plans), share))
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", label(p.name, p.policy), err)
		}
		r.Runs = append(r.Runs, one)
	}
	for _, one := range r.Runs {
		one.judge(r)
	}
	return r, nil
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if strings.EqualFold(a, one) {
			return true
		}
	}
	return false
}

func label(names ...string) string {
	return strings.Trim(strings.Join(names, ", "), ", ")
}

// bench makes policies.
type bench struct {
	*Scenario
	host *wasmhost.Host
	held []*wasmhost.Module // so that native code is made once
}

func (b *bench) close() {
	for _, m := range b.held {
		_ = m.Close()
	}
	_ = b.host.Close()
}

// run makes one run, or as many as the scenario has, one after the other, and adds up what they come to.
func (b *bench) run(ctx context.Context, p plan, seed uint64, progress func(share float64) bool) (*Run, error) {
	one := &Run{Case: p.name, Policy: p.policy}
	begin := time.Now()
	for n := range p.scenario.Runs {
		r, err := b.once(ctx, p, seed+uint64(n), one, func(share float64) bool {
			return progress((float64(n) + share) / float64(p.scenario.Runs))
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			one.Result = r
		} else {
			one.Result.Add(r)
		}
	}
	one.Took = time.Since(begin)
	return one, nil
}

// once makes one run with that seed.
func (b *bench) once(ctx context.Context, p plan, seed uint64, one *Run, progress func(share float64) bool) (*sim.Result, error) {
	c, err := p.scenario.config(seed)
	if err != nil {
		return nil, err
	}
	c.Progress = func(arrived int, at time.Duration) bool {
		share := 0.0
		if c.Requests > 0 {
			share = float64(arrived) / float64(c.Requests)
		}
		if c.Until > 0 {
			share = max(share, float64(at)/float64(c.Until))
		}
		return progress(min(share, 1))
	}
	if native := b.native(p.policy); native != nil {
		c.Policy = func(int, func() int64) (policies.Policy, error) { return native, nil }
		return sim.Run(c)
	}
	module, err := b.module(p.policy)
	if err != nil {
		return nil, err
	}
	if module.name == "" {
		return nil, fmt.Errorf("got %q, want a built-in policy (%s), one under policies, or a file that ends in .wasm",
			p.policy, strings.Join(policies.Names(), ", "))
	}
	one.Policy = module.name
	if one.Guest == nil {
		one.Guest = &Guest{Fallback: policies.NameOf(module.fallback)}
	}
	var guests []*wasmhost.Policy
	var loaded []*wasmhost.Module
	defer func() {
		for i, g := range guests {
			one.Guest.Add(g.Stats())
			_ = errors.Join(g.Close(), loaded[i].Close())
		}
	}()
	c.Policy = func(gateway int, now func() int64) (policies.Policy, error) {
		m, err := b.host.Load(ctx, module.wasm, module.with(now))
		if err != nil {
			return nil, fmt.Errorf("refused at step %w", err)
		}
		if gateway == 0 {
			held, err := b.host.Load(ctx, module.wasm, module.with(now))
			if err == nil {
				b.held = append(b.held, held)
			}
		}
		g := m.NewPolicy(b.Name, module.fallback, &policies.NextEndpoint{Conditions: sim.Conditions()})
		guests, loaded = append(guests, g), append(loaded, m)
		return g, nil
	}
	return sim.Run(c)
}

// native returns the policy of that name if it is no module, nil otherwise.
func (b *bench) native(name string) policies.Policy {
	switch own, builtIn := b.Policies[name], policies.Policy(nil); {
	case own == nil:
		builtIn, _ = policies.ByName(name)
		return builtIn
	case own.Choices > 0:
		return policies.P2C{Choices: own.Choices}
	}
	return nil
}

// module is a Wasm policy that is not yet loaded.
type module struct {
	name     string
	wasm     []byte
	options  wasmhost.Options
	fallback policies.Policy
}

func (m *module) with(now func() int64) wasmhost.Options {
	o := m.options
	o.Now, o.Manual = now, true
	return o
}

// module returns the policy under policies, or of the file, that is called name; one without a name if there is none.
func (b *bench) module(name string) (m module, err error) {
	p, path := b.Policies[name], name
	switch {
	case p != nil:
		path = p.Wasm
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(b.File), path)
		}
	case strings.HasSuffix(name, ".wasm"):
		p = &Policy{Fallback: "p2c", Large: true}
		name = filepath.Base(path)
	default:
		return m, nil
	}
	m.name = name
	m.options = wasmhost.Options{Name: strings.TrimSuffix(name, ".wasm"), Config: p.Config, Large: p.Large}
	if p.Profile == "gc" {
		m.options.Fuel = wasmhost.ProfileGC()
	}
	m.fallback, _ = policies.ByName(p.Fallback)
	m.wasm, err = os.ReadFile(path)
	return m, err
}

// judge holds a run to what is expected of it, as far as the other runs that this names are in the report. A module is held
// to what is expected of a policy of its name.
func (r *Run) judge(of *Report) {
	for _, e := range of.Scenario.Expect {
		if e.Policy != r.Policy && e.Policy != strings.TrimSuffix(r.Policy, ".wasm") || e.Case != "" && e.Case != r.Case {
			continue
		}
		metric, _ := metricOf(e.Metric)
		v := Verdict{Expect: e, Unit: metric.Unit, OK: true, Got: e.figure(metric, r)}
		if e.Than != (Than{}) {
			other := of.find(cmp.Or(e.Than.Case, r.Case), cmp.Or(e.Than.Policy, r.Policy))
			if other == nil {
				continue
			}
			v.Unit = Plain
			v.Got /= e.figure(metric, other)
		}
		if e.Want != "" {
			v.OK = math.Abs(v.Got-v.Figure(e.Want)) <= v.Tolerance()+1e-12
		}
		if e.AtMost != "" {
			v.OK = v.OK && v.Got <= v.Figure(e.AtMost)+1e-12
		}
		if e.AtLeast != "" {
			v.OK = v.OK && v.Got >= v.Figure(e.AtLeast)-1e-12
		}
		r.Verdicts = append(r.Verdicts, v)
	}
}

// figure is what m came to in r, or in the part of it that e is about.
func (e *Expect) figure(m Metric, r *Run) float64 {
	if e.From > 0 || e.To > 0 {
		return m.of(part(r.Result, e.From, e.To))
	}
	return m.of(r.Result)
}

func (r *Report) find(name, policy string) *Run {
	i := slices.IndexFunc(r.Runs, func(one *Run) bool { return one.Case == name && one.Policy == policy })
	if i < 0 {
		return nil
	}
	return r.Runs[i]
}

// Figure reads a figure that is expected, in the unit of Got: seconds, a share of 1, or a plain number.
func (v *Verdict) Figure(text string) float64 {
	x, _ := parseFigure(text)
	return x
}

// Tolerance is how far Got may be off Want: a percentage is of what is wanted, but points where that is a share itself.
func (v *Verdict) Tolerance() float64 {
	x := v.Figure(v.Within)
	if strings.HasSuffix(v.Within, "%") && v.Unit != Share {
		return x * math.Abs(v.Figure(v.Want))
	}
	return x
}

// Wanted says what is expected: "2.66s ± 2%", "at least 95%".
func (v *Verdict) Wanted() string {
	var all []string
	if v.Want != "" {
		all = append(all, v.Want+" ± "+v.Within)
	}
	if v.AtLeast != "" {
		all = append(all, "at least "+v.AtLeast)
	}
	if v.AtMost != "" {
		all = append(all, "at most "+v.AtMost)
	}
	return strings.Join(all, ", ")
}

// What names the metric, the part of the run and the other run: "p99 from 20s", "p99 over that of p2c".
func (v *Verdict) What() string {
	text := v.Metric
	if v.From > 0 || v.To > 0 {
		text += " " + v.Span()
	}
	if v.Than != (Than{}) {
		text += " over that of " + label(v.Than.Case, v.Than.Policy)
	}
	return text
}

// Had is what there was, in the unit of the metric.
func (v *Verdict) Had() string { return v.Unit.text(v.Got) }
