package wasmhost

import (
	"sync"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Outcomes wait for the guest until there are maxRecords of them, or this long, or until a tick.
const (
	feedbackEvery = 10 * time.Millisecond
	maxPending    = 4 * maxRecords // beyond it outcomes are lost, and counted
)

// record is an outcome that the guest has not heard of.
type record struct {
	tag       uint64
	gen       uint32 // of the table that index belongs to
	index     int32
	num       uint32
	firstByte uint32
	total     uint32
	status    uint16
	err       uint16
	load      uint16
	attempt   uint8
	flags     uint8
}

// pending holds outcomes for one instance. Its lock is held for a copy: it is not the instance's, which a guest holds
// for as long as it computes.
type pending struct {
	mu   sync.Mutex
	n    int
	recs [maxPending]record
	lost uint64
}

// add puts r in, and returns how many there are.
func (q *pending) add(r record) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == maxPending {
		q.lost++
		return q.n
	}
	q.recs[q.n] = r
	q.n++
	return q.n
}

// take moves the oldest into batch, and returns how many.
func (q *pending) take(batch *[maxRecords]record) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := copy(batch[:], q.recs[:q.n])
	q.n = copy(q.recs[:], q.recs[n:q.n])
	return n
}

func (q *pending) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += uint64(q.n)
	q.n = 0
}

func (q *pending) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// unknownLoad is what load_permille says of an endpoint that reports no load.
const unknownLoad = 0xffff

// Observe implements policies.Observer. The guest hears of it in a batch, from the request that fills the batch or within
// 10 ms.
func (p *Policy) Observe(v *policies.View, f policies.Feedback) {
	heir := p.heir()
	if heir != nil {
		heir.Observe(v, f)
		return
	}
	if p.fallbackHears != nil && !p.inert {
		p.fallbackHears.Observe(v, f)
	}
	if !p.module.info.Feedback {
		return
	}
	r := record{
		tag: f.Tag, gen: v.Table.Gen, index: int32(f.Endpoint), num: f.Num, status: uint16(f.Status), err: uint16(f.Class),
		attempt: f.Attempt, firstByte: clamp(f.FirstByte / time.Microsecond), total: clamp(f.Total / time.Microsecond),
		load: unknownLoad,
	}
	if f.Load >= 0 {
		r.load = uint16(min(f.Load, 60) * 1000)
	}
	if f.Final {
		r.flags |= fbFinal
	}
	switch {
	case f.Unmade:
		r.flags |= fbUnmade
	case f.Loser:
		r.flags |= fbLoser
	case f.Class == policies.Cancelled:
		r.flags |= fbClientGone
	}
	s := p.shards[f.Instance%uint32(len(p.shards))]
	full := s.pending.add(r) >= maxRecords
	if heir = p.heir(); heir != nil { // it came in this moment
		p.handOn(heir)
		return
	}
	switch {
	case !full:
		return
	case p.module.options.Manual: // a trace is replayed to the bit
		s.mu.Lock()
	case !s.mu.TryLock():
		return
	}
	s.flush(f.Now)
	s.mu.Unlock()
}

// unmade is the record of an endpoint that the guest named in its last answer, and that does not get the request.
func (in *instance) unmade(r *policies.Request) record {
	return record{
		tag: le.Uint64(in.req.view[outTag:]), gen: in.table.Gen, index: in.answer, num: in.table.Endpoints[in.answer].Num,
		err: uint16(policies.Cancelled), load: unknownLoad, attempt: r.Attempt, flags: fbUnmade,
	}
}

// flush tells the guest what is pending. The caller holds mu. What there is for an instance that is gone, nobody wants. One
// in quarantine hears on: what it counted before has outcomes, and one that fails over those is gone.
func (s *shard) flush(now int64) {
	in := s.in
	if s.moved {
		return
	}
	if in == nil || in.feedback == nil {
		s.pending.clear()
		return
	}
	for {
		n := s.pending.take(&in.batch)
		if n == 0 {
			return
		}
		if err := in.tellFeedback(in.batch[:n], now); err != nil {
			s.failed(FailFeedback, err)
			s.replace()
			return
		}
	}
}

// tellFeedback calls lb_feedback.
func (in *instance) tellFeedback(recs []record, now int64) error {
	b := in.records.view
	for _, r := range recs {
		le.PutUint64(b[fbTag:], r.tag)
		le.PutUint32(b[fbID:], r.num)
		le.PutUint32(b[fbIndex:], uint32(in.indexOf(r)))
		le.PutUint16(b[fbStatus:], r.status)
		le.PutUint16(b[fbErr:], r.err)
		b[fbAttempt], b[fbFlags] = r.attempt, r.flags
		le.PutUint16(b[fbLoad:], r.load)
		le.PutUint32(b[fbFirstByte:], r.firstByte)
		le.PutUint32(b[fbTotal:], r.total)
		b = b[recordSize:]
	}
	in.stack[0], in.stack[1], in.stack[2] = uint64(in.records.at), uint64(len(recs)), uint64(now)
	in.call.now = now
	return in.invoke(in.feedback, inFeedback, in.module.options.Fuel.feedback(len(recs)))
}

// indexOf returns where the endpoint of r is in the table that the guest has now, or -1.
func (in *instance) indexOf(r record) int32 {
	if r.gen == in.table.Gen {
		return r.index
	}
	for i, e := range in.table.Endpoints {
		if e.Num == r.num {
			return int32(i)
		}
	}
	return -1
}

// run lets time pass for the policy until it is closed.
func (p *Policy) run() {
	tick := time.NewTicker(feedbackEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.Advance(p.module.options.Now())
		case <-p.ctx.Done():
			return
		}
	}
}

// Advance tells the guest the outcomes that wait, and calls lb_tick if it is due at now, in nanoseconds of the policy's
// clock. Unless the module is Manual, a goroutine of the policy calls it every 10 ms. If it is, Advance also makes an
// instance in place of one that failed.
func (p *Policy) Advance(now int64) {
	for _, s := range p.shards {
		s.mu.Lock()
		s.flush(now)
		s.tick(now)
		again := s.recreating && p.module.options.Manual
		s.mu.Unlock()
		if again && p.ward.wait(now) <= 0 {
			s.remake()
		}
	}
}

// tick calls lb_tick if the guest asked for it and it is time. The caller holds mu.
func (s *shard) tick(now int64) {
	in := s.in
	if in == nil || in.tickEvery == 0 || now < in.tickAt {
		return
	}
	in.tickAt = now + in.tickEvery
	in.writeColumns()
	in.stack[0], in.call.now = uint64(now), now
	if err := in.invoke(in.tick, inTick, in.module.options.Fuel.tick()); err != nil {
		s.failed(FailTick, err)
		s.replace()
	}
}
