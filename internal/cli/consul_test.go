package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/discovery/consul/agent"
	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// catalogue runs a real agent with the endpoints registered in it.
func catalogue(t *testing.T, es ...*endpointProcess) *agent.Agent {
	t.Helper()
	a, err := agent.Start(t.Context(), agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	registerAll(t, a, es...)
	return a
}

func registerAll(t *testing.T, a *agent.Agent, es ...*endpointProcess) {
	t.Helper()
	for _, e := range es {
		host, port, err := net.SplitHostPort(e.address)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(port)
		if err := a.Register(t.Context(), agent.Service{ID: e.name, Name: "web", Address: host, Port: n}); err != nil {
			t.Fatal(err)
		}
	}
}

func consulFleet(a *agent.Agent, more string) string {
	return fmt.Sprintf(`admin: {address: 127.0.0.1:0}
listeners:
  - {name: http, address: 127.0.0.1:0}
consul: {address: %q, wait: 2s, hold: 1s%s}
policies:
  p2c-wasm: {wasm: plugins/p2c/p2c.wasm}
clusters:
  web:
    consul: {service: web}
    policy: p2c-wasm
    retry: {attempts: 3, per_try_timeout: 1s}
routes:
  - {path: /, cluster: web}
`, a.Addr(), more)
}

type readiness struct {
	Status   string
	Clusters []struct {
		Origin     string
		Error      string
		AgeSeconds float64 `json:"age_seconds"`
		Up         int
	}
}

func (w *weirProcess) readiness() (r readiness) {
	w.t.Helper()
	if err := getJSON("http://"+w.admin+"/readyz", &r); err != nil {
		w.t.Fatal(err)
	}
	if len(r.Clusters) != 1 {
		w.t.Fatalf("readyz: %+v, want one cluster", r)
	}
	return r
}

func (w *weirProcess) wantUp(n int) {
	w.t.Helper()
	gatewaytest.Eventually(w.t, fmt.Sprintf("%d endpoints are up", n), func() bool { return w.readiness().Clusters[0].Up == n })
}

// TestConsulLossRemovesNobody hangs the agent, kills it, and restarts it empty, under traffic: not an endpoint is lost,
// not a request fails, and /readyz says how old the answer is.
func TestConsulLossRemovesNobody(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
	a := catalogue(t, es...)
	snapshot := t.TempDir() + "/discovery.json"
	w := startWeir(t, consulFleet(a, fmt.Sprintf(", snapshot: %q", snapshot)))
	w.wantUp(3)
	tr := startTraffic(t, 8, func(ctx context.Context, c *http.Client, _ int64) error {
		return get(ctx, c, "http://"+w.http+"/")
	})
	stale := func(what string) {
		t.Helper()
		gatewaytest.Eventually(t, "readyz tells of an agent that "+what, func() bool {
			r := w.readiness()
			return r.Status == "degraded" && r.Clusters[0].Error != "" && r.Clusters[0].AgeSeconds > 0.5
		})
		tr.during(t, 300)
		if r := w.readiness(); r.Clusters[0].Up != 3 {
			t.Errorf("with an agent that %s %d endpoints are up, want 3", what, r.Clusters[0].Up)
		}
	}
	fresh := func() {
		t.Helper()
		gatewaytest.Eventually(t, "the answer is fresh again", func() bool {
			r := w.readiness()
			return r.Status == "ready" && r.Clusters[0].Error == "" && r.Clusters[0].Up == 3
		})
	}

	if err := a.Pause(); err != nil {
		t.Fatal(err)
	}
	stale("hangs")
	if err := a.Resume(); err != nil {
		t.Fatal(err)
	}
	fresh()
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	stale("is dead")
	if err := a.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.during(t, 300)
	if r := w.readiness(); r.Clusters[0].Up != 3 {
		t.Errorf("right after the agent came back empty %d endpoints are up, want 3", r.Clusters[0].Up)
	}
	registerAll(t, a, es...)
	fresh()
	tr.wantNoFailure(t)
}

// TestConsulSaysWhoServes follows checks, maintenance, weights and departure into the pool.
func TestConsulSaysWhoServes(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
	a := catalogue(t, es...)
	w := startWeir(t, consulFleet(a, ""))
	w.wantUp(3)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(a.Fail(t.Context(), "a"))
	w.wantUp(2)
	do(a.Maintenance(t.Context(), "b", true))
	w.wantUp(1)
	state := func() string {
		var c struct {
			Endpoints []struct{ Name, State string }
		}
		do(getJSON("http://"+w.admin+"/api/v1/clusters/web", &c))
		var all []string
		for _, e := range c.Endpoints {
			all = append(all, e.Name+" "+e.State)
		}
		return strings.Join(all, ", ")
	}
	if got, want := state(), "a down, b draining, c up"; got != want {
		t.Errorf("states %q, want %q", got, want)
	}
	do(a.Maintenance(t.Context(), "b", false))
	do(a.Warn(t.Context(), "a"))
	gatewaytest.Eventually(t, "a is degraded, b is back", func() bool { return state() == "a degraded, b up, c up" })
	do(a.Deregister(t.Context(), "c"))
	gatewaytest.Eventually(t, "c is gone", func() bool { return state() == "a degraded, b up" })
}

// TestStartWithoutConsul serves from the snapshot of an earlier run.
func TestStartWithoutConsul(t *testing.T) {
	e := startEndpoint(t, "a")
	a := catalogue(t, e)
	config := consulFleet(a, fmt.Sprintf(", snapshot: %q", t.TempDir()+"/discovery.json"))
	w := startWeir(t, config)
	w.wantUp(1)
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	<-w.ended
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	w = startWeir(t, config)
	if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
		t.Error(err)
	}
	if r := w.readiness(); r.Clusters[0].Origin != "snapshot" || r.Status != "degraded" {
		t.Errorf("readyz %+v, want a degraded start from the snapshot", r)
	}
}
