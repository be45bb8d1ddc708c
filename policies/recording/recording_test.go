package recording_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/policies/recording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var held = recording.Options{Headers: []string{"X-User"}}

func TestReplay(t *testing.T) {
	for _, name := range []string{"round_robin", "least_request", "p2c", "round-robin.wasm", "p2c.wasm", "learner"} {
		t.Run("the_same_policy_answers_the_same_to_the_bit/"+name, func(t *testing.T) {
			trace := record(t, name, 5000, held, name == "learner")
			r := replay(t, trace, name)
			if r.Picks < 20000 || r.DifferentPicks+r.DifferentRetries > 0 || r.Damage != "" || r.Gaps > 0 || len(r.Unheld) > 0 || r.Tables < 15 {
				t.Errorf("%d picks, %d differ; %d retries, %d differ; %d tables, damage %q, %d gaps, unheld %v, first: %+v",
					r.Picks, r.DifferentPicks, r.Retries, r.DifferentRetries, r.Tables, r.Damage, r.Gaps, r.Unheld, r.Differences)
			}
			if name == "learner" && (r.Retries < 2000 || r.Outcomes < 20000) {
				t.Errorf("%d retries and %d outcomes are too few to tell", r.Retries, r.Outcomes)
			}
			t.Logf("%d picks, %d retries, %d outcomes, %d tables: %.1f bytes a pick", r.Picks, r.Retries, r.Outcomes, r.Tables, float64(len(trace))/float64(r.Picks))
		})
	}
	t.Run("another_policy_is_shown_where_it_differs", func(t *testing.T) {
		r := replay(t, record(t, "round-robin.wasm", 500, held, false), "p2c")
		if r.DifferentPicks == 0 || len(r.Differences) != 3 {
			t.Fatalf("%d of %d picks differ, %d are shown, want some and 3", r.DifferentPicks, r.Picks, len(r.Differences))
		}
		d := r.Differences[0]
		if d.Call != "pick" || d.RecordedName == d.ReplayedName || d.Now == 0 || d.Seq == 0 || d.Up == 0 || d.Of < d.Up {
			t.Errorf("%+v", d)
		}
		var was, is uint64
		for _, s := range r.Shares {
			was, is = was+s.Recorded, is+s.Replayed
		}
		if was == 0 || is < was || len(r.Shares) < 3 {
			t.Errorf("shares %+v", r.Shares)
		}
	})
	t.Run("what_the_policy_read_and_the_trace_does_not_hold_is_told", func(t *testing.T) {
		r := replay(t, record(t, "learner", 200, recording.Options{}, false), "learner")
		if !slices.Equal(r.Unheld, []string{"header x-user"}) || r.DifferentPicks == 0 {
			t.Errorf("unheld %v, %d differ, want the header, and answers that differ for the lack of it", r.Unheld, r.DifferentPicks)
		}
	})
	t.Run("a_cluster_that_was_not_recorded_is_an_error", func(t *testing.T) {
		trace := record(t, "p2c", 10, held, false)
		_, err := recording.Replay(bytes.NewReader(trace), "api", policies.P2C{}, new(recording.Clock), 1)
		if err == nil || !strings.Contains(err.Error(), `no cluster "api"`) {
			t.Error(err)
		}
	})
}

func TestCompare(t *testing.T) {
	trace := record(t, "p2c", 300, held, false)
	for name, differ := range map[string]bool{"round_robin": false, "least_request": true} {
		r, err := recording.Compare(bytes.NewReader(trace), "web", policies.RoundRobin{}, subject(t, name, nil), new(recording.Clock), 2)
		if err != nil || r.Picks < 1200 || r.DifferentPicks > 0 != differ {
			t.Errorf("against %s: %d of %d differ, %v", name, r.DifferentPicks, r.Picks, err)
		}
	}
}

func TestTraceThatIsCutOffIsGoodAsFarAsItGoes(t *testing.T) {
	trace := record(t, "learner", 1500, held, true)
	whole := replay(t, trace, "learner")
	cuts, damaged := 0, 0
	for at := 8; at < len(trace); at += len(trace)/12 + 1 {
		r, err := recording.Replay(bytes.NewReader(trace[:at]), "web", policies.RoundRobin{}, new(recording.Clock), 0)
		if err != nil && !strings.Contains(err.Error(), "no cluster") {
			t.Fatalf("cut at %d: %v", at, err)
		}
		cuts++
		if r != nil && r.Damage != "" {
			damaged++
		}
	}
	r := replay(t, trace[:len(trace)*2/3], "learner")
	if r.Picks == 0 || r.Picks >= whole.Picks || r.DifferentPicks > 0 || !strings.Contains(r.Damage, "cut off at byte") || damaged == 0 {
		t.Errorf("%d of %d picks, %d differ, damage %q; %d of %d cuts are told", r.Picks, whole.Picks, r.DifferentPicks, r.Damage, damaged, cuts)
	}
	bad := bytes.Clone(trace)
	bad[len(bad)*2/3] ^= 1
	if r := replay(t, bad, "learner"); r.Picks == 0 || r.DifferentPicks > 0 || !strings.Contains(r.Damage, "checksum") {
		t.Errorf("a bit is wrong: %d picks, %d differ, damage %q", r.Picks, r.DifferentPicks, r.Damage)
	}
	for text, want := range map[string]string{"": "not a trace", "WEIR": "not a trace", "hello, world": "not a trace", "WEIRTRC2xxxx": `version "2", want "1"`} {
		if _, _, err := recording.Scan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestRecordingEndsAtItsLimit(t *testing.T) {
	o := held
	o.Limit = 100_000
	trace := record(t, "p2c", 1500, o, false)
	if len(trace) > 100_100 || len(trace) < 90_000 {
		t.Errorf("%d bytes, want at most 100000", len(trace))
	}
	if r := replay(t, trace, "p2c"); !r.Full || r.Picks < 1000 || r.DifferentPicks > 0 || r.Damage != "" {
		t.Errorf("full %t, %d picks, %d differ, damage %q", r.Full, r.Picks, r.DifferentPicks, r.Damage)
	}
}

// gate is a file on a disk that hangs until it is opened.
type gate struct {
	bytes.Buffer
	open chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(p)
}

func TestRequestsDoNotWaitForTheDisk(t *testing.T) {
	file := &gate{open: make(chan struct{})}
	w := recording.NewWriter(file, recording.Options{Log: slog.New(slog.DiscardHandler)})
	tr := &traffic{policy: w.Wrap("web", "p2c", "", policies.P2C{})}
	live := make([]*policies.State, 6)
	for i := range live {
		live[i] = policies.NewState(policies.Up)
	}
	g := rand.New(rand.NewPCG(1, 2))
	tr.change(t, g, 1, live)
	for w.Stats().Lost < 1000 { // the buffer is full, and the disk still hangs
		tr.one(g)
	}
	close(file.open)
	for n := w.Stats().Events; w.Stats().Events < n+1000; {
		tr.one(g)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := replay(t, file.Bytes(), "p2c")
	if r.Gaps == 0 || r.Lost != w.Stats().Lost || r.Damage != "" || r.DifferentPicks > 0 {
		t.Errorf("%d gaps, %d lost, damage %q, %d of %d differ, want gaps, and p2c, which remembers nothing, right again after them",
			r.Gaps, r.Lost, r.Damage, r.DifferentPicks, r.Picks)
	}
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestFileThatCannotBeWrittenEndsTheRecordingAlone(t *testing.T) {
	w := recording.NewWriter(&failing{left: 100}, recording.Options{Log: slog.New(slog.DiscardHandler)})
	tr := &traffic{policy: w.Wrap("web", "p2c", "", policies.P2C{})}
	tr.run(t, 200)
	if err := w.Close(); err == nil {
		t.Error("no error, want that of the file")
	}
}

// TestShape holds that a recorded policy is what it is unrecorded: clusters ask for interfaces.
func TestShape(t *testing.T) {
	w := recording.NewWriter(io.Discard, recording.Options{})
	defer w.Close()
	type none struct{ policies.Policy }
	type fails struct {
		none
		policies.Failover
	}
	type observes struct {
		none
		policies.Observer
	}
	type rehearses struct {
		none
		policies.Rehearser
	}
	type failsObserves struct {
		fails
		policies.Observer
	}
	type failsRehearses struct {
		fails
		policies.Rehearser
	}
	type observesRehearses struct {
		observes
		policies.Rehearser
	}
	type all struct {
		failsObserves
		policies.Rehearser
	}
	for _, p := range []policies.Policy{
		none{},
		fails{Failover: &policies.NextEndpoint{}},
		observes{Observer: witness{}},
		rehearses{Rehearser: witness{}},
		failsObserves{Observer: witness{}},
		failsRehearses{Rehearser: witness{}},
		observesRehearses{Rehearser: witness{}},
		all{Rehearser: witness{}},
	} {
		got := w.Wrap("web", "x", "", p)
		_, fails := p.(policies.Failover)
		_, observes := p.(policies.Observer)
		_, rehearses := p.(policies.Rehearser)
		_, f := got.(policies.Failover)
		_, o := got.(policies.Observer)
		_, h := got.(policies.Rehearser)
		_, c := got.(io.Closer)
		if f != fails || o != observes || h != rehearses || !c {
			t.Errorf("%T: failover %t, observer %t, rehearser %t, closer %t", p, f, o, h, c)
		}
	}
}

type witness struct{}

func (witness) Observe(*policies.View, policies.Feedback)            {}
func (witness) Rehearse(*policies.Table) (policies.Rehearsal, error) { return nil, io.EOF }
func (witness) Build(*policies.Table) (policies.Picker, error)       { return nil, io.EOF }
func (witness) Pick(*policies.Request, *policies.View) int           { return policies.None }
func (witness) Next(*policies.Request, *policies.View, policies.Outcome) (v policies.Verdict) {
	return v
}

func TestClosing(t *testing.T) {
	w := recording.NewWriter(io.Discard, recording.Options{})
	c := &closer{}
	p := w.Wrap("web", "x", "", c)
	if err := p.(io.Closer).Close(); err != io.ErrClosedPipe || c.n != 1 {
		t.Errorf("closed %d times, %v", c.n, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

type closer struct {
	witness
	n int
}

func (c *closer) Close() error { c.n++; return io.ErrClosedPipe }

func TestSwapIsASecondStream(t *testing.T) {
	var file bytes.Buffer
	w := recording.NewWriter(&file, recording.Options{Log: slog.New(slog.DiscardHandler)})
	table := policytest.Table(1, policytest.Weights(1, 1, 1)...)
	view := policytest.View(table, 1)
	for _, digest := range []string{"aaaa", "bbbb"} {
		pk, err := w.Wrap("web", "rr", digest, policies.RoundRobin{}).Build(table)
		if err != nil {
			t.Fatal(err)
		}
		for seq := range uint64(10) {
			r := policytest.Request(1, seq)
			pk.Pick(&r, view)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	streams, damage, err := recording.Scan(bytes.NewReader(file.Bytes()))
	if err != nil || damage != "" || len(streams) != 2 || streams[0].Digest != "aaaa" || streams[1].Digest != "bbbb" || streams[1].Picks != 10 {
		t.Errorf("%+v, %q, %v", streams, damage, err)
	}
	if r := replay(t, file.Bytes(), "round_robin"); len(r.Streams) != 2 || r.Picks != 20 || r.DifferentPicks > 0 {
		t.Errorf("%+v", r)
	}
}

// TestTimeComesFromTheWriter holds that the clock moves while no policy is called, and that each hears of it.
func TestTimeComesFromTheWriter(t *testing.T) {
	w := recording.NewWriter(io.Discard, recording.Options{})
	told := &listener{writer: w, heard: make(chan [2]int64)}
	w.Wrap("web", "x", "", told)
	var last int64
	for range 3 {
		select {
		case h := <-told.heard:
			if h[0] <= last || h[0] != h[1] {
				t.Errorf("told %d after %d, while the clock said %d", h[0], last, h[1])
			}
			last = h[0]
		case <-time.After(10 * time.Second):
			t.Fatal("nobody is told the time")
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

type listener struct {
	witness
	writer *recording.Writer
	heard  chan [2]int64 // the time that it was told, and that of the clock
}

func (l *listener) Advance(now int64) {
	select {
	case l.heard <- [2]int64{now, l.writer.Now()}:
	default:
	}
}

// FuzzReplay feeds records that mean nothing, in blocks that are whole.
func FuzzReplay(f *testing.F) {
	var file bytes.Buffer
	w := recording.NewWriter(&file, recording.Options{Headers: []string{"x-user"}, Log: slog.New(slog.DiscardHandler)})
	p := w.Wrap("web", "p2c", "", policies.P2C{})
	table := policytest.Table(1, policytest.Weights(1, 2, 0)...)
	pk, err := p.Build(table)
	if err != nil {
		f.Fatal(err)
	}
	view := policytest.View(table, 1, 1)
	for seq := range uint64(4) {
		r := policytest.Request(1, seq)
		pk.Pick(&r, view)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes()[16:])
	f.Fuzz(func(t *testing.T, records []byte) {
		trace := append([]byte("WEIRTRC1"), make([]byte, 8)...)
		binary.LittleEndian.PutUint32(trace[8:], uint32(len(records)))
		binary.LittleEndian.PutUint32(trace[12:], crc32.Checksum(records, crc32.MakeTable(crc32.Castagnoli)))
		trace = append(trace, records...)
		_, _, _ = recording.Scan(bytes.NewReader(trace))
		for _, p := range []policies.Policy{policies.P2C{}, policies.WeightedRoundRobin{}, policies.LeastRequest{}} {
			_, _ = recording.Replay(bytes.NewReader(trace), "web", p, new(recording.Clock), 2)
		}
	})
}
