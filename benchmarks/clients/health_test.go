package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestGRPCHealth has endpoints of grpc-go asked by its health service.
func TestGRPCHealth(t *testing.T) {
	one, two := newGRPCEndpoint(t, "one"), newGRPCEndpoint(t, "two")
	g, err := StartGateway(t.Context(), weirProgram, t.TempDir(), fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
wasm: {cache_dir: ""}
clusters:
  shop: &shop
    endpoints: [{name: one, address: %q}, {name: two, address: %q}]
    http2: true
    probe: {grpc: {service: shop}, interval: 50ms, timeout: 10s, fall: 1, rise: 1}
  whole:
    <<: *shop
    probe: {grpc: {}, interval: 50ms, timeout: 10s, fall: 1, rise: 1}
  strange:
    <<: *shop
    probe: {grpc: {service: nobody}, interval: 50ms, timeout: 10s, fall: 1, rise: 1}
routes: [{cluster: shop}]
`, one.address, two.address))
	must(t, err)
	t.Cleanup(g.Kill)
	probes := func(cluster string) string {
		resp, err := http.Get("http://" + g.Addresses["admin"] + "/api/v1/clusters/" + cluster)
		must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(t, err)
		var s struct {
			Endpoints []struct {
				ID       string
				Evidence struct {
					Probe string
					Error string `json:"probe_error"`
				}
			}
		}
		must(t, json.Unmarshal(b, &s))
		var out []string
		for _, e := range s.Endpoints {
			out = append(out, strings.TrimSpace(e.ID+" "+e.Evidence.Probe+" "+e.Evidence.Error))
		}
		return strings.Join(out, "; ")
	}
	want := func(cluster, what string) {
		t.Helper()
		gatewaytest.Eventually(t, cluster+": "+what, func() bool { return probes(cluster) == what })
	}
	want("shop", "one passing; two passing")
	want("whole", "one passing; two passing")
	unknown := `failing grpc-status "5" (unknown service), want 0`
	want("strange", "one "+unknown+"; two "+unknown)
	must(t, one.cmd.Process.Signal(syscall.SIGUSR1))
	want("shop", "one failing NOT_SERVING, want SERVING; two passing")
	want("whole", "one passing; two passing")
}
