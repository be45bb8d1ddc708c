package cli

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/recording"
	"github.com/weir-lb/weir/wasmhost"
)

// replay runs a module over the trace of the cluster web, and reports.
func replay(t *testing.T, trace, module []byte) *recording.Report {
	t.Helper()
	host, err := wasmhost.NewHost(wasmhost.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	clock := new(recording.Clock)
	m, err := host.Load(t.Context(), module, wasmhost.Options{Name: "replayed", Manual: true, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	failover := &policies.NextEndpoint{Conditions: policies.Conditions{Classes: 1<<policies.Refused | 1<<policies.Reset | 1<<policies.HeaderTimeout}}
	p := m.NewPolicy("web", policies.P2C{}, failover)
	defer p.Close()
	r, err := recording.Replay(bytes.NewReader(trace), "web", p, clock, 5)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRecord keeps a trace while an endpoint dies and the policy is swapped, and replays it.
func TestRecord(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
	file := filepath.Join(t.TempDir(), "trace")
	w := startWeir(t, fleet("p2c-wasm", es...), "--record", file)
	tr := startTraffic(t, 8, func(ctx context.Context, c *http.Client, _ int64) error {
		return get(ctx, c, "http://"+w.http+"/")
	})
	tr.during(t, 500)
	es[1].kill()
	tr.during(t, 500)
	es[1].start()
	tr.during(t, 500)
	tr.wantNoFailure(t)
	w.end()
	trace := readModule(t, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v, want 0600: it holds addresses of clients", err, info.Mode())
	}
	r := replay(t, trace, readModule(t, "../../examples/plugins/p2c/p2c.wasm"))
	if r.Picks < 1500 || r.DifferentPicks+r.DifferentRetries > 0 || r.Lost > 0 || r.Damage != "" {
		t.Errorf("the same module: %+v", r)
	}
	if other := replay(t, trace, counting(t)[0]); other.DifferentPicks == 0 {
		t.Error("another module picks the same")
	}
}

// TestRecordThroughSwaps keeps one trace of two versions and a shadow.
func TestRecordThroughSwaps(t *testing.T) {
	modules := counting(t)
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	keys := ", shadow: p2c-wasm"
	config := withFile(filepath.Join(dir, "counting-1.wasm"), keys, startEndpoint(t, "a"), startEndpoint(t, "b"))
	file := filepath.Join(t.TempDir(), "trace")
	w := startWeir(t, config, "--record", file)
	requests := func(n int) {
		t.Helper()
		for range n {
			if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
				t.Fatal(err)
			}
		}
	}
	requests(50)
	if status, a := w.send("PUT", "policies/plugin", modules[1]); status != http.StatusOK {
		t.Fatalf("status %d, %+v", status, a)
	}
	requests(50)
	w.reload(strings.Replace(config, keys, "", 1)) // the configuration decides again: as there is no change of the file, the version stays
	requests(50)
	p := w.policy("plugin")
	if p.Digest != digestOf(modules[1]) || p.Guest["picks"] != 150 || p.Guest["lost"] != 0 {
		t.Errorf("%+v, want 150 picks and none lost", p)
	}
	w.end()
	streams, damage, err := recording.Scan(bytes.NewReader(readModule(t, file)))
	if err != nil || damage != "" {
		t.Fatalf("%v, %s", err, damage)
	}
	picks := map[string]int{}
	for _, s := range streams {
		picks[s.Digest] += s.Picks
	}
	if picks[digestOf(modules[0])] != 50 || picks[digestOf(modules[1])] != 100 {
		t.Errorf("%+v, want 50 picks of the first version and 100 of the second", streams)
	}
}

func TestRecordRefuses(t *testing.T) {
	dir := t.TempDir()
	config, trace := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "trace")
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a_file_that_is_there": {[]string{"--record", os.Args[0]}, exitFailure, "exists, want the name of a new file"},
		"no_configuration":     {[]string{"--record", trace}, exitFailure, "weir.yaml"},
		"a_limit_without_unit": {[]string{"--record", "x", "--record-limit", "64"}, exitUsage, "a size such as"},
		"no_limit_at_all":      {[]string{"--record", "x", "--record-limit", "0B"}, exitUsage, "a size such as"},
	} {
		cmd := weirCommand(append([]string{"run", "-c", config}, tc.args...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != tc.code || !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: exit status %d, %s", name, code, out)
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("a start that failed leaves a trace, which is in the way of the next one")
	}
}
