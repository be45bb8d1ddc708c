package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// with is a fleet whose policy is one of the example plugins, and whose endpoints have more keys each.
func with(plugin, config string, es []*endpointProcess, more ...string) string {
	text := strings.Replace(fleet("plugin", es...), "policies:\n",
		fmt.Sprintf("policies:\n  plugin: {wasm: plugins/%s/%s.wasm%s}\n", plugin, plugin, config), 1)
	for i, e := range es {
		if i < len(more) {
			text = strings.Replace(text, fmt.Sprintf("address: %q}", e.address), fmt.Sprintf("address: %q, %s}", e.address, more[i]), 1)
		}
	}
	return text
}

// served returns which endpoint answers a GET of that user.
func (w *weirProcess) served(user string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.http+"/", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("status %d", resp.StatusCode)
	}
	return resp.Header.Get("X-Endpoint")
}

// TestPluginsThroughTheGateway holds what each example plugin claims, over HTTP. TestNoIdempotentRequestIsLost does so
// for p2c.
func TestPluginsThroughTheGateway(t *testing.T) {
	t.Run("round-robin_takes_exact_turns", func(t *testing.T) {
		es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
		w := startWeir(t, with("round-robin", "", es))
		n := map[string]int{}
		for range 300 {
			n[w.served("")]++
		}
		if n["a"] != 100 || n["b"] != 100 || n["c"] != 100 {
			t.Errorf("shares %v, want 100 each", n)
		}
	})
	t.Run("weighted-canary_keeps_a_user_on_its_side", func(t *testing.T) {
		es := []*endpointProcess{startEndpoint(t, "stable"), startEndpoint(t, "canary")}
		config := with("weighted-canary", `, config: {percent: 20, meta: "version=v2"}`, es, "meta: {version: v1}", "meta: {version: v2}")
		w := startWeir(t, strings.Replace(config, "    probe:", "    affinity: {header: X-User}\n    probe:", 1))
		sides := map[string]string{}
		canary := 0
		for i := range 500 {
			user := fmt.Sprint("user", i)
			if sides[user] = w.served(user); sides[user] == "canary" {
				canary++
			}
		}
		if canary < 65 || canary > 140 { // 100 +- 4 sigma of a binomial
			t.Errorf("%d of 500 users are on the canary's side, want about 100", canary)
		}
		for user, side := range sides {
			if got := w.served(user); got != side {
				t.Errorf("%s was served by %s, now by %s", user, side, got)
			}
		}
	})
	t.Run("primary-standby_fails_over_and_back", func(t *testing.T) {
		es := []*endpointProcess{startEndpoint(t, "primary"), startEndpoint(t, "standby")}
		w := startWeir(t, with("primary-standby", ", config: {hold_ms: 300}", es, "tier: 0", "tier: 1"))
		for range 50 {
			if got := w.served(""); got != "primary" {
				t.Fatalf("served by %s, want primary", got)
			}
		}
		es[0].kill()
		for range 50 {
			if got := w.served(""); got != "standby" {
				t.Fatalf("with the primary dead served by %s, want standby", got)
			}
		}
		es[0].start()
		gatewaytest.Eventually(t, "the primary is taken back after the hold", func() bool { return w.served("") == "primary" })
	})
}
