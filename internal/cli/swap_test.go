package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// reload writes a configuration, sends SIGHUP and waits until it is taken.
func (w *weirProcess) reload(config string) {
	w.t.Helper()
	w.write(config)
	done := w.metric("weir_reloads_total", `result="ok"`)
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	gatewaytest.Eventually(w.t, "the reload is taken", func() bool { return w.metric("weir_reloads_total", `result="ok"`) > done })
}

// TestReloadOfEverythingLosesNothing renames clusters, listeners and policies under load.
func TestReloadOfEverythingLosesNothing(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b")}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String() // one that does not change with each reload
	_ = ln.Close()
	one := strings.Replace(fleet("p2c-wasm", es...), "{name: http, address: 127.0.0.1:0}", fmt.Sprintf("{name: http, address: %q}", address), 1)
	two := strings.NewReplacer("name: http", "name: edge", "web:", "web2:", "cluster: web", "cluster: web2", "p2c-wasm", "other").Replace(one)
	w := startWeir(t, one)
	tr := startTraffic(t, 8, func(ctx context.Context, c *http.Client, _ int64) error {
		return get(ctx, c, "http://"+address+"/")
	})
	// A client that opens a connection each time sees whether the socket changes hands without a gap.
	fresh := startTraffic(t, 2, func(ctx context.Context, c *http.Client, _ int64) error {
		defer c.CloseIdleConnections()
		return get(ctx, c, "http://"+address+"/")
	})
	for range 10 {
		w.reload(two)
		w.reload(one)
		tr.during(t, 20)
	}
	tr.wantNoFailure(t)
	fresh.wantNoFailure(t)
}

// TestReloadInAConsulOutage changes the agent's settings while the agent has lost everything.
func TestReloadInAConsulOutage(t *testing.T) {
	e := startEndpoint(t, "a")
	a := catalogue(t, e)
	config := consulFleet(a, "")
	w := startWeir(t, config)
	w.wantUp(1)
	if err := a.Restart(t.Context()); err != nil { // comes back empty
		t.Fatal(err)
	}
	w.reload(strings.Replace(config, "wait: 2s", "wait: 1s", 1))
	gatewaytest.Eventually(t, "the empty answer is doubted", func() bool {
		return strings.Contains(w.readiness().Clusters[0].Error, "doubted")
	})
	for range 50 {
		if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.readiness(); r.Clusters[0].Up != 1 {
		t.Errorf("readyz %+v, want the endpoint kept", r)
	}
}

// TestAClusterOfWhichNothingIsKnownIsNotTaken reloads to a cluster whose Consul agent does not answer.
func TestAClusterOfWhichNothingIsKnownIsNotTaken(t *testing.T) {
	good := fleet("p2c", startEndpoint(t, "a"))
	w := startWeir(t, good)
	before, _, _ := strings.Cut(good, "    endpoints:")
	j := strings.Index(good, "routes:")
	w.write("consul: {address: 127.0.0.1:1}\n" + strings.NewReplacer("  web:", "  other:", "cluster: web", "cluster: other").
		Replace(before+"    consul: {service: web}\n"+good[j:]))
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	gatewaytest.Eventually(t, "the reload is refused", func() bool { return strings.Contains(w.log.String(), "no answer of discovery in 5s") })
	if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
		t.Error(err)
	}
}
