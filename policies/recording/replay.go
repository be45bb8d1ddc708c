package recording

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Clock is the time in a replay. Policies that ask for the time by themselves are given it when they are made.
type Clock struct{ now atomic.Int64 }

// Now returns the time of the call that is being replayed, in nanoseconds.
func (c *Clock) Now() int64 { return c.now.Load() }

// side is one of the policies that are asked.
type side struct {
	policy  policies.Policy
	pickers [tableSlots]policies.Picker
}

// replay runs one cluster of a trace.
type replay struct {
	sides  []*side // the policy, and that which it is compared with
	clock  *Clock
	report *Report

	stream  int // the one that is replayed
	text    replayed
	tables  [tableSlots]*policies.Table
	views   [viewSlots]replayedView
	states  map[uint32]*policies.State
	before  policies.Request
	now     int64
	ejected []bool
	changes []change
}

type replayedView struct {
	view  *policies.View
	table int
}

// Replay asks p what the trace's policy of a cluster was asked, and compares the answers; examples is how many differences
// are kept. p is made for it and is not closed. The same policy answers as it did; so does a wasmhost.Policy if it is
// Manual, has the name that was recorded, and takes its time from clock.
//
// What follows an answer is taken from the trace: an endpoint is as busy as it was, and outcomes are those of attempts
// that the recorded policy chose, with its tags.
func Replay(in io.Reader, cluster string, p policies.Policy, clock *Clock, examples int) (*Report, error) {
	return run(in, cluster, clock, examples, &side{policy: p})
}

// Compare is Replay with the answers of another policy in place of the recorded ones.
func Compare(in io.Reader, cluster string, p, against policies.Policy, clock *Clock, examples int) (*Report, error) {
	return run(in, cluster, clock, examples, &side{policy: p}, &side{policy: against})
}

func run(in io.Reader, cluster string, clock *Clock, examples int, sides ...*side) (*Report, error) {
	r, err := newReader(in)
	if err != nil {
		return nil, err
	}
	rp := &replay{sides: sides, clock: clock, stream: -1, report: newReport(cluster, examples)}
	for n := 0; ; n++ {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = rp.record(record)
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", n, err)
		}
	}
	rp.report.Damage = r.damage
	rp.report.finish()
	if rp.stream < 0 {
		return nil, fmt.Errorf("the trace has no cluster %q", cluster)
	}
	return rp.report, nil
}

func (rp *replay) record(b []byte) error {
	c := &codec{b: b[1:], reading: true}
	k := kind(b[0])
	if k == kindEnd {
		rp.report.Full = true
		return nil
	}
	var stream int
	num(c, &stream)
	if k == kindStream {
		return rp.declare(c, stream)
	}
	if stream != rp.stream {
		return nil
	}
	var err error
	switch k {
	case kindTable:
		err = rp.table(c)
	case kindBuild:
		err = rp.build(c)
	case kindView:
		err = rp.view(c)
	case kindPick, kindNext:
		err = rp.ask(c, k == kindNext)
	case kindObserve:
		err = rp.observe(c)
	case kindAdvance:
		err = rp.advance(c)
	case kindUnheld:
		var u unheld
		c.text(&u.kind)
		c.text(&u.name)
		rp.report.unheld(u)
	case kindGap:
		var lost uint64
		num(c, &lost)
		rp.report.Gaps++
		rp.report.Lost += lost
	default:
		err = errRecord
	}
	if err == nil && c.bad {
		err = errRecord
	}
	return err
}

// declare begins a stream of the cluster, or begins it again after a gap: what is known of tables is told anew.
func (rp *replay) declare(c *codec, stream int) error {
	var s Stream
	if c.stream(&s); c.bad {
		return errRecord
	}
	if s.Cluster != rp.report.Cluster {
		return nil
	}
	if stream != rp.stream {
		rp.report.Streams = append(rp.report.Streams, s)
		rp.states = map[uint32]*policies.State{}
	}
	rp.stream = stream
	rp.text = replayed{s.Headers, make([]field, len(s.Headers))}
	rp.tables, rp.views = [tableSlots]*policies.Table{}, [viewSlots]replayedView{}
	for _, p := range rp.sides {
		p.pickers = [tableSlots]policies.Picker{}
	}
	rp.before, rp.now = policies.Request{}, 0
	return nil
}

func (rp *replay) slot(c *codec, slots int) (slot int) {
	num(c, &slot)
	if slot < 0 || slot >= slots {
		c.bad, slot = true, 0
	}
	return slot
}

func (rp *replay) table(c *codec) error {
	slot := rp.slot(c, tableSlots)
	t := &policies.Table{Ejector: rp}
	c.table(t, func(num uint32) *policies.State {
		s := rp.states[num]
		if s == nil {
			s = new(policies.State)
			rp.states[num] = s
		}
		return s
	})
	rp.tables[slot] = t
	for _, p := range rp.sides {
		p.pickers[slot] = nil
	}
	rp.report.know(t)
	return nil
}

func (rp *replay) build(c *codec) error {
	slot := rp.slot(c, tableSlots)
	delta(c, &rp.now, rp.now)
	c.changes(&rp.changes)
	c.flags(&rp.ejected)
	t := rp.tables[slot]
	if t == nil || c.bad || !rp.apply(t) {
		return errRecord
	}
	rp.clock.now.Store(rp.now)
	for p := range rp.each() {
		pk, err := p.policy.Build(t)
		if err != nil {
			return fmt.Errorf("Build of %d endpoints: %w", len(t.Endpoints), err)
		}
		p.pickers[slot] = pk
	}
	rp.report.Tables++
	return nil
}

// apply brings the live figures of t up to date.
func (rp *replay) apply(t *policies.Table) bool {
	for _, ch := range rp.changes {
		i, col := ch.at/policies.NumColumns, policies.Column(ch.at%policies.NumColumns)
		if ch.at < 0 || i >= len(t.Endpoints) {
			return false
		}
		e := t.Endpoints[i]
		e.Store(col, uint32(int64(e.Load(col))+ch.delta))
	}
	return true
}

func (rp *replay) view(c *codec) error {
	slot := rp.slot(c, viewSlots)
	var v viewRecord
	if c.view(&v); c.bad || v.table < 0 || v.table >= tableSlots || rp.tables[v.table] == nil {
		return errRecord
	}
	up := make(map[int]bool, len(v.up))
	for _, i := range v.up {
		up[int(i)] = true
	}
	rp.views[slot] = replayedView{policies.NewView(rp.tables[v.table], v.gen, v.panic, func(i int) bool { return up[i] }), v.table}
	return nil
}

func (rp *replay) ask(c *codec, next bool) error {
	v := rp.views[rp.slot(c, viewSlots)]
	c.changes(&rp.changes)
	var q policies.Request
	c.request(&q, &rp.before)
	rp.before = q
	for i := range rp.text.values {
		rp.text.values[i] = field{}
	}
	c.fields(rp.text.values)
	var o policies.Outcome
	if next {
		c.outcome(&o)
	}
	var was Answer
	c.answer(&was)
	c.flags(&rp.ejected)
	if c.bad || v.view == nil || !rp.apply(v.view.Table) {
		return errRecord
	}
	if len(rp.text.held) > 0 {
		q.Attrs = &rp.text
	}
	answers := [2]Answer{1: was}
	k := 0
	for p := range rp.each() {
		a, ok := p.answer(next, q, v, o)
		if !ok {
			rp.report.Unasked++
			return nil
		}
		answers[k] = a
		k++
	}
	rp.report.compare(next, &q, v.view, o, answers[1], answers[0])
	return nil
}

// answer asks a policy. ok is false if it has no say in this.
func (p *side) answer(next bool, q policies.Request, v replayedView, o policies.Outcome) (a Answer, ok bool) {
	verdict := policies.Verdict{Action: policies.Retry, Endpoint: policies.None}
	if !next {
		pk := p.pickers[v.table]
		if pk == nil {
			return a, false
		}
		verdict.Endpoint = pk.Pick(&q, v.view)
		return answerOf(&q, verdict), true
	}
	f, ok := p.policy.(policies.Failover)
	if ok {
		a = answerOf(&q, f.Next(&q, v.view, o))
	}
	return a, ok
}

// each goes through the policies; each finds the same answers to its wishes.
func (rp *replay) each() func(yield func(*side) bool) {
	wishes := rp.ejected
	return func(yield func(*side) bool) {
		for _, p := range rp.sides {
			rp.ejected = wishes
			if !yield(p) {
				return
			}
		}
	}
}

func (rp *replay) observe(c *codec) error {
	v := rp.views[rp.slot(c, viewSlots)]
	c.changes(&rp.changes)
	var f policies.Feedback
	c.feedback(&f, rp.now)
	rp.now = f.Now
	c.flags(&rp.ejected)
	if c.bad || v.view == nil || !rp.apply(v.view.Table) {
		return errRecord
	}
	rp.report.Outcomes++
	for p := range rp.each() {
		if o, ok := p.policy.(policies.Observer); ok {
			o.Observe(v.view, f)
		}
	}
	return nil
}

func (rp *replay) advance(c *codec) error {
	delta(c, &rp.now, rp.now)
	if c.flags(&rp.ejected); c.bad {
		return errRecord
	}
	rp.clock.now.Store(rp.now)
	for p := range rp.each() {
		if a, ok := p.policy.(Advancer); ok {
			a.Advance(rp.now)
		}
	}
	return nil
}

// Eject implements policies.Ejector: wishes are answered as they were.
func (rp *replay) Eject(int, time.Duration) bool {
	if len(rp.ejected) == 0 {
		return true
	}
	ok := rp.ejected[0]
	rp.ejected = rp.ejected[1:]
	return ok
}
