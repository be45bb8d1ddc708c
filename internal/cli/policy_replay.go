package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/internal/workbench"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/recording"
)

// replayFlags say which trace is replayed, instead of laws and cases.
type replayFlags struct {
	Replay      string `type:"path" placeholder:"TRACE" help:"Ask the module what a trace of 'weir run --record' was asked, and show where it answers otherwise."`
	Cluster     string `placeholder:"NAME" help:"Of the trace; not needed if there is one."`
	Against     string `type:"path" placeholder:"OTHER.wasm" help:"Compare with the answers of this module instead of the recorded ones."`
	Fallback    string `default:"p2c" placeholder:"NAME" help:"Built-in that decides where the guest defers (p2c), as in the configuration that was recorded."`
	Differences int    `default:"5" help:"How many differences to show."`
}

func (c policyTestCmd) replay(s *streams) error {
	wasm, err := c.read()
	if err != nil {
		return err
	}
	stream, err := c.stream()
	if err != nil {
		return err
	}
	var clock recording.Clock
	guest, done, err := c.guest(wasm, stream, &clock)
	if err != nil {
		return c.refused(s, err)
	}
	defer done()
	var rival policies.Policy
	if c.Against != "" {
		other := c
		other.File = c.Against
		wasm, err := other.read()
		if err != nil {
			return err
		}
		g, done, err := other.guest(wasm, stream, &clock)
		if err != nil {
			return other.refused(s, err)
		}
		defer done()
		rival = g
	}
	f, err := os.Open(c.Replay)
	if err != nil {
		return err
	}
	defer f.Close()
	var report *recording.Report
	if rival == nil {
		report, err = recording.Replay(f, stream.Cluster, guest, &clock, c.Differences)
	} else {
		report, err = recording.Compare(f, stream.Cluster, guest, rival, &clock, c.Differences)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", shortPath(c.Replay), err)
	}
	if c.JSON {
		err = printJSON(s.out, report)
	} else {
		showReplay(paint(s.out), c, stream, report)
	}
	if err == nil && report.DifferentPicks+report.DifferentRetries > 0 {
		err = errTold
	}
	return err
}

// stream finds the cluster in the trace.
func (c policyTestCmd) stream() (recording.Stream, error) {
	f, err := os.Open(c.Replay)
	if err != nil {
		return recording.Stream{}, err
	}
	defer f.Close()
	streams, _, err := recording.Scan(f)
	if err != nil {
		return recording.Stream{}, fmt.Errorf("%s: %w", shortPath(c.Replay), err)
	}
	var names []string
	var found []recording.Stream
	for _, st := range streams {
		if !slices.Contains(names, st.Cluster) {
			names = append(names, st.Cluster)
			found = append(found, st)
		}
	}
	for i, st := range found {
		if st.Cluster == c.Cluster || c.Cluster == "" && len(found) == 1 {
			return found[i], nil
		}
	}
	switch {
	case len(found) == 0:
		return recording.Stream{}, fmt.Errorf("%s: no policy was recorded", shortPath(c.Replay))
	case c.Cluster == "":
		return recording.Stream{}, fmt.Errorf("%s: clusters %s were recorded, want one of them as --cluster", shortPath(c.Replay), strings.Join(names, ", "))
	}
	return recording.Stream{}, fmt.Errorf("%s: cluster %q was not recorded, want one of %s", shortPath(c.Replay), c.Cluster, strings.Join(names, ", "))
}

// guest makes the policy that a module is. The name of the recorded one seeds its chance.
func (c policyTestCmd) guest(wasm []byte, stream recording.Stream, clock *recording.Clock) (*workbench.Guest, func(), error) {
	subject := c.subject(wasm)
	subject.Name = stream.Policy
	if err := subject.Open(); err != nil {
		return nil, nil, err
	}
	g, err := subject.Guest(stream.Cluster, c.Fallback, subject.Config, clock.Now)
	if err != nil {
		_ = subject.Close()
		return nil, nil, err
	}
	return g, func() { _, _ = g.Close(), subject.Close() }, nil
}

// showReplay prints what people read.
func showReplay(p painter, c policyTestCmd, stream recording.Stream, r *recording.Report) {
	row := func(name, format string, args ...any) { p.printf("%-10s %s\n", name, fmt.Sprintf(format, args...)) }
	digest := stream.Digest
	if len(digest) > 12 {
		digest = digest[:12]
	}
	row("trace", "%s, cluster %s, policy %s %s", shortPath(c.Replay), r.Cluster, stream.Policy, digest)
	row("time", "%s, from %s", short(time.Duration(r.To-r.From)), time.Unix(0, r.From).UTC().Format("2006-01-02 15:04:05.000 MST"))
	row("calls", "%s, %s, %s, %s", count(r.Picks, "pick", "picks"), count(r.Retries, "retry", "retries"),
		count(r.Outcomes, "outcome", "outcomes"), count(r.Tables, "table", "tables"))
	for _, w := range warnings(r) {
		row("note", "%s", w)
	}
	other := "recorded"
	if c.Against != "" {
		other = policyName(c.Against)
	}
	mine := policyName(c.File)
	p.printf("\n")
	width := 8
	for _, s := range r.Shares {
		width = max(width, len(s.Endpoint))
	}
	var was, is uint64
	for _, s := range r.Shares {
		was, is = was+s.Recorded, is+s.Replayed
	}
	p.printf("%-*s  %16s  %16s\n", width, "endpoint", other, mine)
	for _, s := range r.Shares {
		p.printf("%-*s  %8d %6.2f%%  %8d %6.2f%%\n", width, s.Endpoint, s.Recorded, part(s.Recorded, was), s.Replayed, part(s.Replayed, is))
	}
	p.printf("\n")
	if n := r.DifferentPicks + r.DifferentRetries; n == 0 {
		p.printf("%s  every answer is the same, to the bit\n", p.green("ok"))
		return
	}
	p.printf("%s  %d of %s and %d of %s are answered otherwise", p.red("DIFFERENT"), r.DifferentPicks, count(r.Picks, "pick", "picks"),
		r.DifferentRetries, count(r.Retries, "retry", "retries"))
	p.printf(", %d of them to another endpoint; the first:\n", r.OtherEndpoints)
	for _, d := range r.Differences {
		p.printf("  %s %s\n", d.Call, where(d, r.From))
		wide := max(len(other), len(mine))
		p.printf("    %-*s  %s\n    %-*s  %s\n", wide, other, said(d.RecordedName, d.Recorded), wide, mine, p.red(said(d.ReplayedName, d.Replayed)))
	}
}

func part(n, of uint64) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// warnings say why a replay may differ although nothing is wrong.
func warnings(r *recording.Report) (all []string) {
	if len(r.Streams) > 1 {
		all = append(all, fmt.Sprintf("the policy was swapped %d times while it was recorded", len(r.Streams)-1))
	}
	if len(r.Unheld) > 0 {
		all = append(all, "the recorded policy read what the trace does not hold ("+strings.Join(r.Unheld, ", ")+"): here it is absent")
	}
	if r.Gaps > 0 {
		all = append(all, fmt.Sprintf("%d calls are missing in %s: what follows may differ", r.Lost, count(r.Gaps, "place", "places")))
	}
	if r.Full {
		all = append(all, "the recording reached its limit of size and ended")
	}
	if r.Damage != "" {
		all = append(all, r.Damage+": what comes before it is good")
	}
	if r.Unasked > 0 {
		all = append(all, fmt.Sprintf("%d calls could not be compared", r.Unasked))
	}
	return all
}

// where says which request a difference is about.
func where(d recording.Difference, from int64) string {
	s := fmt.Sprintf("for request %d, %s after the first, attempt %d, %d of %d endpoints up", d.Seq, short(time.Duration(d.Now-from)), d.Attempt+1, d.Up, d.Of)
	if d.KeyHash != 0 {
		s += fmt.Sprintf(", key hash %016x", d.KeyHash)
	}
	if len(d.Tried) > 0 {
		s += ", tried " + strings.Join(d.Tried, " ")
	}
	if d.Call == "retry" {
		s += fmt.Sprintf(", after %v", d.Outcome.Class)
		if d.Outcome.Status != 0 {
			s += fmt.Sprintf(" %d", d.Outcome.Status)
		}
	}
	return s
}

// said is an answer in words.
func said(name string, a recording.Answer) string {
	var s string
	switch {
	case a.Action == policies.Stop:
		s = "no further attempt"
	case a.Action == policies.Reject, a.Endpoint == policies.Rejected:
		s = fmt.Sprintf("rejects with %d", a.Status)
	case a.Action == policies.Retry && name == "":
		s = "no endpoint"
	default:
		s = name
	}
	for _, extra := range []struct {
		is   bool
		text string
	}{
		{a.NList > 0, fmt.Sprintf("list %v", a.List[:a.NList])},
		{a.After > 0, "after " + a.After.String()},
		{a.Timeout > 0, "timeout " + a.Timeout.String()},
		{a.Hedge > 0, "hedge " + a.Hedge.String()},
		{a.Tag != 0, fmt.Sprintf("tag %#x", a.Tag)},
		{a.Reason != 0, fmt.Sprintf("reason %d", a.Reason)},
		{a.Sticky, "sticky"},
		{a.NoRetry, "no retry"},
	} {
		if extra.is {
			s += ", " + extra.text
		}
	}
	return s
}
