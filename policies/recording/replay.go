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

// replay runs one cluster of a trace.
type replay struct {
	policy policies.Policy
	clock  *Clock
	report *Report

	stream  int // the one that is replayed
	text    replayed
	tables  [tableSlots]*policies.Table
	pickers [tableSlots]policies.Picker
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

// Replay asks p what the trace's policy of a cluster was asked, and compares the answers; examples is how many
// differences are kept. Time that p asks for by itself it must ask clock for. p is made for it, and is not closed.
//
// What follows an answer is taken from the trace: an endpoint is as busy as it was, and outcomes are those of attempts
// that the recorded policy chose, with its tags.
func Replay(in io.Reader, cluster string, p policies.Policy, clock *Clock, examples int) (*Report, error) {
	r, err := newReader(in)
	if err != nil {
		return nil, err
	}
	rp := &replay{policy: p, clock: clock, stream: -1, report: newReport(cluster, examples)}
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
	rp.tables, rp.pickers, rp.views = [tableSlots]*policies.Table{}, [tableSlots]policies.Picker{}, [viewSlots]replayedView{}
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
	rp.tables[slot], rp.pickers[slot] = t, nil
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
	pk, err := rp.policy.Build(t)
	if err != nil {
		return fmt.Errorf("Build of %d endpoints: %w", len(t.Endpoints), err)
	}
	rp.pickers[slot] = pk
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
	asked := q
	verdict := policies.Verdict{Action: policies.Retry, Endpoint: policies.None}
	if !next {
		pk := rp.pickers[v.table]
		if pk == nil {
			return errRecord
		}
		verdict.Endpoint = pk.Pick(&q, v.view)
	} else if f, ok := rp.policy.(policies.Failover); ok {
		verdict = f.Next(&q, v.view, o)
	} else {
		rp.report.Unasked++
		return nil
	}
	rp.report.compare(next, &asked, v.view, o, was, answerOf(&q, verdict))
	return nil
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
	if o, ok := rp.policy.(policies.Observer); ok {
		o.Observe(v.view, f)
	}
	return nil
}

func (rp *replay) advance(c *codec) error {
	delta(c, &rp.now, rp.now)
	if c.flags(&rp.ejected); c.bad {
		return errRecord
	}
	rp.clock.now.Store(rp.now)
	if a, ok := rp.policy.(Advancer); ok {
		a.Advance(rp.now)
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
