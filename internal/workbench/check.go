package workbench

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-lb/weir/internal/form"
)

// caseChecker holds the rules that more than one value takes part in.
type caseChecker struct {
	*Cases
	errs  form.Errors
	names map[string]bool // of the endpoints that there are at a step
}

func (c *caseChecker) fail(path, got, want string) {
	if !slices.ContainsFunc(c.errs, func(e *form.Error) bool { return e.Path == path }) {
		c.errs = append(c.errs, c.places.Error(path, got, want))
	}
}

func (c *caseChecker) all() {
	c.endpoints("endpoints", c.Endpoints)
	seen := map[string]int{}
	for i := range c.Cases.Cases {
		k, path := &c.Cases.Cases[i], form.Item("cases", i)
		if k.Name == "" {
			c.fail(path+".name", "nothing", "what the case shows, in words")
		} else if first, again := seen[k.Name]; again {
			c.fail(path+".name", form.Quote(k.Name), fmt.Sprintf("another one than cases[%d] has", first))
		}
		seen[k.Name] = i
		c.one(k, path)
	}
}

// endpoints demands a name of each, once, and that they are no more than a policy can tell apart.
func (c *caseChecker) endpoints(path string, all []Endpoint) {
	for i := range all {
		at := form.Item(path, i)
		switch name := all[i].Name; {
		case name == "":
			c.fail(at+".name", "nothing", "the name of the endpoint")
		case slices.ContainsFunc(all[:i], func(e Endpoint) bool { return e.Name == name }):
			c.fail(at+".name", form.Quote(name), "each name once")
		}
	}
}

func (c *caseChecker) one(k *Case, path string) {
	if c.set(path + ".endpoints") {
		c.endpoints(path+".endpoints", k.Endpoints)
	} else {
		k.Endpoints = c.Endpoints
	}
	if len(k.Endpoints) == 0 {
		c.fail(path+".endpoints", "none", "at least one, here or at the top")
	}
	if len(k.Steps) == 0 {
		c.fail(path+".steps", "none", "at least one")
	}
	c.names = map[string]bool{}
	for _, e := range k.Endpoints {
		c.names[e.Name] = true
	}
	for i := range k.Steps {
		c.step(&k.Steps[i], form.Item(path+".steps", i))
	}
}

func (c *caseChecker) step(s *Step, path string) {
	for i, name := range s.Remove {
		c.known(form.Item(path+".remove", i), name)
		delete(c.names, name)
	}
	for i, e := range s.Add {
		if c.names[e.Name] {
			c.fail(form.Item(path+".add", i)+".name", form.Quote(e.Name), "the name of an endpoint that is not there yet")
		}
		c.names[e.Name] = true
	}
	c.endpoints(path+".add", s.Add)
	for _, name := range slices.Sorted(maps.Keys(s.Set)) {
		at := form.Child(path+".set", name)
		c.known(at, name)
		if c.set(at + ".name") {
			c.fail(at+".name", form.Quote(s.Set[name].Name), "it left out: an endpoint keeps its name")
		}
	}
	if c.set(path+".at") && c.set(path+".after") {
		c.fail(path+".after", "at and after", "one of them")
	}
	if s.Send != nil && s.Send.Session != "" && !s.Send.Wait {
		c.fail(path+".send.wait", "false", "true: the session is known when the requests have ended")
	}
	if s.Expect != nil {
		c.expect(s, path+".expect")
	}
}

// known demands that there is an endpoint of that name.
func (c *caseChecker) known(path, name string) {
	if !c.names[name] {
		names := slices.Sorted(maps.Keys(c.names))
		near := form.Nearest(name, names)
		if near == "" {
			near = ": " + strings.Join(names, ", ")
		}
		c.fail(path, form.Quote(name), "the name of an endpoint that is there"+near)
	}
}

func (c *caseChecker) expect(s *Step, path string) {
	e := s.Expect
	if s.Send == nil {
		c.fail(path, "expectations", "requests to have them of: a send in the same step")
		return
	}
	if e.Pick != "" {
		c.known(path+".pick", e.Pick)
	}
	for key, names := range map[string][]string{"picks": e.Picks, "never": e.Never, "retries": e.Retries} {
		for i, name := range names {
			c.known(form.Item(path+"."+key, i), name)
		}
	}
	if c.set(path+".picks") && len(e.Picks) != s.Send.Requests {
		c.fail(path+".picks", fmt.Sprintf("%d names", len(e.Picks)), fmt.Sprintf("one for each of the %d requests", s.Send.Requests))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Share)) {
		at := form.Child(path+".share", name)
		c.known(at, name)
		if _, ok := parseShare(e.Share[name]); !ok {
			c.fail(at, form.Quote(e.Share[name]), shareForm)
		}
	}
	if !s.Send.Wait {
		for key, is := range map[string]bool{"retries": e.Retries != nil, "attempts": e.Attempts > 0, "ends": e.Ends != ""} {
			if is {
				c.fail(path+"."+key, "an expectation of how requests end", "send.wait: true")
			}
		}
	}
	if c.only(path) {
		c.fail(path, "nothing", "an expectation")
	}
}

// only reports whether nothing is set below path.
func (c *caseChecker) only(path string) bool {
	for p := range c.places {
		if strings.HasPrefix(p, path+".") {
			return false
		}
	}
	return true
}

// config returns what lb_init is handed in case k, or in the laws if that is nil: the case's own, what was given on the
// bench, or that of the file.
func (c *Cases) config(k *Case, given []byte) []byte {
	switch {
	case k != nil && k.Config != nil:
		return k.Config
	case given != nil || c == nil:
		return given
	}
	return c.Config
}
