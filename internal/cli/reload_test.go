package cli

import (
	"context"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestReloadsLoseNothing sends 1,000 SIGHUPs under load, every other one with a changed configuration.
func TestReloadsLoseNothing(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
	patient := strings.NewReplacer("timeout: 200ms, fall: 2", "timeout: 10s, fall: 10") // reloads are judged here, not probes on a machine that is busy
	one := patient.Replace(fleet("p2c-wasm", es...))
	two := strings.Replace(patient.Replace(fleet("p2c-wasm", es[:2]...)), "fallback: p2c}", "fallback: round_robin}", 1)
	w := startWeir(t, one)
	tr := startTraffic(t, 8, func(ctx context.Context, c *http.Client, n int64) error {
		return get(ctx, c, "http://"+w.http+"/")
	})
	picks := 0.0
	reload := func(i int) {
		if i%2 == 1 {
			w.write(two)
		} else {
			w.write(one)
		}
		done := w.metric("weir_reloads_total")
		_ = w.cmd.Process.Signal(syscall.SIGHUP)
		gatewaytest.Eventually(t, "the reload is done", func() bool { return w.metric("weir_reloads_total") > done })
		now := w.metric("weir_policy_picks_total", `result="ok"`)
		if now < picks {
			t.Fatalf("the count of picks fell from %v to %v", picks, now)
		}
		picks = now
	}
	for i := range 50 {
		reload(i) // fills pools and caches
	}
	goroutines, memory := w.metric("go_goroutines"), w.metric("go_memstats_heap_inuse_bytes")
	for i := range 950 {
		reload(i)
	}
	tr.wantNoFailure(t)
	gatewaytest.Eventually(t, "goroutines are back where they were", func() bool { return w.metric("go_goroutines") <= goroutines+8 })
	gatewaytest.Eventually(t, "the heap is back where it was", func() bool {
		return w.metric("go_memstats_heap_inuse_bytes") <= memory+16<<20
	})
	if n := w.metric("weir_reloads_total", `result="refused"`); n != 0 {
		t.Errorf("%v reloads were refused, want 0: %s", n, w.log)
	}
}

func TestReload(t *testing.T) {
	e := startEndpoint(t, "a")
	good := fleet("p2c-wasm", e)
	w := startWeir(t, good)
	refused := func(what, config string, want ...string) {
		t.Helper()
		before := w.metric("weir_reloads_total", `result="refused"`)
		w.write(config)
		_ = w.cmd.Process.Signal(syscall.SIGHUP)
		gatewaytest.Eventually(t, what+" is refused", func() bool { return w.metric("weir_reloads_total", `result="refused"`) > before })
		gatewaytest.Eventually(t, what+" is explained", func() bool {
			for _, s := range want {
				if !strings.Contains(w.log.String(), s) {
					return false
				}
			}
			return true
		})
		if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
	refused("an unknown key", strings.Replace(good, "interval:", "intervall:", 1), "intervall", "interval")
	refused("a missing cluster", strings.Replace(good, "cluster: web}", "cluster: wbe}", 1), "wbe")
	refused("a missing module", strings.Replace(good, "p2c.wasm", "none.wasm", 1), "none.wasm")
	refused("a wrong digest", strings.Replace(good, "fallback: p2c}", "sha256: "+strings.Repeat("0", 64)+"}", 1), "sha256")
	refused("a port in use", strings.Replace(good, "  - {name: http, address: 127.0.0.1:0}",
		"  - {name: http, address: 127.0.0.1:0}\n  - {name: taken, address: \""+e.address+"\"}", 1), e.address, "in use")
	w.write(good)
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	gatewaytest.Eventually(t, "a good one is taken again", func() bool { return w.metric("weir_reloads_total", `result="ok"`) >= 1 })
}

func TestRunEndsByDraining(t *testing.T) {
	e := startEndpoint(t, "a")
	w := startWeir(t, fleet("p2c-wasm", e))
	answered := make(chan error, 1)
	e.signal(syscall.SIGSTOP)
	go func() { answered <- get(context.Background(), http.DefaultClient, "http://"+w.http+"/") }()
	gatewaytest.Eventually(t, "the request is in flight", func() bool { return w.metric("weir_endpoint_inflight") == 1 })
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	gatewaytest.Eventually(t, "weir drains", func() bool { return strings.Contains(w.log.String(), "draining") })
	e.signal(syscall.SIGCONT)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	<-w.ended
	if code := w.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}

func TestRunRefuses(t *testing.T) {
	e := startEndpoint(t, "a")
	good := fleet("p2c-wasm", e)
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"a_taken_port": {
			strings.Replace(good, "name: http, address: 127.0.0.1:0", "name: http, address: \""+e.address+"\"", 1),
			[]string{e.address, "address already in use"},
		},
		"no_clusters_and_a_bad_unit": {"listeners: [{name: http, address: ':0'}]\nroutes: [{path: /, cluster: web}]\n" +
			"clusters: {}\nlog: {levle: info}\n", []string{"levle", "level", "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &weirProcess{t: t, config: t.TempDir() + "/weir.yaml"}
			plugins(t, w)
			w.write(tc.config)
			out, err := weirCommand("run", "-c", w.config).CombinedOutput()
			if err == nil {
				t.Fatalf("exit status 0: %s", out)
			}
			for _, s := range tc.want {
				if !strings.Contains(string(out), s) {
					t.Errorf("output lacks %q:\n%s", s, out)
				}
			}
		})
	}
	t.Run("a_file_that_is_not_there", func(t *testing.T) {
		out, err := weirCommand("run", "-c", "/nonexistent/weir.yaml").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "/nonexistent/weir.yaml") {
			t.Errorf("%v: %s", err, out)
		}
	})
	if _, err := os.Stat("weir.yaml"); err == nil {
		t.Error("a test left weir.yaml behind")
	}
}
