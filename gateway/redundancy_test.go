package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
)

// served runs a gateway with one cluster `web` over those endpoints, which are called a, b, c, and returns a function that
// asks it and says which endpoint answered.
func served(t *testing.T, more string, endpoints ...*gatewaytest.Endpoint) (g *Gateway, ask func() string) {
	t.Helper()
	var list []string
	for i, e := range endpoints {
		list = append(list, fmt.Sprintf(`{name: %c, address: "%s"}`, 'a'+i, e.Address()))
		e.Script(gatewaytest.Respond(http.StatusOK, string(rune('a'+i))))
	}
	config := filepath.Join(t.TempDir(), "weir.yaml")
	must(t, os.WriteFile(config, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0}]
clusters: {web: {endpoints: [`+strings.Join(list, ", ")+`], policy: round_robin, `+more+`}}
routes: [{path: /, cluster: web}]
`), 0o600))
	g, err := Start(Options{Path: config, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = g.Shutdown(t.Context()) })
	c := gatewaytest.Dial(t, g.Address("http"))
	return g, func() string {
		r := c.Get("/")
		return fmt.Sprint(r.StatusCode, " ", r.Text)
	}
}

// post sends a request without a body to the admin API.
func (g *Gateway) post(t *testing.T, path string) int {
	t.Helper()
	r, err := http.Post("http://"+g.AdminAddress()+path, "", http.NoBody)
	must(t, err)
	must(t, r.Body.Close())
	return r.StatusCode
}

func (g *Gateway) redundancyOf(t *testing.T) cluster.RedundancyStatus {
	t.Helper()
	r, err := http.Get("http://" + g.AdminAddress() + "/api/v1/clusters/web")
	must(t, err)
	defer r.Body.Close()
	var s cluster.Status
	must(t, json.NewDecoder(r.Body).Decode(&s))
	return *s.Redundancy
}

// TestStandbyTakesOver kills the active endpoint of a pair under requests, of which none is lost, and sends them back.
func TestStandbyTakesOver(t *testing.T) {
	a, b := gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t)
	g, ask := served(t, "redundancy: {mode: 1+1, fail_back: manual, hold: 1s}, outlier: {consecutive: 1, base_ejection: 1s}", a, b)
	expect := func(want string) {
		t.Helper()
		for range 20 {
			if got := ask(); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
	expect("200 a")
	a.Stop()
	expect("200 b")
	gatewaytest.Eventually(t, "b has taken over", func() bool { return g.redundancyOf(t).Moves == 1 })
	if r := g.redundancyOf(t); r.Satisfied || r.State != "exposed" || fmt.Sprint(r.InService) != "[b]" {
		t.Errorf("%+v: want b in service, and N+1 not satisfied", r)
	}
	a.Start()
	gatewaytest.Eventually(t, "a is back", func() bool { return g.redundancyOf(t).Satisfied })
	expect("200 b")
	if status := g.post(t, "/api/v1/clusters/web/failback"); status != http.StatusNoContent {
		t.Errorf("failback: status %d, want 204", status)
	}
	expect("200 a")
	if status := g.post(t, "/api/v1/clusters/nope/failback"); status != http.StatusNotFound {
		t.Errorf("failback of no cluster: status %d, want 404", status)
	}
}

// TestSparesServeWhileOthersCannot drains an endpoint and has the spare stand in.
func TestSparesServeWhileOthersCannot(t *testing.T) {
	a, b, c := gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t), gatewaytest.NewEndpoint(t)
	g, ask := served(t, "redundancy: {mode: n+1, spares: 1, hold: 1s}", a, b, c)
	seen := func() string {
		var all [3]string
		for range 20 {
			if r := ask(); r[0] == '2' {
				all[r[4]-'a'] = r[4:]
			} else {
				t.Fatal(r)
			}
		}
		return strings.Join(all[:], "")
	}
	if got := seen(); got != "ab" {
		t.Errorf("%s serve, want ab", got)
	}
	if status := g.post(t, "/api/v1/clusters/web/endpoints/a/drain"); status != http.StatusNoContent {
		t.Fatalf("drain: status %d", status)
	}
	if got := seen(); got != "bc" {
		t.Errorf("a drains: %s serve, want bc", got)
	}
	families, err := g.registry.Gather()
	must(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetGauge() != nil && strings.HasPrefix(f.GetName(), "weir_cluster_redundancy") {
				values[f.GetName()] = m.GetGauge().GetValue()
			}
		}
	}
	if values["weir_cluster_redundancy"] != 0.5 {
		t.Errorf("weir_cluster_redundancy is %v, want 0.5: b and the spare bear what is needed, and no loss", values)
	}
	g.post(t, "/api/v1/clusters/web/endpoints/a/readmit")
	gatewaytest.Eventually(t, "a is back for good", func() bool { return seen() == "ab" })
}
