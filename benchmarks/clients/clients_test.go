package clients

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/benchmarks/peers"
	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// weirProgram is built for the tests.
var weirProgram string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-clients-")
	if err == nil {
		weirProgram = filepath.Join(dir, "weir")
		err = peers.BuildWeir(context.Background(), weirProgram)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// way is how a client speaks to the gateway.
type way string

const (
	tls1   way = "HTTP/1.1 over TLS"
	tls2   way = "HTTP/2 over TLS"
	plain1 way = "HTTP/1.1 without TLS"
	plain2 way = "HTTP/2 without TLS"
)

// site is a gateway before an endpoint, and where a client finds it.
type site struct {
	gateway  *Gateway
	endpoint *Endpoint
	dir      string // holds ca.pem, and client.pem with client.key
	roots    *tls.Config
}

// base is the URL of the site.
func (s *site) base(w way) string {
	if w == tls1 || w == tls2 {
		_, port, _ := strings.Cut(s.gateway.Addresses["tls"], ":")
		return "https://localhost:" + port
	}
	return "http://" + s.gateway.Addresses["plain"]
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// newSite starts a gateway with all listeners that clients of the matrix need.
func newSite(t testing.TB) *site {
	t.Helper()
	e, err := NewEndpoint()
	must(t, err)
	t.Cleanup(e.Close)
	in, err := NewIntroduced()
	must(t, err)
	t.Cleanup(in.Close)
	s := &site{endpoint: e, dir: t.TempDir()}
	ca := gatewaytest.NewAuthority(t, "clients of weir")
	s.put(t, "ca.pem", ca.PEM)
	for _, l := range []gatewaytest.Leaf{{Common: "site", Names: []string{"localhost", "127.0.0.1"}}, {Common: "client", Names: []string{"curl.example"}}} {
		cert, key := ca.Issue(t, l)
		s.put(t, l.Common+".pem", cert)
		s.put(t, l.Common+".key", key)
	}
	s.roots = &tls.Config{RootCAs: ca.Pool}
	s.gateway, err = StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}]}}
  - {name: mutual, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}], client_ca: ca.pem}}
http: {h2c: true}
wasm: {cache_dir: ""}
clusters:
  web:
    endpoints: [{address: %q}]
    policy: least_request
  introduced:
    endpoints: [{address: %q}]
    proxy_protocol: v1
routes:
  - {cluster: web}
  - {path: /port, cluster: introduced}
`, e.Address, in.Address))
	must(t, err)
	t.Cleanup(s.gateway.Kill)
	return s
}

func (s *site) put(t testing.TB, name string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(s.file(name), data, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client is a row of the matrix.
type client struct {
	name    string
	install string                  // what brings it
	missing func(*testing.T) string // what is not there; empty if all is
	ways    []way                   // that it speaks
	cases   func(way) []string      // that it checks
	run     func(*testing.T, *site, way) results
}

// results are what came of cases, by name.
type results map[string]error

var everyCase = []string{"get", "post", "chunked", "large", "events", "head", "missing", "gzip", "reuse"}

func and(more ...string) func(way) []string {
	return func(way) []string { return slices.Concat(everyCase, more) }
}

// programs reports the first of these that is not in PATH.
func programs(names ...string) func(*testing.T) string {
	return func(*testing.T) string {
		for _, n := range names {
			if _, err := exec.LookPath(n); err != nil {
				return n
			}
		}
		return ""
	}
}

// TestRealClients: what people use works through a gateway that was started as they start it. A client that is not
// installed is skipped by name.
func TestRealClients(t *testing.T) {
	s := newSite(t)
	for _, c := range matrix() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if what := c.missing(t); what != "" {
				t.Skipf("%s is not installed: %s", what, c.install)
			}
			for _, w := range c.ways {
				t.Run(string(w), func(t *testing.T) {
					t.Parallel()
					got := c.run(t, s, w)
					for _, name := range c.cases(w) {
						t.Run(name, func(t *testing.T) {
							if err, played := got[name]; !played || err != nil {
								t.Errorf("%v", cmp.Or(err, fmt.Errorf("the client did not tell what came of it")))
							}
						})
						delete(got, name)
					}
					for name, err := range got {
						t.Errorf("the client told of a case that it was not to check: %s %v", name, err)
					}
				})
			}
		})
	}
}

func matrix() []client {
	four, overTLS := []way{tls1, tls2, plain1, plain2}, []way{tls1, tls2}
	return []client{
		{
			name: "curl", install: "apt-get install curl", missing: programs("curl"), ways: four, run: runCurl,
			cases: func(w way) []string {
				all := slices.Concat(everyCase, []string{"trailers"})
				switch w {
				case tls1, tls2:
					all = append(all, "certificate", "no certificate")
				case plain2: // curl 7.88 fails at its second request by prior knowledge on one connection, whatever it talks to
					all = slices.DeleteFunc(all, func(s string) bool { return s == "reuse" })
				}
				return all
			},
		},
		{
			name: "nghttp", install: "apt-get install nghttp2-client", missing: programs("nghttp"), ways: []way{tls2, plain2}, run: runNghttp,
			cases: func(way) []string {
				return []string{"get", "post", "large", "head", "missing", "gzip", "reuse", "trailers"}
			},
		},
		{
			name: "Chromium", install: "apt-get install chromium", missing: programs("chromium"), ways: []way{tls1, tls2, plain1}, run: runChromium,
			cases: func(w way) []string {
				all := slices.DeleteFunc(slices.Clone(everyCase), func(s string) bool { return s == "chunked" && w != tls2 })
				return append(all, "websocket")
			},
		},
		{name: "httpx", install: "apt-get install python3-httpx python3-h2", missing: httpxMissing, ways: four, run: runHTTPX, cases: and()},
		{name: "node", install: "apt-get install nodejs", missing: programs("node"), ways: four, run: runNode, cases: and("trailers")},
		{name: "undici", install: "apt-get install nodejs npm", missing: programs("node", "npm"), ways: overTLS, run: runUndici, cases: and("websocket")},
		{name: "java.net.http", install: "apt-get install default-jdk-headless", missing: programs("java", "javac"), ways: four, run: runJava, cases: and("websocket")},
		{name: "Go", missing: programs(), ways: four, run: runGo, cases: and("trailers")},
	}
}

// bounded ends a program that hangs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// runID names a run of events, or of a page.
func runID(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '.'
	}, t.Name())
}

func protocolOf(w way) string {
	if w == tls2 || w == plain2 {
		return "http2"
	}
	return "http1"
}
