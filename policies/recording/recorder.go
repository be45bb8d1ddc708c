package recording

import (
	"io"
	"sync"

	"github.com/weir-lb/weir/policies"
)

// recorder is one policy of one cluster while it is recorded: a stream of the trace. Calls to the policy come one after
// the other.
type recorder struct {
	writer                *Writer
	stream                int
	cluster, name, digest string
	inner                 policies.Policy
	failover              policies.Failover  // nil if inner is none, like those below
	observer              policies.Observer  //
	rehearser             policies.Rehearser //
	advancer              Advancer           //

	mu     sync.Mutex
	frozen frozen
	codec  codec
	before policies.Request // the one recorded last
	now    int64            // the time recorded last, of outcomes and advances
	closed bool
	missed uint64 // records lost since the last that was not

	changes []change
	ejected []bool // what the call under way was told of its wishes
	text    texts
}

func newRecorder(w *Writer, stream int, p policies.Policy) *recorder {
	r := &recorder{writer: w, stream: stream, inner: p}
	r.failover, _ = p.(policies.Failover)
	r.observer, _ = p.(policies.Observer)
	r.rehearser, _ = p.(policies.Rehearser)
	r.advancer, _ = p.(Advancer)
	r.frozen.states = map[uint32]*policies.State{}
	r.text = texts{held: w.options.Headers, values: make([]field, len(w.options.Headers)), unheld: map[unheld]bool{}}
	return r
}

// begin starts a record. The caller holds mu.
func (r *recorder) begin(k kind) *codec {
	c := &r.codec
	c.b = append(c.b[:0], byte(k))
	num(c, &r.stream)
	return c
}

// put ends a record. Once one is lost, so are those that follow, which say what differs from it, until the trace is mended.
func (r *recorder) put() {
	if r.missed > 0 {
		r.writer.buffer.lose()
		r.missed++
	} else if !r.writer.buffer.put(r.codec.b) {
		r.missed++
	}
}

// mend makes the trace readable again after records were lost. The caller holds mu, and has begun no record.
func (r *recorder) mend() {
	if r.missed == 0 || !r.writer.buffer.roomy() {
		return
	}
	c := r.begin(kindGap)
	num(c, &r.missed)
	if !r.writer.buffer.put(c.b) {
		return
	}
	r.missed = 0
	r.declare()
	f := &r.frozen
	for i := range f.tables {
		f.tables[i].written = false
	}
	for i := range f.views {
		f.views[i].written = false
	}
	r.before, r.now = policies.Request{}, 0
	if f.tables[f.built].own != nil {
		r.writeTable(f.built)
		r.writeBuild()
	}
}

func (r *recorder) declare() {
	c := r.begin(kindStream)
	c.stream(&Stream{r.cluster, r.name, r.digest, r.text.held, 0})
	r.put()
}

// table returns the slot of the policy's own copy of live, which is recorded.
func (r *recorder) table(live *policies.Table) int {
	slot, there := r.frozen.tableSlot(live)
	if !there {
		r.frozen.putTable(slot, live, ejector{r, live.Ejector})
	}
	r.refresh(slot)
	if !r.frozen.tables[slot].written {
		r.changes = r.changes[:0] // the table comes with them
		r.writeTable(slot)
	}
	return slot
}

// refresh copies the live figures of a table to the policy's own, and notes what differs.
func (r *recorder) refresh(slot int) {
	r.changes = r.changes[:0]
	t := &r.frozen.tables[slot]
	for i, own := range t.own.Endpoints {
		live := t.live.Endpoints[i]
		for c := range policies.Column(policies.NumColumns) {
			if x, was := live.Load(c), own.Load(c); x != was {
				own.Store(c, x)
				r.changes = append(r.changes, change{i*policies.NumColumns + int(c), int64(x) - int64(was)})
			}
		}
	}
}

// view returns the policy's own copy of live, which is recorded, and its slot. The live figures are fresh.
func (r *recorder) view(live *policies.View) (*policies.View, int) {
	table := r.table(live.Table)
	slot, there := r.frozen.viewSlot(live)
	if !there {
		r.frozen.putView(slot, table, live)
	}
	v := &r.frozen.views[slot]
	if !v.written {
		c := r.begin(kindView)
		num(c, &slot)
		c.view(newViewRecord(v))
		r.put()
		v.written = true
	}
	return v.own, slot
}

func (r *recorder) writeTable(slot int) {
	c := r.begin(kindTable)
	num(c, &slot)
	c.table(r.frozen.tables[slot].own, nil)
	r.put()
	r.frozen.tables[slot].written = true
}

func (r *recorder) writeBuild() {
	c := r.begin(kindBuild)
	num(c, &r.frozen.built)
	now := r.writer.Now()
	delta(c, &now, r.now)
	r.now = now
	c.changes(&r.changes)
	c.flags(&r.ejected)
	r.put()
}

// Build implements policies.Policy.
func (r *recorder) Build(t *policies.Table) (policies.Picker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mend()
	slot := r.table(t)
	r.ejected = r.ejected[:0]
	pk, err := r.inner.Build(r.frozen.tables[slot].own)
	if err != nil {
		return nil, err
	}
	r.frozen.built = slot
	r.writeBuild()
	return &picker{r, pk}, nil
}

// picker answers for one table.
type picker struct {
	recorder *recorder
	inner    policies.Picker
}

// Pick implements policies.Picker.
func (pk *picker) Pick(q *policies.Request, v *policies.View) int {
	r := pk.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mend()
	own, slot := r.view(v)
	asked := r.ask(q)
	i := pk.inner.Pick(q, own)
	r.answered(kindPick, slot, &asked, q, nil, policies.Verdict{Action: policies.Retry, Endpoint: i})
	return i
}

// next is Failover.Next.
func (r *recorder) next(q *policies.Request, v *policies.View, o policies.Outcome) policies.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mend()
	own, slot := r.view(v)
	asked := r.ask(q)
	verdict := r.failover.Next(q, own, o)
	r.answered(kindNext, slot, &asked, q, &o, verdict)
	return verdict
}

// ask prepares a call about q, and returns it as it is before.
func (r *recorder) ask(q *policies.Request) policies.Request {
	r.ejected = r.ejected[:0]
	r.text.of(q)
	asked := *q
	if q.Attrs != nil {
		q.Attrs = &r.text
	}
	return asked
}

// answered records a call and its answer.
func (r *recorder) answered(k kind, slot int, asked, q *policies.Request, o *policies.Outcome, verdict policies.Verdict) {
	q.Attrs = asked.Attrs
	r.text.attrs = nil
	c := r.begin(k)
	num(c, &slot)
	c.changes(&r.changes)
	c.request(asked, &r.before)
	c.fields(r.text.values)
	if o != nil {
		c.outcome(o)
	}
	a := answerOf(q, verdict)
	c.answer(&a)
	c.flags(&r.ejected)
	r.put()
	r.before = *asked
	r.before.Attrs, r.before.Trace = nil, nil
	for _, u := range r.text.news {
		c := r.begin(kindUnheld)
		c.text(&u.kind)
		c.text(&u.name)
		r.put()
	}
	r.text.news = r.text.news[:0]
}

// observe is Observer.Observe.
func (r *recorder) observe(v *policies.View, f policies.Feedback) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mend()
	own, slot := r.view(v)
	r.ejected = r.ejected[:0]
	r.observer.Observe(own, f)
	c := r.begin(kindObserve)
	num(c, &slot)
	c.changes(&r.changes)
	c.feedback(&f, r.now)
	c.flags(&r.ejected)
	r.put()
	r.now = f.Now
}

// advance lets time pass. The caller holds mu.
func (r *recorder) advance(now int64) {
	if r.advancer == nil || r.closed {
		return
	}
	r.mend()
	r.ejected = r.ejected[:0]
	r.advancer.Advance(now)
	c := r.begin(kindAdvance)
	delta(c, &now, r.now)
	c.flags(&r.ejected)
	r.put()
	r.now = now
}

// Close implements io.Closer.
func (r *recorder) Close() error {
	r.writer.remove(r)
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if c, ok := r.inner.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
