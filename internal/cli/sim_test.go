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

func TestSimAvailability(t *testing.T) {
	status, out, errs := simulate("availability", "--mtbf", "1000h", "--mttr", "1h", "--units", "3+1", "--coverage", "0.99")
	if status != exitOK || errs != "" || !strings.Contains(out, "simulated") || !strings.Contains(out, "nines") {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
	if status, _, errs := simulate("availability", "--units", "3"); status != exitFailure || !strings.Contains(errs, `"3", want N+K`) {
		t.Errorf("status %d, %s", status, errs)
	}
}
