package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
)

// ejecting is a policy that takes the first endpoint that is left, and ejects the one that failed.
type ejecting struct {
	policies.NextEndpoint
	*table
}

// table is what a policy was built for.
type table struct{ *policies.Table }

func (e ejecting) Build(t *policies.Table) (policies.Picker, error) {
	e.Table = t
	first, _ := policies.ByName("first")
	return first.Build(t)
}

func (e ejecting) Observe(_ *policies.View, f policies.Feedback) {
	if f.Outcome.Class.EndpointFault() {
		e.Ejector.Eject(f.Outcome.Endpoint, 10*time.Second)
	}
}

// diary writes down what a witness sees.
type diary []string

func (d *diary) write(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *diary) Began(q *policies.Request, e *policies.Endpoint) { d.write("%d %s", q.Attempt, e.Name) }

func (d *diary) Ended(attempt int, o policies.Outcome) {
	d.write("%d %v %d after %v", attempt, o.Class, o.Status, o.Total)
}
func (d *diary) Answered(_ *policies.Request, rejected bool) { d.write("rejected %v", rejected) }

// TestWorldMovedByHand: requests come one by one, endpoints come, go and change, and a policy ejects.
func TestWorldMovedByHand(t *testing.T) {
	server := func(name string, takes time.Duration) sim.Server {
		return sim.Server{Name: name, Weight: 1, Discipline: sim.Delay, Service: sim.Fixed(takes)}
	}
	const ms = time.Millisecond
	var now func() int64
	w, err := sim.Open(sim.Config{
		Servers: []sim.Server{server("a", ms), server("b", 2*ms)}, Attempts: 3, Budget: -1, Epoch: 5e9,
		Policy: func(_ int, clock func() int64) (policies.Policy, error) {
			now = clock
			return ejecting{policies.NextEndpoint{Conditions: sim.Conditions()}, new(table)}, nil
		},
	})
	must(t, err)
	ask := policies.Request{Flags: policies.Idempotent | policies.Replayable, StickyEP: policies.None}
	send := func(want string, c sim.Call) {
		t.Helper()
		var d diary
		c.Witness = &d
		w.Send(c)
		if !w.Until(w.Now()+time.Minute, func() bool { return strings.HasPrefix(d[len(d)-1], "rejected") }) {
			t.Error("no end in a minute")
		}
		if got := strings.Join(d, ", "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	send("0 a, 0 ok 200 after 1ms, rejected false", sim.Call{Ask: ask})
	if w.Now() != ms || now() != 5e9+1e6 {
		t.Errorf("it is %v, clocks show %d, want 1ms and 5001000000", w.Now(), now())
	}
	must(t, w.Alter("a", sim.Fixed(3*ms), sim.Answer{Class: policies.BadStatus, Status: 503}))
	send("0 a, 0 bad_status 503 after 3ms, rejected false", sim.Call{}) // a POST
	send("0 b, 0 ok 200 after 2ms, rejected false", sim.Call{Ask: ask})
	w.Until(w.Now()+11*time.Second, func() bool { return false })
	send("0 a, 0 bad_status 503 after 3ms, 1 b, 1 ok 200 after 2ms, rejected false", sim.Call{Ask: ask})
	send("0 b, 0 header_timeout 0 after 1ms, rejected false", sim.Call{Ask: ask, Attempts: 1, Timeout: ms})
	w.Until(w.Now()+11*time.Second, func() bool { return false })

	must(t, w.Reshape([]sim.Server{server("c", ms), server("b", ms)}))
	send("0 c, 0 ok 200 after 1ms, rejected false", sim.Call{Ask: ask})
	must(t, w.Judge("c", policies.Down))
	send("0 b, 0 ok 200 after 1ms, rejected false", sim.Call{Ask: ask})
	state, err := w.State("b")
	must(t, err)
	if state.Inflight() != 0 || state.Load(policies.ColHealth) != uint32(policies.Up) {
		t.Errorf("%d in flight at b, health %d", state.Inflight(), state.Load(policies.ColHealth))
	}
	if err := w.Alter("a", nil, sim.Answer{}); err == nil || w.Endpoint("a") != policies.None || w.Endpoint("b") != 1 {
		t.Errorf("a is at %d, error %v; b at %d, want 1", w.Endpoint("a"), err, w.Endpoint("b"))
	}

	// What was sent to one that leaves still ends there; a retry that was planned for it is refused.
	must(t, w.Alter("b", sim.Fixed(5*ms), sim.Answer{}))
	var d diary
	w.Send(sim.Call{Ask: ask, Witness: &d})
	must(t, w.Reshape([]sim.Server{server("d", ms)}))
	w.Until(w.Now()+time.Second, func() bool { return false })
	if got := strings.Join(d, ", "); got != "0 b, 0 ok 200 after 5ms, rejected false" {
		t.Errorf("of one that leaves: %s", got)
	}
	must(t, w.Judge("d", policies.Down))
	send("rejected false", sim.Call{Ask: ask})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
