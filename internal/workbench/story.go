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
	t := &story{cases: c, path: path, stage: newStage(c.Zone, s.Seed)}
	st := t.stage
	guest, err := s.Guest("test", k.Fallback, c.config(k, s.Config), func() int64 { return st.now })
	if err != nil {
		t.fail(path, err.Error(), "", "")
		return t.fails
	}
	st.guest = guest
	for _, e := range k.Endpoints {
		st.add(e)
	}
	if err := st.topology(); err != nil {
		t.fail(path, err.Error(), "", "")
	}
	st.begin()
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
const longest = int64(24 * time.Hour)

func (t *story) step(s *Step, path string) {
	st := t.stage
	begin := st.now + int64(s.After)
	if s.At > 0 {
		if begin = epoch + int64(s.At); begin < st.now {
			t.fail(path+".at", "the step before has not ended by then", "at most "+s.At.String(), time.Duration(st.now-epoch).String())
			return
		}
	}
	st.until(begin, func() bool { return false })
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
		st.until(begin+int64(i)*int64(s.Send.Every), func() bool { return false })
		t.sent = append(t.sent, st.arrive(s.Send, i, &open))
	}
	if s.Send.Wait && !st.until(st.now+longest, func() bool { return open == 0 }) {
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
	topology, availability := len(s.Remove)+len(s.Add) > 0, false
	for _, name := range s.Remove {
		delete(st.actors, name)
	}
	for _, e := range s.Add {
		st.add(e)
	}
	for name, e := range s.Set {
		a, at := st.actors[name], form.Child(path+".set", name)
		has := func(key string) bool { return t.cases.set(at + "." + key) }
		for key, set := range map[string]func(){
			"weight": func() { a.Weight, topology = e.Weight, true },
			"tier":   func() { a.Tier, topology = e.Tier, true },
			"zone":   func() { a.Zone, topology = e.Zone, true },
			"canary": func() { a.Canary, topology = e.Canary, true },
			"spare":  func() { a.Spare, topology = e.Spare, true },
			"meta":   func() { a.Meta, topology = e.Meta, true },
			"state":  func() { a.State, availability = e.State, true },
			"takes":  func() { a.Takes = e.Takes },
			"answers": func() {
				a.Answers = e.Answers
				a.answer, _ = parseOutcome(e.Answers)
			},
		} {
			if has(key) {
				set()
			}
		}
		if has("columns") {
			a.Columns = e.Columns
			a.setColumns(func(key string) bool { return has("columns." + key) })
		}
	}
	switch {
	case topology:
		return st.topology()
	case availability:
		st.availability()
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
