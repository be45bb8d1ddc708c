package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/policies"
)

// checker notes what is wrong with a scenario beyond the form of its values.
type checker struct {
	*Scenario
	errs form.Errors
}

func (c *checker) fail(path, got, want string, args ...any) {
	c.errs = append(c.errs, c.places.Error(path, got, fmt.Sprintf(want, args...)))
}

func (s *Scenario) check() form.Errors {
	c := checker{Scenario: s}
	c.servers()
	c.arrivals()
	c.comparison(s.Compare, "compare")
	for i, one := range s.Cases {
		at := form.Item("cases", i)
		if one.Name == "" {
			c.fail(at, "no name", "a name")
		}
		c.comparison(one.Compare, at+".compare")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Policies)) {
		switch p := s.Policies[name]; {
		case p.Wasm == "" && p.Choices == 0:
			c.fail("policies."+name, "neither wasm nor choices", "one of them")
		case p.Wasm != "" && p.Choices != 0:
			c.fail("policies."+name, "both wasm and choices", "one of them")
		}
	}
	for i, f := range s.Faults {
		c.fault(form.Item("faults", i), f)
	}
	for i, e := range s.Expect {
		c.expectation(form.Item("expect", i), e)
	}
	if s.Requests == 0 && s.Duration == 0 {
		c.fail("", "neither requests nor duration", "one of them")
	}
	if s.Trouble.Share > 0 && s.Duration == 0 {
		c.fail("trouble", "no duration", "one: trouble is laid out over it")
	}
	return c.errs
}

func (c *checker) servers() {
	if len(c.Servers) == 0 {
		c.fail("servers", "no servers", "at least one group")
		return
	}
	n, weight := 0, 0
	for i, g := range c.Servers {
		at := form.Item("servers", i)
		n += g.Count
		weight += g.Weight * g.Count
		if g.Service == "" && c.Service == "" {
			c.fail(at, "no service time", "service, here or for all servers")
		}
	}
	if n > 1<<16 {
		c.fail("servers", fmt.Sprintf("%d servers", n), "at most %d", 1<<16)
	}
	if weight == 0 {
		c.fail("servers", "weights of 0 only", "one server at least with a weight above 0")
	}
}

func (c *checker) arrivals() {
	a := c.Arrivals
	ways := 0
	for _, given := range []bool{a.Rate > 0, a.Load > 0, len(a.Steps) > 0, a.Trace != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		c.fail("arrivals", fmt.Sprintf("%d ways to say when requests come", ways), "one of rate, load, steps and trace")
	}
	for i, s := range a.Steps {
		at := form.Item("arrivals.steps", i)
		if s.Rate > 0 && s.Load > 0 {
			c.fail(at, "both rate and load", "one of them")
		}
		if i > 0 && s.At <= a.Steps[i-1].At {
			c.fail(at, s.At.String(), "a time after that of the step before, %s", a.Steps[i-1].At)
		}
	}
	byLoad := a.Load > 0 || slices.ContainsFunc(a.Steps, func(s Step) bool { return s.Load > 0 }) ||
		slices.ContainsFunc(c.Cases, func(k Case) bool { return k.Load > 0 })
	if byLoad {
		for i, g := range c.Servers {
			if g.Serves == "delay" {
				c.fail(form.Item("servers", i), "delay", "queue or sharing where arrivals go by load: a delay has no end")
			}
		}
	}
}

func (c *checker) comparison(names []string, path string) {
	for i, name := range names {
		if !c.knows(name) {
			known := policies.Names()
			for k := range c.Policies {
				known = append(known, k)
			}
			slices.Sort(known)
			c.fail(form.Item(path, i), form.Quote(name), "a known policy%s", form.Nearest(name, known))
		}
	}
}

func (c *checker) knows(policy string) bool {
	return c.Policies[policy] != nil || slices.Contains(policies.Names(), policy)
}

func (c *checker) fault(at string, f Fault) {
	if f.What == "" {
		c.fail(at, "nothing", "what happens: crash, hang, fail, pause, heal, slow, serve or partition")
	}
	if f.What == "serve" && f.Service == "" {
		c.fail(at, "no service", "the service time from now on")
	}
	if (f.What == "hang" || f.What == "pause" || f.What == "partition") && c.Timeout == 0 && c.Retry.PerTry == 0 {
		c.fail(at, f.What+" without a timeout", "timeout or retry.per_try_timeout: requests would wait for ever")
	}
	if f.Times > 1 && (f.Every <= f.For || f.For == 0) {
		c.fail(at, fmt.Sprintf("%d times, each for %v, every %v", f.Times, f.For, f.Every), "for, and a longer every")
	}
	if (f.What == "partition") != (len(f.Gateways) > 0) {
		c.fail(at, fmt.Sprintf("%q and %d gateways", f.What, len(f.Gateways)), "partition and the gateways on this side of it, or neither")
	}
	for i, g := range f.Gateways {
		if n := c.gateways(); g < 0 || g >= n {
			c.fail(form.Item(at+".gateways", i), strconv.Itoa(g), "0..%d: a gateway that is there in all cases", n-1)
		}
	}
	if len(f.Servers) == 0 {
		c.fail(at, "no servers", "names of servers or groups")
	}
	for i, name := range f.Servers {
		if len(c.named(name)) == 0 {
			c.fail(form.Item(at+".servers", i), form.Quote(name), "the name of a group, or of a server such as %s0", c.Servers[0].Name)
		}
	}
}

// gateways is how many there are at least.
func (c *checker) gateways() int {
	n := c.Gateways
	for _, k := range c.Cases {
		if k.Gateways > 0 {
			n = min(n, k.Gateways)
		}
	}
	return n
}

func (c *checker) expectation(at string, e Expect) {
	if e.Policy == "" || e.Metric == "" {
		c.fail(at, "no policy or no metric", "both")
		return
	}
	for path, name := range map[string]string{at + ".policy": e.Policy, at + ".than.policy": e.Than.Policy} {
		if name != "" && !c.knows(name) {
			c.fail(path, form.Quote(name), "a known policy%s", form.Nearest(name, policies.Names()))
		}
	}
	for path, name := range map[string]string{at + ".case": e.Case, at + ".than.case": e.Than.Case} {
		if name != "" && !slices.ContainsFunc(c.Cases, func(k Case) bool { return k.Name == name }) {
			c.fail(path, form.Quote(name), "the name of a case")
		}
	}
	if e.Want == "" && e.AtMost == "" && e.AtLeast == "" || (e.Want == "") != (e.Within == "") {
		c.fail(at, "no figure", "want and within, at_most or at_least")
	}
	if e.From > 0 || e.To > 0 {
		switch {
		case !slices.Contains(windowed, e.Metric):
			c.fail(at, e.Metric+" of a part of the run", "one of %v", windowed)
		case c.Duration == 0:
			c.fail(at, "a part of a run without a duration", "a duration")
		case e.From%c.slice(0) != 0 || e.To%c.slice(0) != 0:
			c.fail(at, "from "+e.From.String()+" to "+e.To.String(), "multiples of %s, a 120th of the duration", c.slice(0))
		}
	}
}
