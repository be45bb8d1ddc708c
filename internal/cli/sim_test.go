package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// simulate runs weir sim in this process.
func simulate(args ...string) (status int, out, err string) {
	var o, e bytes.Buffer
	status = Run(append([]string{"sim"}, args...), strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestSim(t *testing.T) {
	const slow = "../../benchmarks/scenarios/e03-slow-endpoint.yaml"
	page := filepath.Join(t.TempDir(), "page.html")
	status, out, errs := simulate(slow, "--policy", "p2c", "--policy", "../../examples/plugins/p2c/p2c.wasm", "--html", page)
	if status != exitOK || errs != "" || !strings.Contains(out, "2 of 2 expectations met") || !strings.Contains(out, "p2c.wasm") {
		t.Errorf("status %d, stderr %q\n%s", status, errs, out)
	}
	if strings.Contains(out, "\x1b") || strings.Contains(out, "\r") {
		t.Error("colours or progress in what is no terminal")
	}
	if text, err := os.ReadFile(page); err != nil || !bytes.Contains(text, []byte("<svg")) {
		t.Errorf("page: %v", err)
	}
	status, out, _ = simulate(slow, "--policy", "random", "--json")
	var got struct {
		Runs []struct {
			Policy  string
			Metrics map[string]float64
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitOK || got.Runs[0].Policy != "random" || got.Runs[0].Metrics["requests"] != 59_999 {
		t.Errorf("status %d, %v\n%.300s", status, err, out)
	}
}

func TestSimFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	text := "servers: [{count: 2}]\nservice: 1ms\narrivals: {rate: 10}\nrequests: 100\nexpect: [{policy: p2c, metric: mean, want: 1s, within: 1%}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := simulate(path); status != exitFailure || !strings.Contains(out, "FAIL") {
		t.Errorf("an expectation that is not met: status %d\n%s", status, out)
	}
	if status, _, errs := simulate(path, "--policy", "p2d"); status != exitFailure || !strings.Contains(errs, `got "p2d", want a built-in policy`) {
		t.Errorf("unknown policy: status %d, %s", status, errs)
	}
	if err := os.WriteFile(path, []byte(text+"sed: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := simulate(path); status != exitFailure || !strings.Contains(errs, "6:1: sed: got an unknown key") {
		t.Errorf("unknown key: status %d, %s", status, errs)
	}
}

// TestSimTellsWhereAScenarioIsWrong: place, what was got, what was wanted, and nothing is run.
func TestSimTellsWhereAScenarioIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown key":    {"servers: [{count: 2}]\nsevrice: 1ms\n", `s.yaml:2:1: sevrice: got an unknown key, want a known one (did you mean "service"?)`},
		"a negative rate":   {"servers: [{}]\nservice: 1ms\nrequests: 9\narrivals: {rate: -5}\n", `s.yaml:4:18: arrivals.rate: got "-5", want a number such as 1.5, 0.001..10000000`},
		"no servers":        {"servers: []\nservice: 1ms\nrequests: 9\narrivals: {rate: 5}\n", "s.yaml:1:1: servers: got no servers, want at least one group"},
		"a count of 0":      {"servers: [{count: 0}]\nservice: 1ms\nrequests: 9\narrivals: {rate: 5}\n", `s.yaml:1:19: servers[0].count: got "0", want a whole number, 1..65536`},
		"weights of 0 only": {"servers: [{weight: 0}]\nservice: 1ms\nrequests: 9\narrivals: {rate: 5}\n", "s.yaml:1:1: servers: got weights of 0 only, want one server at least with a weight above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if status, out, errs := simulate(path); status != exitFailure || out != "" || !strings.Contains(errs, c.want) {
				t.Errorf("status %d, printed %q, and told\n%swant %s", status, out, errs, c.want)
			}
		})
	}
}

// TestSimTellsOfAPolicyThatTraps: how often, where, and what the fallback did, for people and as JSON.
func TestSimTellsOfAPolicyThatTraps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	text := "servers: [{count: 3}]\nservice: exp 1ms\narrivals: {load: 50%}\nrequests: 2000\nwarm_up: 0%\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const bad = "../../wasmhost/testdata/hostile/pick-unreachable.wasm" // from request 1000 on
	status, out, errs := simulate(path, "--policy", bad)
	for _, want := range []string{"trap: 5 times", "the last failure: trap: unreachable in ", "the fallback, p2c, decided 5 picks (trap)", "picks (quarantined)"} {
		if status != exitOK || !strings.Contains(out, want) {
			t.Errorf("status %d, want %q in\n%s%s", status, want, out, errs)
		}
	}
	_, out, _ = simulate(path, "--policy", bad, "--json")
	var got struct {
		Runs []struct {
			Metrics map[string]float64
			Faults  []string          `json:"guest_faults"`
			Picks   map[string]uint64 `json:"guest_picks"`
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Runs) != 1 {
		t.Fatalf("%v\n%.300s", err, out)
	}
	one := got.Runs[0]
	if sum := one.Picks["trap"] + one.Picks["recreating"] + one.Picks["quarantined"]; sum != 1000 || one.Picks["ok"] != 1000 || len(one.Faults) < 3 || one.Metrics["failed"] != 0 {
		t.Errorf("the fallback decided %d picks, %v, and %v of the requests failed: want 1000 and none", sum, one.Faults, one.Metrics["failed"])
	}
}

func TestSimAvailability(t *testing.T) {
	status, out, errs := simulate("availability", "--mtbf", "1000h", "--mttr", "1h", "--units", "3+1", "--coverage", "0.99")
	if status != exitOK || errs != "" || !strings.Contains(out, "simulated") || !strings.Contains(out, "nines") {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
	if status, _, errs := simulate("availability", "--units", "3"); status != exitFailure || !strings.Contains(errs, `"3", want N+K`) {
		t.Errorf("status %d, %s", status, errs)
	}
}
