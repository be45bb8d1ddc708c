package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/policies/recording"
	"github.com/weir-lb/weir/wasmhost"
)

const examples = "../../examples/plugins/"

// weir runs the command line and returns what it says, without times.
func weir(t *testing.T, args ...string) (status int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

// TestWhatIsNoModule reads no more of a file than a module can have.
func TestWhatIsNoModule(t *testing.T) {
	for file, want := range map[string]string{
		"/dev/zero": "16777216 bytes, want at most 8388608",
		"testdata":  "weir: testdata: is a directory",
		"none":      "weir: none: no such file or directory",
	} {
		if status, _, said := weir(t, "policy", "check", file); status != exitFailure || !strings.Contains(said, want) {
			t.Errorf("%s: status %d, %s", file, status, said)
		}
	}
}

// TestRefusals is golden: what people read whose module is refused. Each is at testdata/policy, or made up here.
func TestRefusals(t *testing.T) {
	modules := map[string][]byte{
		"component": []byte("\x00asm\x0d\x00\x01\x00"), "empty": nil, "text": []byte("(module)\n"), "version": []byte("\x00asm\x02\x00\x00\x00"),
	}
	files, err := filepath.Glob("testdata/policy/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if modules[policyName(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	delete(modules, "good")
	dir := t.TempDir()
	var got strings.Builder
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range modules {
			if !yield(k) {
				return
			}
		}
	}) {
		file := filepath.Join(dir, name+".wasm")
		if err := os.WriteFile(file, modules[name], 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, said := weir(t, "policy", "check", file)
		if status != exitFailure || out != "" {
			t.Errorf("%s: status %d, %q, want 1 and nothing on standard output", name, status, out)
		}
		got.WriteString(strings.ReplaceAll(said, shortPath(file), name+".wasm"))
		if status, out, _ = weir(t, "policy", "check", "--json", file); status != exitFailure || !json.Valid([]byte(out)) || !strings.Contains(out, `"step"`) {
			t.Errorf("%s: --json: status %d, %q", name, status, out)
		}
		if status, _, also := weir(t, "policy", "test", file); status != exitFailure || also != said {
			t.Errorf("%s: policy test says with status %d\n%s", name, status, also)
		}
	}
	want, err := os.ReadFile("testdata/policy/refusals.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("refusals differ from testdata/policy/refusals.txt:\n%s", got.String())
	}
}

func TestPolicyCheck(t *testing.T) {
	status, out, _ := weir(t, "policy", "check", examples+"p2c/p2c.wasm")
	for _, want := range []string{"sha256  ", "lb_pick (i32) -> i32", "one a processor (REPLICABLE)", "64 picks: ", "ok: a gateway would serve with it"} {
		if status != exitOK || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in\n%s", status, want, out)
		}
	}
	var c checked
	status, out, _ = weir(t, "policy", "check", "--json", examples+"p2c/p2c.wasm")
	if err := json.Unmarshal([]byte(out), &c); err != nil || status != exitOK || !c.OK || c.Info.DryRun.Picks != 64 {
		t.Errorf("status %d, %v\n%s", status, err, out)
	}
	if status, _, err := weir(t, "policy", "check", "nowhere.wasm"); status != exitFailure || !strings.Contains(err, "nowhere.wasm: no such file or directory") {
		t.Errorf("status %d, %s", status, err)
	}
}

// took matches what differs from run to run.
var took = regexp.MustCompile(`  [0-9.]+(ns|µs|ms|s)(\n)`)

// told matches the line of a law or case that holds, or is not claimed to.
var told = regexp.MustCompile(`(?m)^  (ok|- )    `)

// bench makes a folder with a module and its cases.
func bench(t *testing.T, cases string) string {
	t.Helper()
	dir := t.TempDir()
	wasm, err := os.ReadFile(examples + "round-robin/round-robin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "round-robin.wasm")
	for name, text := range map[string][]byte{file: wasm, filepath.Join(dir, "cases.yaml"): []byte(cases)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func TestPolicyTest(t *testing.T) {
	const head = "laws: {shares: evenly}\nendpoints: [{name: a}, {name: b}]\ncases:\n"
	t.Run("what_holds_is_told_in_a_line_each", func(t *testing.T) {
		file := bench(t, head+"  - {name: in turn, steps: [{send: {requests: 2}, expect: {picks: [a, b]}}]}\n")
		status, out, said := weir(t, "policy", "test", file, "--only", "turn")
		want := "laws  what holds for every policy\ncases  " + shortPath(filepath.Dir(file)) + "/cases.yaml\n  ok    in turn\n\nok  0 laws, 1 case\n"
		if got := took.ReplaceAllString(out, "$2"); status != exitOK || got != want || said != "" {
			t.Errorf("status %d, %s\n%s\nwant\n%s", status, said, got, want)
		}
		if status, out, _ := weir(t, "policy", "test", file); status != exitOK || len(told.FindAllString(out, -1)) != len(policytest.Laws())+1 {
			t.Errorf("status %d\n%s", status, out)
		}
	})
	t.Run("what_fails_says_where_what_was_wanted_and_got", func(t *testing.T) {
		file := bench(t, head+"  - name: not in turn\n    steps:\n      - send: {requests: 2}\n        expect: {picks: [a, a]}\n")
		status, out, _ := weir(t, "policy", "test", file, "--only", "turn")
		want := "  FAIL  not in turn\n        " + shortPath(filepath.Dir(file)) + "/cases.yaml:7: where the requests go, in turn\n          want  a, a\n          got   a, b\n\n1 FAILED  0 laws, 1 case\n"
		if got := took.ReplaceAllString(out, "$2"); status != exitFailure || !strings.HasSuffix(got, want) {
			t.Errorf("status %d\n%s\nwant at the end\n%s", status, got, want)
		}
		var r trials
		status, out, _ = weir(t, "policy", "test", file, "--json")
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != exitFailure || r.OK || len(r.LawResults) != len(policytest.Laws()) || len(r.CaseResults) != 1 || r.CaseResults[0].Failures[0].Got != "a, b" {
			t.Errorf("status %d, %v\n%s", status, err, out)
		}
	})
	t.Run("what_asks_for_nothing_is_not_well", func(t *testing.T) {
		file := bench(t, head+"  - {name: x, steps: [{send: {}}]}\n")
		for want, args := range map[string][]string{
			`no law and no case has that in its name`: {"--only", "turm"},
			`--config: got {"a": 1, want JSON`:        {"--config", `{"a": 1`},
		} {
			if status, _, said := weir(t, append([]string{"policy", "test", file}, args...)...); status != exitFailure || !strings.Contains(said, want) {
				t.Errorf("%v: status %d, %s, want 1 and %s", args, status, said, want)
			}
		}
	})
	t.Run("mistakes_in_cases_have_their_place", func(t *testing.T) {
		file := bench(t, head+"  - {name: x, stpes: []}\n")
		status, out, said := weir(t, "policy", "test", file)
		want := `cases.yaml:4:15: cases[0].stpes: got an unknown key, want a known one (did you mean "steps"?)`
		if status != exitFailure || out != "" || !strings.Contains(said, want) {
			t.Errorf("status %d, %s%s\nwant %s", status, out, said, want)
		}
	})
	t.Run("a_config_from_the_command_line_comes_before_that_of_the_file", func(t *testing.T) {
		file := bench(t, head+"  - {name: x, steps: [{send: {}}]}\n")
		status, _, said := weir(t, "policy", "test", file, "--config", "{}")
		if status != exitFailure || !strings.Contains(said, "lb_init rejects the config of 2 bytes") {
			t.Errorf("status %d, %s", status, said)
		}
	})
}

// traceOf records 500 picks of an example.
func traceOf(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	wasm, err := os.ReadFile(examples + name + "/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	w := recording.NewWriter(f, recording.Options{})
	m, err := host.Load(t.Context(), wasm, wasmhost.Options{Name: "canary", Manual: true, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := m.NewPolicy("web", policies.P2C{}, &policies.NextEndpoint{})
	defer p.Close()
	table := policytest.Table(1, policytest.Weights(1, 2, 3)...)
	pk, err := w.Wrap("web", "canary", m.Info().SHA256, p).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	view := policytest.View(table, 1)
	for seq := range uint64(500) {
		r := policytest.Request(1, seq)
		if i := pk.Pick(&r, view); seq%3 == 0 {
			table.Endpoints[i].AddInflight(1)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPolicyReplay(t *testing.T) {
	trace := traceOf(t, "p2c")
	p2c, rr := examples+"p2c/p2c.wasm", examples+"round-robin/round-robin.wasm"
	t.Run("the_recorded_module_answers_the_same", func(t *testing.T) {
		status, out, said := weir(t, "policy", "test", p2c, "--replay", trace)
		if status != exitOK || !strings.Contains(out, "500 picks") || !strings.HasSuffix(out, "\nok  every answer is the same, to the bit\n") {
			t.Errorf("status %d, %s\n%s", status, said, out)
		}
	})
	t.Run("another_is_shown_where_it_differs", func(t *testing.T) {
		status, out, _ := weir(t, "policy", "test", rr, "--replay", trace, "--differences", "1")
		for _, want := range []string{"endpoint          recorded       round-robin", "\nDIFFERENT  ", "  pick for request ", "    recorded     ep-", "    round-robin  ep-", " of them to another endpoint"} {
			if status != exitFailure || !strings.Contains(out, want) {
				t.Errorf("status %d, no %q in\n%s", status, want, out)
			}
		}
	})
	t.Run("two_modules_are_compared", func(t *testing.T) {
		if status, out, _ := weir(t, "policy", "test", rr, "--replay", trace, "--against", rr); status != exitOK || !strings.Contains(out, "every answer is the same") {
			t.Errorf("status %d\n%s", status, out)
		}
		var r recording.Report
		status, out, _ := weir(t, "policy", "test", rr, "--replay", trace, "--against", p2c, "--json")
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != exitFailure || r.Picks != 500 || r.DifferentPicks == 0 {
			t.Errorf("status %d, %v\n%s", status, err, out)
		}
	})
	t.Run("bad_input", func(t *testing.T) {
		for want, args := range map[string][]string{
			`cluster "api" was not recorded, want one of web`: {p2c, "--replay", trace, "--cluster", "api"},
			"this is not a trace that weir recorded":          {p2c, "--replay", p2c},
			"no such file":                                    {p2c, "--replay", "nowhere"},
			`fallback "p3c", want a built-in policy`:          {p2c, "--replay", trace, "--fallback", "p3c"},
			"lb_init rejects the config of 2 bytes":           {rr, "--replay", trace, "--config", "{}"},
		} {
			if status, _, said := weir(t, append([]string{"policy", "test"}, args...)...); status != exitFailure || !strings.Contains(said, want) {
				t.Errorf("%v: status %d, %s, want %s", args, status, said, want)
			}
		}
	})
}

func TestPolicyNew(t *testing.T) {
	dir := t.TempDir()
	status, out, _ := weir(t, "policy", "new", "mine", "--lang", "c", "--dir", dir)
	if status != exitOK || !strings.Contains(out, "apt-get install clang lld") || !strings.Contains(out, "weir policy test mine.wasm") || !strings.Contains(out, "lb.h") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, _, said := weir(t, "policy", "new", "mine", "--lang", "c", "--dir", dir); status != exitFailure || !strings.Contains(said, "is there already") {
		t.Errorf("status %d, %s", status, said)
	}
	if status, _, said := weir(t, "policy", "new", "other", "--lang", "cobol", "--dir", dir); status != exitUsage || !strings.Contains(said, "assemblyscript") {
		t.Errorf("status %d, %s", status, said)
	}
}

func TestPolicyBench(t *testing.T) {
	status, out, said := weir(t, "policy", "bench", examples+"p2c/p2c.wasm", "--endpoints", "4")
	for _, want := range []string{"null", "built-in p2c", "from 2 goroutines", "file to first pick", "4 endpoints"} {
		if status != exitOK || !strings.Contains(out, want) {
			t.Errorf("status %d, %s no %q in\n%s", status, said, want, out)
		}
	}
	if status, _, said := weir(t, "policy", "bench", examples+"p2c/p2c.wasm", "--endpoints", "0"); status != exitFailure || !strings.Contains(said, "want 1..100000") {
		t.Errorf("status %d, %s", status, said)
	}
}
