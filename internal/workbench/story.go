package workbench

import (
	"fmt"
	"time"

	"github.com/weir-lb/weir/internal/form"
)

// story tells one case.
type story struct {
	cases *Cases
	path  string // of the case
	stage *stage
	sent  []*request
	fails []Failure
}

// Run tells each case of a file, and its result as soon as it is there.
func (s *Subject) Run(c *Cases, tell func(Result)) {
	for i := range c.Cases {
		k, path := &c.Cases[i], form.Item("cases", i)
		if !s.wants(k.Name) {
			continue
		}
		begin := time.Now()
		tell(s.judged(Result{Name: k.Name, At: c.at(path), Failures: s.tell(c, k, path)}, begin))
	}
}

func (s *Subject) tell(c *Cases, k *Case, path string) []Failure {
	t := &story{cases: c, path: path}
	var guest *Guest
	st, err := newStage(c.Zone, s.Seed, k.Endpoints, func(now func() int64) (g *Guest, err error) {
		guest, err = s.Guest("test", k.Fallback, c.config(k, s.Config), now)
		return guest, err
	})
	if guest == nil {
		t.fail(path, err.Error(), "", "")
		return t.fails
	}
	if err != nil {
		t.fail(path, err.Error(), "", "")
		k = &Case{}
	}
	t.stage = st
	for i := range k.Steps {
		if t.step(&k.Steps[i], form.Item(path+".steps", i)); len(t.fails) > 0 {
			break // what follows would follow from it
		}
	}
	if f := guest.fault(); f != "" {
		t.fail(path, f, "", "")
	}
	if err := guest.Close(); err != nil {
		t.fail(path, err.Error(), "", "")
	}
	return t.fails
}

func (t *story) fail(path, what, want, got string) {
	at := t.cases.at(path)
	t.fails = append(t.fails, Failure{At: at, What: what, Want: want, Got: got})
}

// longest is how long a step may take to end.
const longest = 24 * time.Hour

func never() bool { return false }

func (t *story) step(s *Step, path string) {
	st := t.stage
	begin := st.Now() + s.After
	if s.At > 0 {
		if begin = s.At; begin < st.Now() {
			t.fail(path+".at", "the step before has not ended by then", "at most "+s.At.String(), st.Now().String())
			return
		}
	}
	st.Until(begin, never)
	if err := t.change(s, path); err != nil {
		t.fail(path, err.Error(), "", "")
		return
	}
	if s.Send == nil {
		return
	}
	t.sent = nil
	open := 0
	for i := range s.Send.Requests {
		st.Until(begin+time.Duration(i)*s.Send.Every, never)
		t.sent = append(t.sent, st.arrive(s.Send, i, &open))
	}
	if s.Send.Wait && !st.Until(st.Now()+longest, func() bool { return open == 0 }) {
		t.fail(path+".send", "the requests do not end", "the end of all within 24h", "")
		return
	}
	if s.Expect != nil {
		t.expect(s, path+".expect")
	}
}

// change does what a step does to the endpoints.
func (t *story) change(s *Step, path string) error {
	st := t.stage
	topology := len(s.Remove)+len(s.Add) > 0
	var come []*Endpoint
	for _, name := range s.Remove {
		delete(st.actors, name)
	}
	for _, e := range s.Add {
		st.actors[e.Name] = &e
		come = append(come, &e)
	}
	var changed []change
	for name, e := range s.Set {
		a, at := st.actors[name], form.Child(path+".set", name)
		has := func(key string) bool { return t.cases.set(at + "." + key) }
		for key, set := range map[string]func(){
			"weight":  func() { a.Weight, topology = e.Weight, true },
			"tier":    func() { a.Tier, topology = e.Tier, true },
			"zone":    func() { a.Zone, topology = e.Zone, true },
			"canary":  func() { a.Canary, topology = e.Canary, true },
			"spare":   func() { a.Spare, topology = e.Spare, true },
			"meta":    func() { a.Meta, topology = e.Meta, true },
			"state":   func() { a.State = e.State },
			"takes":   func() { a.Takes = e.Takes },
			"answers": func() { a.Answers = e.Answers },
		} {
			if has(key) {
				set()
			}
		}
		if has("columns") {
			a.Columns = e.Columns
		}
		changed = append(changed, change{a, func(column string) bool { return has("columns." + column) }})
	}
	if topology {
		if err := st.topology(); err != nil {
			return err
		}
	}
	for _, e := range come {
		changed = append(changed, change{e, always})
	}
	for _, c := range changed {
		if err := st.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// first names where the first attempt of q went, or what became of it instead.
func (q *request) first() string {
	switch {
	case len(q.attempts) > 0:
		return q.attempts[0].endpoint
	case q.rejected > 0:
		return fmt.Sprintf("rejected with %d", q.rejected)
	}
	return "no endpoint"
}
