package clients

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

var testsslOutput = flag.String("testssl", "", "file that gets what testssl finds; it takes a minute, so that it does not run without")

// finding is what testssl says of one thing.
type finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Finding  string `json:"finding"`
}

// excused are the findings below OK that no gateway can do anything about.
var excused = map[string]string{
	"engine_problem": "of the openssl that testssl runs",
	"DNS_CAArecord":  "of the name's zone, and localhost has none",
	"TLS_session_ticket": "the hint to clients is a constant of crypto/tls, the most that TLS 1.3 allows; " +
		"the gateway's keys are replaced after 4 hours and forgotten after a day",
}

// TestTestsslFindsNothing: testssl.sh has nothing to say against the defaults of a listener with TLS, which has a certificate
// for each kind of key.
func TestTestsslFindsNothing(t *testing.T) {
	if *testsslOutput == "" {
		t.Skip("make testssl runs this")
	}
	if _, err := exec.LookPath("testssl"); err != nil {
		t.Skip("testssl is not installed: apt-get install testssl.sh")
	}
	s := newSite(t)
	ca := gatewaytest.NewAuthority(t, "an authority for testssl")
	s.put(t, "ca.pem", ca.PEM)
	var pairs []string
	for _, l := range []gatewaytest.Leaf{{Common: "ecdsa"}, {Common: "rsa", RSA: true}} {
		l.Names, l.Revocations = []string{"localhost"}, "http://localhost/revoked.crl"
		cert, key := ca.Issue(t, l)
		s.put(t, l.Common+".pem", cert)
		s.put(t, l.Common+".key", key)
		pairs = append(pairs, fmt.Sprintf("{cert: %s.pem, key: %s.key}", l.Common, l.Common))
	}
	g, err := StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners: [{name: tls, address: "127.0.0.1:0", tls: {certificates: [%s]}}]
wasm: {cache_dir: ""}
clusters: {web: {endpoints: [{address: %q}]}}
routes: [{cluster: web}]
`, strings.Join(pairs, ", "), s.endpoint.Address))
	must(t, err)
	t.Cleanup(g.Kill)
	_, port, _ := strings.Cut(g.Addresses["tls"], ":")
	file := s.file("testssl.json")
	args := []string{"--color", "0", "--warnings", "batch", "--quiet", "--ip", "127.0.0.1", "--add-ca", s.file("ca.pem"), "--jsonfile", file, "https://localhost:" + port + "/strict"}
	out, err := exec.CommandContext(t.Context(), "testssl", args...).Output()
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(err, readErr)
	}
	var findings []finding
	must(t, json.Unmarshal(text, &findings))
	if len(findings) < 100 {
		t.Fatalf("testssl found %d things, want 100 at least: %v", len(findings), err)
	}
	count, notes := map[string]int{}, ""
	for _, f := range findings {
		switch why, ok := excused[strings.Fields(f.ID)[0]]; {
		case f.Severity == "OK" || f.Severity == "INFO":
			count[f.Severity]++
		case ok:
			count["excused"]++
			notes += fmt.Sprintf("%-6s %s: %s\n       %s\n", f.Severity, f.ID, f.Finding, why)
		default:
			count[f.Severity]++
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	var head strings.Builder
	head.WriteString(fmt.Sprintf("testssl.sh against the defaults of a listener with TLS, benchmarks/clients, %s. Made by `make testssl`.\n\n", time.Now().UTC().Format(time.DateOnly)))
	for _, s := range slices.Sorted(maps.Keys(count)) {
		head.WriteString(fmt.Sprintf("%-8s %d\n", s, count[s]))
	}
	lines := strings.Split(strings.ReplaceAll(string(out), s.dir, "."), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \r")
	}
	must(t, os.WriteFile(*testsslOutput, []byte(head.String()+"\nBelow OK, and not the gateway's:\n"+notes+"\n"+strings.TrimSpace(strings.Join(lines, "\n"))+"\n"), 0o644))
}
