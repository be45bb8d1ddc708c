package scenario_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/internal/scenario"
)

const (
	scenarios = "../../benchmarks/scenarios"
	plugins   = "../../examples/plugins"
)

// small is what of each scenario a test runs: enough for its tolerances, few seconds in all, with the race detector too.
// make sim runs the whole.
var small = map[string]scenario.Options{
	"e01-supermarket.yaml":           {Cases: []string{"load 0.7"}, Scale: 0.05, Policies: []string{"round_robin", "p2c", "three_choices", "least_request"}},
	"e02-balls-into-bins.yaml":       {Cases: []string{"100 a server"}},
	"e02-as-many-balls-as-bins.yaml": {Cases: []string{"once"}},
	"e03-slow-endpoint.yaml":         {},
	"e04-antagonists.yaml":           {Cases: []string{"70 %"}, Policies: []string{"peak_ewma", "prequal"}},
	"e05-load-ramp.yaml":             {Cases: []string{"75 %, by load"}},
	"e07-unequal-servers.yaml":       {Cases: []string{"weights as they are", "weights by load"}},
	"e08-bounded-loads.yaml":         {Cases: []string{"alpha 1.1"}, Scale: 0.2},
	"e09-hedging.yaml":               {Cases: []string{"hedged after 10 ms"}, Scale: 0.1},
	"e10-retry-storm.yaml":           {},
	"two-gateways.yaml":              {Cases: []string{"two gateways"}, Scale: 0.1, Policies: []string{"p2c", "least_request"}},
}

// seeds are those that make sim runs a scenario with, where one is not enough to tell luck from truth.
var seeds = map[string][]uint64{
	"e04-antagonists.yaml": {1, 2, 3},
	"e05-load-ramp.yaml":   {1, 2, 3},
	"e10-retry-storm.yaml": {1, 2, 3},
	"two-gateways.yaml":    {1, 2, 3},
}

func load(t testing.TB, path string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, s *scenario.Scenario, o scenario.Options) *scenario.Report {
	t.Helper()
	r, err := s.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rows are what was expected of r, as an experiment.
func rows(id string, r *scenario.Report) (all []experiments.Row) {
	for _, one := range r.Runs {
		for _, v := range one.Verdicts {
			row := experiments.Row{
				ID: id, What: strings.TrimPrefix(one.Case+", "+one.Policy+": "+v.What(), ", "), Source: cmp.Or(v.Source, r.Scenario.Source), Ours: v.Got,
			}
			if r.Seed > 1 {
				row.What += fmt.Sprintf(" (seed %d)", r.Seed)
			}
			scale := 1.0
			switch v.Unit {
			case scenario.Seconds:
				row.Unit = "s"
			case scenario.Share:
				row.Unit, scale = "%", 100
			case scenario.Plain:
			}
			row.Ours *= scale
			for kind, figure := range []string{v.Want, v.AtMost, v.AtLeast} {
				if figure != "" {
					row.Kind = experiments.Kind(kind)
					row.Published, row.Tolerance = v.Figure(figure)*scale, 0
					if row.Kind == experiments.Near {
						row.Tolerance = v.Tolerance() * scale
					}
					all = append(all, row)
				}
			}
		}
	}
	return all
}

func files(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(scenarios + "/*.yaml")
	if err != nil || len(all) < len(small) {
		t.Fatalf("%d scenarios (%v), want at least %d", len(all), err, len(small))
	}
	return all
}

// idOf makes E1 of e01-supermarket.yaml; what is no experiment of the literature is called after its beginning.
func idOf(file string) string {
	word, _, _ := strings.Cut(file, "-")
	if number, found := strings.CutPrefix(word, "e"); found {
		return "E" + strings.TrimLeft(number, "0")
	}
	return word
}

func TestPublishedFigures(t *testing.T) {
	for _, path := range files(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			o, ok := small[name]
			if !ok {
				t.Fatal("the scenario is not in the list of this test")
			}
			with := []uint64{1}
			if experiments.Whole() {
				if o = (scenario.Options{}); seeds[name] != nil {
					with = seeds[name]
				}
			}
			for _, o.Seed = range with {
				all := rows(idOf(name), run(t, load(t, path), o))
				if experiments.Hold(t, all...); len(all) == 0 {
					t.Error("nothing was expected")
				}
			}
		})
	}
}

// BenchmarkMillionArrivals is the supermarket at load 0.9 with a built-in policy and with its twin in Wasm.
func BenchmarkMillionArrivals(b *testing.B) {
	s := load(b, scenarios+"/e01-supermarket.yaml")
	for _, policy := range []string{
		"round_robin", "p2c", plugins + "/p2c/p2c.wasm", plugins + "/round-robin/round-robin.wasm",
		plugins + "/peak-ewma/peak-ewma.wasm", plugins + "/latency-aware/latency-aware.wasm",
	} {
		b.Run(filepath.Base(policy), func(b *testing.B) {
			for b.Loop() {
				run(b, s, scenario.Options{Policies: []string{policy}, Cases: []string{"load 0.9"}, Scale: 1.0 / 3})
			}
		})
	}
}

// TestTwins: the same algorithm, native and in Wasm, in the same weather.
func TestTwins(t *testing.T) {
	for _, c := range []struct {
		file string
		o    scenario.Options
	}{
		{"e01-supermarket.yaml", scenario.Options{Cases: []string{"load 0.7"}, Scale: 0.02}},
		{"e03-slow-endpoint.yaml", scenario.Options{}},
	} {
		c.o.Policies = []string{"p2c", plugins + "/p2c/p2c.wasm"}
		r := run(t, load(t, filepath.Join(scenarios, c.file)), c.o)
		native, wasm := r.Runs[0].Result, r.Runs[1].Result
		if !reflect.DeepEqual(native.Latencies, wasm.Latencies) {
			t.Errorf("%s: means %v and %v, want the same picks", c.file, native.Mean(), wasm.Mean())
		}
		if wasm.Mean() == 0 || r.Runs[1].Guest == nil || len(r.Runs[1].Guest.Faults()) > 0 || r.Runs[1].Policy != "p2c.wasm" {
			t.Errorf("%s: %+v", c.file, r.Runs[1].Guest)
		}
		if n := len(r.Runs[1].Verdicts); n == 0 || n != len(r.Runs[0].Verdicts) {
			t.Errorf("the module is held to %d figures, want those that are expected of p2c", n)
		}
	}
}

func TestSeedsRepeat(t *testing.T) {
	s := load(t, scenarios+"/e10-retry-storm.yaml")
	var all []string
	for _, seed := range []uint64{7, 7, 8} {
		r := run(t, s, scenario.Options{Seed: seed, Cases: []string{"short waits, no budget"}, Policies: []string{plugins + "/p2c/p2c.wasm"}})
		for _, one := range r.Runs {
			one.Took = 0
		}
		r.Seed = 0
		text, err := json.Marshal(r.JSON())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	if all[0] != all[1] || all[1] == all[2] {
		t.Error("one seed gives two results, or two seeds give one")
	}
}

// TestRunsAddUp: several runs are as many with the seeds that follow, taken together.
func TestRunsAddUp(t *testing.T) {
	const text = `
servers: [{count: 4}]
service: exp 10ms
requests: 5000
arrivals: {load: 80%}
retry: {attempts: 2, per_try_timeout: 50ms}
policies: {three: {choices: 3}}
compare: [p2c, three]
cases: [{name: one}, {name: three runs, runs: 3}]
expect:
  - {case: three runs, policy: p2c, metric: mean, than: {case: one}, at_least: 0.5, at_most: 2}
  - {case: one, policy: three, metric: mean, than: {policy: p2c}, at_most: 1}
`
	s, err := scenario.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var apart []time.Duration
	attempts, served := 0, uint64(0)
	for seed := range uint64(3) {
		r := run(t, s, scenario.Options{Seed: seed + 5, Cases: []string{"one"}}).Runs[0].Result
		apart = append(apart, r.Latencies...)
		attempts += r.Attempts
		served += r.Servers[2].Served
	}
	slices.Sort(apart)
	report := run(t, s, scenario.Options{Seed: 5})
	var verdicts []string
	for _, one := range report.Runs {
		for _, v := range one.Verdicts {
			verdicts = append(verdicts, v.What())
			if !v.OK {
				t.Errorf("%s %s %s, want %s", one.Policy, v.What(), v.Had(), v.Wanted())
			}
		}
		if r := one.Result; one.Case == "three runs" && one.Policy == "p2c" {
			if !slices.Equal(r.Latencies, apart) || r.Attempts != attempts || r.Servers[2].Served != served {
				t.Errorf("%d latencies, %d attempts, %d served by s2, want %d, %d and %d", len(r.Latencies), r.Attempts, r.Servers[2].Served, len(apart), attempts, served)
			}
			if u := r.Servers[0].Utilisation; u < 0.6 || u > 1 {
				t.Errorf("s0 was busy %.2f of the time, want about 0.8", u)
			}
		}
	}
	if want := []string{"mean over that of p2c", "mean over that of one"}; !slices.Equal(verdicts, want) {
		t.Errorf("judged %q, want %q", verdicts, want)
	}
}

// TestTrappingPolicyIsReported: how often, where, and what the fallback did.
func TestTrappingPolicyIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.yaml")
	text := `
servers: [{count: 3}]
service: exp 1ms
arrivals: {load: 50%}
requests: 2000
policies: {bad: {wasm: ` + abs(t, "../../wasmhost/testdata/hostile/pick-unreachable.wasm") + `, fallback: round_robin}}
compare: [bad]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, load(t, path), scenario.Options{})
	one := r.Runs[0]
	told := strings.Join(one.Guest.Faults(), "\n")
	if one.Result.Failed > 0 || !strings.Contains(told, "trap: unreachable in") || !strings.Contains(told, "the fallback, round_robin, decided") {
		t.Errorf("failed %d, told:\n%s", one.Result.Failed, told)
	}
	if len(r.JSON().Runs[0].Faults) == 0 {
		t.Error("JSON does not tell")
	}
}

func abs(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	const good = "servers: [{count: 2}]\nservice: exp 1ms\narrivals: {rate: 10}\nrequests: 10\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":         {good + "sevrice: 1ms\n", `s.yaml:5:1: sevrice: got an unknown key, want a known one (did you mean "service"?)`},
		"negative rate":       {"servers: [{}]\nservice: 1ms\nrequests: 1\narrivals: {rate: -5}\n", `s.yaml:4:18: arrivals.rate: got "-5", want a number`},
		"zero servers":        {"servers: []\nservice: 1ms\nrequests: 1\narrivals: {rate: 5}\n", "s.yaml:1:1: servers: got no servers"},
		"weights of 0 only":   {"servers: [{weight: 0, count: 3}]\nservice: 1ms\nrequests: 1\narrivals: {rate: 5}\n", "got weights of 0 only"},
		"no end":              {"servers: [{}]\nservice: 1ms\narrivals: {rate: 5}\n", "got neither requests nor duration"},
		"two rates":           {"servers: [{}]\nservice: 1ms\nrequests: 1\narrivals: {rate: 5, load: 50%}\n", "got 2 ways to say when requests come"},
		"bad times":           {"servers: [{}]\nservice: gauss 1ms\nrequests: 1\narrivals: {rate: 5}\n", `s.yaml:2:10: service: got "gauss 1ms", want times such as`},
		"shares":              {good + "detect: 90% 1s, 5% 2s\n", "detect: got"},
		"unknown policy":      {good + "compare: [p2d]\n", `s.yaml:5:11: compare[0]: got "p2d", want a known policy (did you mean "p2c"?)`},
		"hang for ever":       {good + "faults: [{at: 1s, servers: [s0], what: hang}]\n", "got hang without a timeout"},
		"unknown server":      {good + "faults: [{at: 1s, servers: [x], what: crash}]\n", `got "x", want the name of a group`},
		"flaps without pause": {good + "faults: [{at: 1s, servers: [s0], what: crash, for: 2s, every: 1s, times: 3}]\n", "faults[0]: got 3 times, each for 2s, every 1s, want for, and a longer every"},
		"whose partition":     {good + "timeout: 1s\nfaults: [{at: 1s, servers: [s0], what: partition}]\n", `got "partition" and 0 gateways, want partition and the gateways`},
		"no such gateway":     {good + "timeout: 1s\nfaults: [{at: 1s, servers: [s0], what: partition, gateways: [1]}]\n", `faults[0].gateways[0]: got 1, want 0..0`},
		"unknown metric":      {good + "expect: [{policy: p2c, metric: p98, want: 1, within: 1%}]\n", `got "p98", want one of mean`},
		"no tolerance":        {good + "expect: [{policy: p2c, metric: p99, want: 1}]\n", "want want and within"},
		"module or choices":   {good + "policies: {mine: {fallback: p2c}}\n", "policies.mine: got neither wasm nor choices, want one of them"},
		"one choice":          {good + "policies: {mine: {choices: 1}}\n", `policies.mine.choices: got "1", want`},
		"than nobody":         {good + "expect: [{policy: p2c, metric: p99, than: {case: x}, at_most: 1}]\n", `expect[0].than.case: got "x", want the name of a case`},
		"load without an end": {"servers: [{serves: delay}]\nservice: 1ms\nrequests: 1\narrivals: {load: 50%}\n", "a delay has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenario.Parse("s.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := scenario.Parse("s.yaml", []byte(good)); err != nil {
		t.Error(err)
	}
}

// TestFlapping: one of two servers is away for a second of three, three times.
func TestFlapping(t *testing.T) {
	s, err := scenario.Parse("s.yaml", []byte(`
servers: [{count: 2}]
service: 1ms
arrivals: {rate: 1000, pattern: paced}
duration: 12s
warm_up: 0%
faults: [{at: 1s, servers: [s0], what: crash, for: 1s, every: 3s, times: 3}]
compare: [round_robin]
expect:
  - {policy: round_robin, metric: failed, want: 12.5%, within: 0.2%}
  - {policy: round_robin, metric: failed, from: 1s, to: 2s, want: 50%, within: 1%}
  - {policy: round_robin, metric: failed, from: 2s, to: 4s, at_most: 0.1%}
  - {policy: round_robin, metric: failed, from: 7s, to: 8s, want: 50%, within: 1%}
  - {policy: round_robin, metric: failed, from: 8s, to: 12s, at_most: 0.1%}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range run(t, s, scenario.Options{}).Runs[0].Verdicts {
		if !v.OK {
			t.Errorf("%s %v..%v: %v, want %s", v.Metric, v.From, v.To, v.Got, v.Wanted())
		}
	}
}

func TestTraceOfTimes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("s.yaml", "servers: [{}]\nservice: 1ms\nrequests: 10\nwarm_up: 0%\narrivals: {trace: times.txt}\ncompare: [first]\n")
	write("times.txt", "# seconds\n0.5\n1.25\n1.2501\n")
	r := run(t, load(t, path), scenario.Options{}).Runs[0].Result
	if got := r.Quantile(1); r.Requests != 3 || got != 1900*time.Microsecond {
		t.Errorf("%d requests, slowest %v, want 3 and 1.9ms: the third waits for the second", r.Requests, got)
	}
	write("times.txt", "2\n1\n")
	if _, err := load(t, path).Run(t.Context(), scenario.Options{}); err == nil || !strings.Contains(err.Error(), "times.txt:2: got \"1\"") {
		t.Errorf("got %v", err)
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	s := load(t, scenarios+"/e10-retry-storm.yaml")
	s.Name = "<b>storm</b>"
	r := run(t, s, scenario.Options{Cases: []string{"deadlines, budget 10 %"}, Policies: []string{"least_request", "p2c"}})
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"<svg", "data:image/png;base64,", "least_request", "&lt;b&gt;storm", "p99 over time", "Failed requests over time", `class="ok"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, not := range []string{"http://", "https://", "<script", "NaN", "+Inf", "ZgotmplZ", "<b>storm"} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %q", not)
		}
	}
	if n := strings.Count(text, `class="curve"`); n != 8 {
		t.Errorf("%d curves, want 4 plots of 2", n)
	}
}
