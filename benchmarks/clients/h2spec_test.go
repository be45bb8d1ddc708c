package clients

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// h2specCases is how many cases of h2spec there are.
const h2specCases = 145

// h2specFails are those that do not pass, and why.
var h2specFails = map[string]string{
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                     `net/http answers 400 where h2spec wants the stream reset`,
	`http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: `the same`,
}

// TestH2spec plays what h2spec holds a speaker of HTTP/2 to.
func TestH2spec(t *testing.T) {
	e, err := NewEndpoint()
	must(t, err)
	t.Cleanup(e.Close)
	s := &site{dir: t.TempDir()}
	cert, key := gatewaytest.NewAuthority(t, "h2spec").Issue(t, gatewaytest.Leaf{Common: "site", Names: []string{"localhost"}})
	s.put(t, "site.pem", cert)
	s.put(t, "site.key", key)
	s.gateway, err = StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}]}}
http: {h2c: true}
wasm: {cache_dir: ""}
clusters: {web: {endpoints: [{address: %q}]}}
routes: [{cluster: web}]
`, e.Address))
	must(t, err)
	t.Cleanup(s.gateway.Kill)
	for name, options := range map[string][]string{"tls": {"-t", "-k"}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(s.gateway.Addresses[name])
			must(t, err)
			report := s.file(name + ".xml")
			// The path is of some bytes: windows are tried on them. What fails is in the report, whatever the status.
			out, _ := exec.CommandContext(bounded(t), tool(t, "h2spec"), append(options, "-p", port, "-P", "/large?n=1000", "-o", "5", "-j", report)...).CombinedOutput()
			text, err := os.ReadFile(report)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cases, failed, err := readH2spec(text)
			must(t, err)
			if cases != h2specCases {
				t.Errorf("%d cases were played; want %d", cases, h2specCases)
			}
			for name, what := range failed {
				if h2specFails[name] == "" {
					t.Errorf("%s\n%s", name, what)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(h2specFails)) {
				if _, is := failed[name]; !is {
					t.Errorf("%s: it passes now, and is to be taken out of h2specFails", name)
				}
			}
		})
	}
}

// readH2spec returns how many cases a report has, and what it says of those that failed.
func readH2spec(text []byte) (cases int, failed map[string]string, err error) {
	var report struct {
		Suites []struct {
			Cases []struct {
				Section string  `xml:"package,attr"`
				Name    string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	err = xml.Unmarshal(text, &report)
	failed = map[string]string{}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			cases++
			for _, what := range []*string{c.Failure, c.Error} {
				if what != nil {
					failed[c.Section+" "+c.Name] = *what
				}
			}
		}
	}
	return cases, failed, err
}
