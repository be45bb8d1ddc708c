package chaos

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWilson compares with values that are computed by hand from the formula.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, 0.2775},
		{10, 20, 0.2993, 0.7007},
		{199, 200, 0.9722, 0.9991},
		{200, 200, 0.9812, 1},
		{0, 0, 0, 1},
	} {
		low, high := Wilson(c.k, c.n)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("%d of %d: %.4f..%.4f, want %.4f..%.4f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

const ms = time.Millisecond

// samples are requests that were due each 10 ms and took a millisecond, but those that hurt says.
func samples(n int, hurt map[int]sample) []sample {
	all := make([]sample, n)
	for i := range all {
		due := time.Duration(i) * 10 * ms
		s := hurt[i]
		s.due, s.done = due, due+max(s.done, ms)
		all[i] = s
	}
	return all
}

// TestTakeoverEndsWithTheLastRequestThatWasHurt has a fault at 1 s that ends at 3 s.
func TestTakeoverEndsWithTheLastRequestThatWasHurt(t *testing.T) {
	m := moments{struck: time.Second, healed: 3 * time.Second}
	failed := sample{err: errors.New("lost")}
	for name, c := range map[string]struct {
		hurt map[int]sample
		want time.Duration
	}{
		"none was hurt":                                {nil, 0},
		"one failed":                                   {map[int]sample{110: failed}, 101 * ms},
		"one waited":                                   {map[int]sample{102: {done: 500 * ms}}, 520 * ms},
		"one that was on its way when it began":        {map[int]sample{99: {done: 500 * ms}}, 490 * ms},
		"one was hurt long before":                     {map[int]sample{50: failed}, 0},
		"one was hurt after a time of quiet":           {map[int]sample{110: failed, 180: failed}, 101 * ms},
		"one was hurt while another was still waiting": {map[int]sample{105: {done: 600 * ms}, 160: failed}, 650 * ms},
		"one was hurt after the end":                   {map[int]sample{310: failed}, 0},
	} {
		if got := takeover(samples(400, c.hurt), m, 20*ms); (got - c.want).Abs() > 2*ms {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestTheTallyTellsLostFromExecuted reads what endpoints write down.
func TestTheTallyTellsLostFromExecuted(t *testing.T) {
	var es []*process
	for i, text := range []string{"r 1\nx 1\nr 2\nr 3\nx 3\n", "r 3\nx 3\n"} {
		e := &process{log: filepath.Join(t.TempDir(), strings.Repeat("e", i+1))}
		if err := os.WriteFile(e.log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	done, err := executions(es)
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("lost")
	l := &load{}
	for id, err := range []error{nil, nil, lost, nil, lost} {
		l.samples = append(l.samples, sample{id: id, post: id > 0, due: settle, done: settle + ms, err: err})
	}
	var r Result
	r.tally(l, &gateway{}, &Fault{}, moments{}, done)
	want := Count{Requests: 4, Failed: 2, NotExecuted: 2, Unread: 1, Twice: 1}
	got := r.Post
	if got.Why["lost"] != 2 {
		t.Errorf("reasons %v, want lost: 2", got.Why)
	}
	got.Why, want.Why = nil, nil
	if got.Requests != want.Requests || got.Failed != want.Failed || got.NotExecuted != want.NotExecuted || got.Unread != want.Unread || got.Twice != want.Twice {
		t.Errorf("POSTs %+v, want %+v", got, want)
	}
	if r.Get.Requests != 1 || r.Get.Failed != 0 {
		t.Errorf("GETs %+v, want 1 that went well", r.Get)
	}
}
