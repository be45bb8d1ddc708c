package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/weir-lb/weir/discovery"
)

// Source watches the instances of one query. It is a [discovery.Source].
type Source struct {
	client *Client
	query  Query
	known  discovery.State
}

// Service returns a source of the instances that q names.
func (c *Client) Service(q Query) *Source {
	q.Datacenter = cmp.Or(q.Datacenter, c.datacenter)
	return &Source{client: c, query: q}
}

// From returns a source that begins with what another source of the same query knew. It doubts what says otherwise, as
// one that has run all the time would: a change of the agent's address in an outage must not take the endpoints away.
func (s *Source) From(known discovery.State) discovery.Source {
	return &Source{client: s.client, query: s.query, known: known}
}

// Run publishes the last known good state of an earlier run, if there is one, and then what Consul answers. While Consul
// gives no answer that can be trusted, it publishes the last good one again, with the reason.
func (s *Source) Run(ctx context.Context, publish func(discovery.State)) {
	w := newWatch(s.client, s.query, publish)
	if w.last, w.apart = s.known, s.known.Origin == discovery.OriginLive; !w.apart {
		w.recall()
	}
	for w.pace.wait(ctx) {
		if err := w.step(ctx); ctx.Err() == nil && err != nil {
			w.fail(err)
			sleep(ctx, w.backoff())
		}
	}
}

// watch is the state of one run of a source.
type watch struct {
	client  *Client
	query   Query
	publish func(discovery.State)
	log     *slog.Logger
	key     string
	rand    *rand.Rand
	pace    pace
	reading *reading // nil until known

	last     discovery.State // as published
	hold     discovery.Hold
	index    uint64    // to block on; 0: ask for a full answer
	believed uint64    // index of the last answer that was believed
	reset    bool      // the catalogue lost its history since
	apart    bool      // last is from before an outage, an earlier run, or another agent
	refresh  time.Time // when a full answer is due
	sure     bool      // the next question is for the leader
	left     time.Duration
	failures int
}

func newWatch(c *Client, q Query, publish func(discovery.State)) *watch {
	h := fnv.New64a()
	key := c.key(q)
	_, _ = h.Write([]byte(key))
	return &watch{
		client: c, query: q, publish: publish, key: key, log: c.opts.Log.With("service", q.Service),
		rand: rand.New(rand.NewPCG(c.opts.Seed, h.Sum64())),
		pace: pace{every: c.opts.Pace}, hold: discovery.Hold{Time: c.opts.Hold},
	}
}

var errRecalled = errors.New("known from an earlier run, not confirmed yet")

// recall publishes what an earlier run knew. It comes before the first question, which a hung agent may not answer.
func (w *watch) recall() {
	if w.client.opts.Snapshot == nil {
		return
	}
	if st, ok := w.client.opts.Snapshot.Get(w.key); ok {
		st.Err = errRecalled
		w.last, w.apart = st, true
		w.publish(st)
	}
}

// step puts one question and takes its answer.
func (w *watch) step(ctx context.Context) error {
	if w.reading == nil {
		rd, err := w.client.reading(ctx, w.query)
		if err != nil {
			return err
		}
		w.reading = &rd
	}
	q := w.next()
	a, err := w.client.ask(ctx, w.query, q)
	if err != nil {
		return w.client.locate(ctx, w.query, err)
	}
	switch {
	case !a.leader:
		return &Problem{Kind: NoLeader, Err: errors.New("the answer comes from a server without a leader")}
	case a.lastContact > w.client.opts.MaxStale:
		return &Problem{Kind: NoLeader, Err: fmt.Errorf("the server heard from its leader %v ago, want at most %v",
			a.lastContact, w.client.opts.MaxStale)}
	}
	if q.index == 0 {
		w.refresh = time.Now().Add(w.jitter(w.client.opts.Refresh, 0.1))
	}
	w.advance(a.index)
	list, bad := w.reading.instances(a.entries)
	return w.take(list, bad, a, q.sure)
}

// next returns the question to put now.
func (w *watch) next() question {
	if w.sure || w.index == 0 || time.Now().After(w.refresh) {
		return question{sure: w.sure}
	}
	wait := w.jitter(w.client.opts.Wait, 0.2)
	if w.left > 0 {
		wait = min(wait, w.left)
	}
	return question{index: w.index, wait: wait}
}

// advance notes the index of an answer. One that went backwards must not be waited on: nothing would come until the
// catalogue has caught up with the old one.
func (w *watch) advance(index uint64) {
	if index < w.believed {
		w.reset = true
	}
	if index < w.index {
		index = 0
	}
	w.index = index
}

// take publishes what an answer says, as far as it is believed.
func (w *watch) take(list []discovery.Instance, bad error, a answer, sure bool) error {
	now := time.Now()
	// An agent that comes back and says "nothing" to a gateway that knows better may have lost everything, whatever its
	// index is: one that was started anew may soon be past the index that the gateway knew.
	w.reset = w.reset || w.apart && len(list) == 0 && !a.filtered
	list, shrink := w.hold.Weigh(now, w.last.Instances, discovery.Answer{
		Instances: list, Sure: sure, Reset: w.reset, Partial: a.filtered,
	})
	if a.filtered {
		return w.partial(now, list, shrink)
	}
	w.failures = 0
	if shrink != nil {
		w.sure, w.left = !sure, max(shrink.Left, 0)
		w.say(discovery.State{
			Instances: list, At: w.last.At, Origin: w.last.Origin, Err: &Problem{Kind: Doubted, Err: shrink},
		})
		return nil
	}
	w.sure, w.left = false, 0
	w.believed, w.reset, w.apart = a.index, false, false
	st := discovery.State{Instances: list, At: now, Origin: discovery.OriginLive}
	if bad != nil {
		st.Err = &Problem{Kind: Garbled, Err: bad}
	}
	w.say(st)
	if w.client.opts.Snapshot != nil {
		w.client.opts.Snapshot.Put(w.key, st)
	}
	return nil
}

// partial takes an answer of which ACLs hid a part: news of the instances that it shows, and no word on the others. A
// token with too few rights may be there to stay, so such an answer is waited on like any other.
func (w *watch) partial(now time.Time, list []discovery.Instance, shrink *discovery.Shrink) error {
	var reason error = errors.New("the token may not read every instance")
	if shrink != nil {
		reason = shrink
	}
	problem := &Problem{Kind: Filtered, Err: reason}
	if len(list) == 0 {
		return problem // nothing was shown: that is no answer
	}
	w.failures = 0
	st := discovery.State{Instances: list, At: now, Origin: w.last.Origin, Err: problem}
	if st.Origin == discovery.OriginNone {
		st.Origin = discovery.OriginLive
	}
	w.say(st)
	return nil
}

// fail publishes the last good state with the reason why there is no newer one.
func (w *watch) fail(err error) {
	w.index, w.sure, w.left, w.apart = 0, false, 0, true
	w.hold.Interrupt()
	w.failures++
	st := w.last
	st.Err = err
	w.say(st)
}

// say publishes and logs the edge between fresh and stale.
func (w *watch) say(st discovery.State) {
	switch was, is := kind(w.last.Err), kind(st.Err); {
	case was == is:
	case st.Err != nil:
		w.log.Warn("discovery is stale", "why", st.Err, "instances", len(st.Instances))
	default:
		w.log.Info("discovery is fresh", "instances", len(st.Instances))
	}
	w.last = st
	w.publish(st)
}

func kind(err error) ProblemKind {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Kind
	}
	return ""
}

// backoff returns the time to wait after a failure: full jitter, so that gateways that lost one agent do not return to it
// at once (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func (w *watch) backoff() time.Duration {
	const first, doublings = 250 * time.Millisecond, 16
	limit := min(w.client.opts.MaxBackoff, first<<min(w.failures-1, doublings))
	return time.Duration(w.rand.Int64N(int64(limit) + 1))
}

// jitter returns d, give or take the given part of it.
func (w *watch) jitter(d time.Duration, part float64) time.Duration {
	return d + time.Duration((2*w.rand.Float64()-1)*part*float64(d))
}
