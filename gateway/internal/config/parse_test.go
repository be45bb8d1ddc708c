package config

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// least is the shortest configuration that is accepted, and good one of every part.
const (
	least = "listeners: [{address: ':8080'}]\nclusters: {web: {endpoints: [{address: '127.0.0.1:9001'}]}}\nroutes: [{cluster: web}]\n"
	good  = `admin: {address: "0.0.0.0:9180", token_file: token}
listeners: [{address: ":8080", trusted: ["10.0.0.0/8", "2001:db8::/32"], proxy_protocol: {trusted: [10.1.0.0/16]}}]
consul: {address: "https://agent:8501", snapshot: state/discovery.json, wait: 10s}
policies:
  mine: {wasm: mine.wasm, config: {percent: 5, big: 18446744073709551615, list: [1.5, true, null, "5"]}, memory: 128KiB}
clusters:
  web:
    consul: {service: web}
    policy: mine
    affinity: {client_ip: true}
    probe: {http: {status: [200, 204]}}
    timeout: 1m30s
    outlier: {max_ejected: 12.5%}
    proxy_protocol: v2
  api: {endpoints: [{address: "127.0.0.1:9001"}, {name: b, address: "[::1]:9002", weight: 0, tier: 1, meta: {v: 2}}]}
routes:
  - {host: "*.Example.COM", path: /a/b, headers: {X-Beta: 1}, cluster: web, strip_prefix: /a}
  - {host: "*.example.com", path: /a/b, cluster: web, timeout: 0s}
  - {cluster: api, timeout: 5s}
log: {level: warn}
`
)

func parse(t *testing.T, text string) *Config {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "token", " s3cret\n")
	write(t, dir, "mine.wasm", "x")
	c, err := Parse(filepath.Join(dir, "weir.yaml"), []byte(text), options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParse(t *testing.T) {
	c := parse(t, good)
	web, api := c.Clusters["web"], c.Clusters["api"]
	t.Run("PROXY_headers_are_off_and_where_they_are_on_required", func(t *testing.T) {
		want := &ProxyProtocol{Trusted: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Required: true, Timeout: 2 * time.Second}
		if got := c.Listeners[0].ProxyProtocol; !reflect.DeepEqual(got, want) || web.ProxyProtocol != "v2" || api.ProxyProtocol != "" {
			t.Errorf("listener %+v, clusters %q and %q", got, web.ProxyProtocol, api.ProxyProtocol)
		}
	})
	t.Run("units", func(t *testing.T) {
		if web.Timeout != 90*time.Second || web.Outlier.MaxEjected != 0.125 || c.Policies["mine"].Memory != 128<<10 || c.Consul.Wait != 10*time.Second {
			t.Errorf("timeout %s, ejected %g, memory %d, wait %s", web.Timeout, web.Outlier.MaxEjected, c.Policies["mine"].Memory, c.Consul.Wait)
		}
	})
	t.Run("files_are_relative_to_the_folder_of_the_configuration", func(t *testing.T) {
		for _, name := range []string{c.Admin.TokenFile, c.Policies["mine"].Wasm, c.Consul.Snapshot} {
			if !filepath.IsAbs(name) || !strings.HasPrefix(name, filepath.Dir(c.places[""].File)) {
				t.Errorf("%q, want it below %q", name, filepath.Dir(c.places[""].File))
			}
		}
	})
	t.Run("the_token_comes_without_white_space", func(t *testing.T) {
		if token, err := c.Admin.Token(); token != "s3cret" || err != nil {
			t.Errorf("%q, %v", token, err)
		}
	})
	t.Run("a_policys_config_is_JSON", func(t *testing.T) {
		want := `{"big":18446744073709551615,"list":[1.5,true,null,"5"],"percent":5}`
		if got := string(c.Policies["mine"].Config); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("a_route_has_the_timeout_of_its_cluster_unless_it_names_one", func(t *testing.T) {
		for i, want := range []time.Duration{90 * time.Second, 0, 5 * time.Second} {
			if c.Routes[i].Timeout != want {
				t.Errorf("route %d: %s, want %s", i, c.Routes[i].Timeout, want)
			}
		}
	})
	t.Run("names_that_are_absent_are_derived_and_unique", func(t *testing.T) {
		got := []string{c.Routes[0].Name, c.Routes[1].Name, c.Routes[2].Name, c.Listeners[0].Name, api.Endpoints[0].Name, api.Endpoints[1].Name}
		want := []string{"*.example.com/a/b", "*.example.com/a/b#2", "/", ":8080", "127.0.0.1:9001", "b"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("TLS_of_endpoints_needs_no_key_but_tls", func(t *testing.T) {
		c := parse(t, "listeners: [{address: ':1', tls: {certificates: [{cert: token, key: token}], min_version: 1.3}}]\n"+
			"clusters: {web: {endpoints: [{address: 'A.example:1'}], tls: {}}, api: {consul: {service: a}, tls: {server_name: B.example}}}\nroutes: [{cluster: web}]\n")
		in, web, api := c.Listeners[0].TLS, c.Clusters["web"].TLS, c.Clusters["api"].TLS
		if !filepath.IsAbs(in.Certificates[0].Key) || Version(in.MinVersion) != tls.VersionTLS13 || in.ClientAuth != "require" ||
			Version(web.MinVersion) != tls.VersionTLS12 || api.ServerName != "b.example" {
			t.Errorf("%+v, %+v, %+v", in, web, api)
		}
	})
	t.Run("numbers_are_text_where_text_is_wanted", func(t *testing.T) {
		if c.Routes[0].Headers["X-Beta"] != "1" || api.Endpoints[1].Meta["v"] != "2" {
			t.Errorf("%v, %v", c.Routes[0].Headers, api.Endpoints[1].Meta)
		}
	})
}

// TestDefaults is golden: what a user gets who says nothing.
func TestDefaults(t *testing.T) {
	c := parse(t, least+"policies: {mine: {wasm: mine.wasm}}\n")
	c.Policies["mine"].Wasm = "mine.wasm"
	got, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("defaults differ from testdata/defaults.json:\n%s", got)
	}
}

func TestAliases(t *testing.T) {
	t.Run("own_keys_win_over_merged_ones", func(t *testing.T) {
		c := parse(t, `listeners: [{address: ":8080"}]
clusters:
  web: &web {timeout: 1s, connect_timeout: 2s, endpoints: &e [{address: "127.0.0.1:1"}]}
  api: {<<: *web, timeout: 5s}
  two: {<<: [{timeout: 7s}, *web], endpoints: *e}
routes: [{cluster: web}]
`)
		api, two := c.Clusters["api"], c.Clusters["two"]
		if api.Timeout != 5*time.Second || api.ConnectTimeout != 2*time.Second || two.Timeout != 7*time.Second || len(two.Endpoints) != 1 {
			t.Errorf("%+v\n%+v", api, two)
		}
	})
	t.Run("what_expands_without_end_is_refused", func(t *testing.T) {
		lines := []string{"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"}
		for i := range 9 {
			lines = append(lines, fmt.Sprintf("a%d: &a%d [%s]", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", ")))
		}
		_, err := Parse("weir.yaml", []byte(strings.Join(lines, "\n")), options)
		if err == nil || !strings.Contains(err.Error(), "weir.yaml:6:9: a5: got aliases that expand to more than a million values") {
			t.Errorf("%v", err)
		}
	})
}

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "s3cret")
	set := map[string]string{
		"WEIR_ADMIN_ADDRESS": ":9999", "WEIR_ADMIN_TOKEN_FILE": "token", "WEIR_LOG_LEVEL": "debug",
		"WEIR_CONSUL_ADDRESS": "agent:8500", "WEIR_ZONE": "",
	}
	o := options
	o.Environment = func(name string) (string, bool) { v, ok := set[name]; return v, ok }
	c, err := Parse(dir+"/weir.yaml", []byte(least+"log: {level: warn}\nzone: a\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Admin.Address != ":9999" || c.Admin.TokenFile != dir+"/token" || c.Log.Level.String() != "DEBUG" || c.Consul.Address != "agent:8500" || c.Zone != "a" {
		t.Errorf("%+v", c)
	}
	set["WEIR_LOG_LEVEL"] = "loud"
	_, err = Parse(dir+"/weir.yaml", []byte(least), o)
	if want := `WEIR_LOG_LEVEL: log.level: got "loud", want one of debug, info, warn, error`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "weir.yaml", least)
	if _, err := Load(dir+"/weir.yaml", options); err != nil {
		t.Error(err)
	}
	_, err := Load("/nonexistent/weir.yaml", options)
	if want := "/nonexistent/weir.yaml: got no such file or directory, want a readable file"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestErrorsFoundElsewhereHaveTheirPlace(t *testing.T) {
	c, err := Parse("weir.yaml", []byte(least), options)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err = net.Listen("tcp", taken.Addr().String()); err == nil {
		t.Fatal("two listeners at one address")
	}
	for _, tc := range []struct {
		got  *Error
		want string
	}{
		{c.ListenerError(":8080", err), `weir.yaml:1:23: listeners[0].address: got ":8080" (address already in use), want an address that can be listened on`},
		{c.ListenerError("admin", errors.New("no")), `weir.yaml:1:1: admin.address: got "127.0.0.1:9180" (no), want an address that can be listened on`},
		{c.Error("clusters.web.policy", "a", "b"), "weir.yaml:2:12: clusters.web.policy: got a, want b"},
		{c.Error(`clusters["a.b"].policy`, "a", "b"), `weir.yaml:2:1: clusters["a.b"].policy: got a, want b`},
	} {
		if tc.got.Error() != tc.want {
			t.Errorf("%s\nwant %s", tc.got, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(least)
	f.Add(good)
	f.Add("a: &a [*a]\nb: {<<: *a}\n? [x]\n: y\n--- \n!!str x")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(filepath.Join(dir, "weir.yaml"), []byte(text), options)
		var all Errors
		switch {
		case err == nil && (c == nil || len(c.Routes) == 0 || len(c.Listeners) == 0):
			t.Errorf("accepted without routes or listeners: %q", text)
		case err != nil && (!errors.As(err, &all) || len(all) == 0):
			t.Errorf("%T: %v", err, err)
		}
		for _, e := range all {
			if e.Got == "" || e.Want == "" || e.Line < 1 || e.Column < 1 {
				t.Errorf("%q: %+v", text, e)
			}
		}
	})
}
