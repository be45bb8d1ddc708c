package gateway

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gatewayWith runs a gateway with one static endpoint.
func gatewayWith(t *testing.T, admin string) *Gateway {
	t.Helper()
	config := filepath.Join(t.TempDir(), "weir.yaml")
	text := "admin: " + admin + `
listeners: [{name: http, address: 127.0.0.1:0}]
clusters: {web: {endpoints: [{name: a, address: "127.0.0.1:1"}], heartbeat: {ttl: 1m}}}
routes: [{path: /, cluster: web}]
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := Start(Options{Path: config, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return g
}

func ask(t *testing.T, g *Gateway, method, path string, fields ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.AdminAddress()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAdminIsLoopbackOrToken(t *testing.T) {
	open := gatewayWith(t, "{address: 127.0.0.1:0}")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := gatewayWith(t, "{address: 127.0.0.1:0, token_file: "+token+"}")
	for _, tc := range []struct {
		name   string
		g      *Gateway
		method string
		path   string
		fields []string
		want   int
	}{
		{"loopback_needs_no_token", open, "GET", "/api/v1/clusters", nil, 200},
		{"localhost_in_any_case", open, "GET", "/metrics", []string{"Host", "LocalHost:9180"}, 200},
		{"profiles", open, "GET", "/debug/pprof/goroutine?debug=1", nil, 200},
		{"profiles_want_the_token", locked, "GET", "/debug/pprof/heap", nil, 401},
		{"a_rebound_name_is_refused", open, "GET", "/api/v1/clusters", []string{"Host", "evil.example"}, 403},
		{"a_web_page_may_not_post", open, "POST", "/api/v1/reload", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"health_is_open", locked, "GET", "/healthz", nil, 200},
		{"readiness_is_open", locked, "GET", "/readyz", nil, 200},
		{"no_token", locked, "GET", "/metrics", nil, 401},
		{"a_wrong_token", locked, "GET", "/metrics", []string{"Authorization", "Bearer s3cre"}, 401},
		{"a_token_without_its_scheme", locked, "GET", "/metrics", []string{"Authorization", "s3cret"}, 401},
		{"the_token", locked, "GET", "/metrics", []string{"Authorization", "bearer s3cret"}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, body := ask(t, tc.g, tc.method, tc.path, tc.fields...); got != tc.want {
				t.Errorf("%d %s, want %d", got, body, tc.want)
			}
		})
	}
}

func TestOperatorAndBeats(t *testing.T) {
	g := gatewayWith(t, "{address: 127.0.0.1:0}")
	state := func() string {
		_, body := ask(t, g, "GET", "/api/v1/clusters/web")
		var c struct {
			Endpoints []struct {
				State    string
				Evidence struct{ Lease string }
			}
		}
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			t.Fatal(err)
		}
		return c.Endpoints[0].State + " " + c.Endpoints[0].Evidence.Lease
	}
	for _, step := range []struct {
		path  string
		code  int
		state string
	}{
		{"a/drain", 204, "draining none"},
		{"a/eject", 204, "down none"},
		{"a/readmit", 204, "up none"},
		{"a/beat", 204, "up alive"},
		{"node%2Fearly/beat", 202, "up alive"},
		{"nobody/drain", 404, "up alive"},
		{"a/frobnicate", 404, "up alive"},
	} {
		if code, body := ask(t, g, "POST", "/api/v1/clusters/web/endpoints/"+step.path); code != step.code || state() != step.state {
			t.Errorf("%s: %d %s, then %q; want %d and %q", step.path, code, body, state(), step.code, step.state)
		}
	}
	if code, _ := ask(t, g, "POST", "/api/v1/clusters/none/endpoints/a/drain"); code != 404 {
		t.Errorf("an unknown cluster: %d, want 404", code)
	}
}

func TestMetricsAreGathered(t *testing.T) {
	g := gatewayWith(t, "{address: 127.0.0.1:0}")
	_, body := ask(t, g, "GET", "/metrics")
	for _, want := range []string{`weir_endpoint_up{cluster="web",endpoint="a"} 1`, "weir_build_info{", "weir_config_last_reload_timestamp_seconds 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.registry.Gather(); err != nil {
		t.Error(err)
	}
}
