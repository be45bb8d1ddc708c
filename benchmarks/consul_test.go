// Package benchmarks measures what no single package can: how soon the whole gateway does what it promises. Run one with
//
//	go test -run '^$' -bench ConsulFailToLastPick -benchtime 200x ./benchmarks
//
// Results that the documentation quotes are in results/.
package benchmarks

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery/consul/agent"
	"github.com/weir-lb/weir/gateway"
)

// BenchmarkConsulFailToLastPick takes the time from just before `PUT /v1/agent/check/fail` of an endpoint to the last
// request that reaches it, under steady traffic through a Wasm policy, with a real agent.
func BenchmarkConsulFailToLastPick(b *testing.B) {
	a, err := agent.Start(b.Context(), agent.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Stop()
	var last atomic.Int64 // when endpoint 0 was last asked, in nanoseconds
	epoch := time.Now()
	for i := range 3 {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i == 0 {
				last.Store(int64(time.Since(epoch)))
			}
		}))
		defer srv.Close()
		_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
		n, _ := strconv.Atoi(port)
		if err := a.Register(b.Context(), agent.Service{ID: fmt.Sprint(i), Name: "web", Address: "127.0.0.1", Port: n}); err != nil {
			b.Fatal(err)
		}
	}
	g := start(b, fmt.Sprintf("consul: {address: %q}\n", a.Addr()), "    consul: {service: web}\n")
	stop := load(g.Address("http"), 4)
	defer stop()
	serves := func(want bool) {
		deadline := time.Now().Add(10 * time.Second)
		for time.Since(epoch)-time.Duration(last.Load()) < 50*time.Millisecond != want {
			if time.Now().After(deadline) {
				b.Fatalf("10 s after the change endpoint 0 serves: %v", !want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	var took []time.Duration
	for b.Loop() {
		serves(true)
		time.Sleep(200 * time.Millisecond) // so that changes are apart, as in life
		began := time.Since(epoch)
		if err := a.Fail(b.Context(), "0"); err != nil {
			b.Fatal(err)
		}
		serves(false)
		took = append(took, time.Duration(last.Load())-began)
		if err := a.Pass(b.Context(), "0"); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	for name, q := range map[string]float64{"p50-ms": 0.5, "p90-ms": 0.9, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(took[int(q*float64(len(took)-1))].Seconds()*1e3, name)
	}
}

// start runs a gateway with the Wasm p2c policy over one cluster.
func start(b *testing.B, top, cluster string) *gateway.Gateway {
	b.Helper()
	module, err := filepath.Abs("../examples/plugins/p2c/p2c.wasm")
	if err != nil {
		b.Fatal(err)
	}
	config := filepath.Join(b.TempDir(), "weir.yaml")
	text := top + "admin: {address: 127.0.0.1:0}\nlisteners: [{name: http, address: 127.0.0.1:0}]\npolicies:\n  p2c-wasm: {wasm: " +
		module + "}\nclusters:\n  web:\n" + cluster + "    policy: p2c-wasm\nroutes: [{path: /, cluster: web}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	g, err := gateway.Start(gateway.Options{Path: config, Strict: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Shutdown(b.Context()) })
	for !g.Ready().Ready {
		time.Sleep(time.Millisecond)
	}
	return g
}

// load sends GETs from so many clients until the function it returns is called.
func load(address string, clients int) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			t := &http.Transport{}
			defer t.CloseIdleConnections()
			c := http.Client{Transport: t}
			for {
				select {
				case <-done:
					return
				default:
				}
				resp, err := c.Get("http://" + address + "/")
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	return func() { close(done); wg.Wait() }
}
