package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// explain runs `weir explain` against a gateway.
func (w *weirProcess) explain(args ...string) (string, error) {
	w.t.Helper()
	out, err := weirCommand(append([]string{"explain", "--admin", w.admin}, args...)...).CombinedOutput()
	return string(out), err
}

// TestExplain asks a gateway what it would do, in words and in JSON, by header and by API, with and without a token.
func TestExplain(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b")}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("admin: {", "admin: {explain_token_file: "+token+", ", "    probe:", "    affinity: {header: X-User}\n    probe:").
		Replace(fleet("p2c-wasm", es...))
	w := startWeir(t, config)

	t.Run("in_words", func(t *testing.T) {
		out, err := w.explain("http://example.com/cart?x=1", "-H", "X-User: ann")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, want := range []string{
			"GET http://example.com/cart", "cluster", "web, 2 of 2 endpoints get traffic", "p2c-wasm@", "key", "yes", "pick: ok, ", " fuel, ",
			"1. ", es[0].address, es[1].address,
		} {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
		if n := w.metric("weir_requests_total"); n != 0 {
			t.Errorf("%v requests were counted, want none: nothing was sent", n)
		}
	})
	t.Run("with_an_endpoint_that_is_out", func(t *testing.T) {
		if status, _ := w.post("clusters/web/endpoints/a/eject"); status != http.StatusNoContent {
			t.Fatalf("status %d", status)
		}
		out, err := w.explain("http://example.com/")
		if err != nil || !strings.Contains(out, "1 of 2") || !strings.Contains(out, "a: down") {
			t.Errorf("%v: %s", err, out)
		}
		w.post("clusters/web/endpoints/a/readmit")
	})
	t.Run("in_JSON", func(t *testing.T) {
		out, err := w.explain("http://example.com/", "--json", "-X", "POST", "--client", "192.0.2.7")
		var e struct {
			Method, Client, Cluster string
			Rehearsed               bool
			Decisions               []struct{ Call, Result, Endpoint string }
		}
		if jerr := json.Unmarshal([]byte(out), &e); err != nil || jerr != nil {
			t.Fatalf("%v, %v: %s", err, jerr, out)
		}
		if e.Method != "POST" || e.Client != "192.0.2.7" || e.Cluster != "web" || !e.Rehearsed || len(e.Decisions) == 0 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("by_header_and_then_from_the_ring", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.http+"/told", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Weir-Explain", "s3cret")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		var told struct{ Path, Policy string }
		if err := json.Unmarshal([]byte(resp.Header.Get("Weir-Explain")), &told); err != nil || told.Path != "/told" || told.Policy != "p2c-wasm" {
			t.Errorf("%v: %q", err, resp.Header.Get("Weir-Explain"))
		}
		gatewaytest.Eventually(t, "it is in the ring", func() bool {
			var ring struct {
				Explanations []struct {
					Path   string
					Status int
				}
			}
			if err := getJSON("http://"+w.admin+"/api/v1/explain?n=5", &ring); err != nil {
				t.Fatal(err)
			}
			return len(ring.Explanations) == 1 && ring.Explanations[0].Path == "/told" && ring.Explanations[0].Status == 200
		})
	})
	t.Run("the_wrong_token_explains_nothing", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.http+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Weir-Explain", "guess")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Weir-Explain"); got != "" {
			t.Errorf("Weir-Explain: %s", got)
		}
	})
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no_host":          {[]string{"/cart"}, "no host"},
		"a_header_of_one":  {[]string{"http://h/", "-H", "X-User"}, "want 'Name: value'"},
		"a_client_by_name": {[]string{"http://h/", "--client", "ann"}, "want an IP address"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := w.explain(tc.args...); err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("%v: %s, want %q", err, out, tc.want)
			}
		})
	}
	t.Run("at_the_URL_that_people_copy", func(t *testing.T) {
		if out, err := weirCommand("explain", "--admin", "http://"+w.admin+"/", "http://example.com/").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("no_gateway", func(t *testing.T) {
		out, err := weirCommand("explain", "--admin", "127.0.0.1:1", "http://h/").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no gateway answers at 127.0.0.1:1") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// TestExplainWithAToken asks a gateway whose admin API is locked.
func TestExplainWithAToken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWeir(t, strings.Replace(fleet("p2c", startEndpoint(t, "a")), "admin: {", "admin: {token_file: "+token+", ", 1))
	if out, err := w.explain("http://h/"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("without the token: %v: %s", err, out)
	}
	out, err := w.explain("http://h/", "--token-file", token)
	if err != nil || !strings.Contains(out, "p2c (built in)") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestExplainTakesAnAddressAsConfigurationsHaveIt leaves out the host of the admin address.
func TestExplainTakesAnAddressAsConfigurationsHaveIt(t *testing.T) {
	w := startWeir(t, fleet("p2c", startEndpoint(t, "a")))
	_, port, _ := strings.Cut(w.admin, ":")
	for _, admin := range []string{":" + port, "localhost:" + port, "http://" + w.admin + "/"} {
		if out, err := weirCommand("explain", "http://h/", "--admin", admin).CombinedOutput(); err != nil || !strings.Contains(string(out), "p2c (built in)") {
			t.Errorf("--admin %s: %v: %s", admin, err, out)
		}
	}
}

// post asks the admin API for what answers nothing.
func (w *weirProcess) post(path string) (int, error) {
	w.t.Helper()
	resp, err := http.Post("http://"+w.admin+"/api/v1/"+path, "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Body.Close()
}
