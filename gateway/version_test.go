package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

func TestVersions(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	t.Run("a_refused_one_leaves_nothing_behind_at_reloads", func(t *testing.T) {
		write(t, path, []byte("junk"))
		g := startWith(t, `{plugin: {wasm: "`+path+`", watch: false}}`, `wasm: {cache_dir: ""}`)
		for range 3 {
			must(t, g.Reload())
		}
		p := g.policy("plugin")
		if p.before != nil || p.previous != nil || p.module != nil || p.err == nil {
			t.Errorf("%+v", p)
		}
		if _, err := g.Rollback(t.Context(), "plugin"); err == nil {
			t.Error("a rollback to what was refused")
		}
		_, err := g.Put(t.Context(), "plugin", modules[0])
		must(t, err)
		if p := g.policy("plugin"); p.before != nil || p.previous != nil || p.module == nil || len(g.notServing()) > 0 {
			t.Errorf("after a good one %+v, %v", p, g.notServing())
		}
	})
	t.Run("a_pin_holds_for_rollbacks_too", func(t *testing.T) {
		write(t, path, modules[0])
		plain := `{plugin: {wasm: "` + path + `", watch: false}}`
		g := startWith(t, plain, `wasm: {cache_dir: ""}`)
		_, err := g.Put(t.Context(), "plugin", modules[1])
		must(t, err)
		file, err := os.ReadFile(g.options.Path)
		must(t, err)
		pin := newVersion(modules[0], fromFile, nil).digest
		write(t, g.options.Path, []byte(strings.Replace(string(file), "watch: false", "watch: false, sha256: "+pin, 1)))
		must(t, g.Reload())
		before := g.policy("plugin")
		if before.digest != pin || before.previous == nil {
			t.Fatalf("%s serves, previous %v, want the file's version and the one that was put to return to", before.digest, before.previous)
		}
		_, err = g.Rollback(t.Context(), "plugin")
		if stepOf(err) != "size" || g.policy("plugin") != before {
			t.Errorf("%v, %s serves; want a refusal at step size and the pinned one", err, g.policy("plugin").digest)
		}
	})
	t.Run("new_settings_are_a_version_too", func(t *testing.T) {
		write(t, path, modules[0])
		g := startWith(t, `{plugin: {wasm: "`+path+`", memory: 1MiB}}`, `wasm: {cache_dir: ""}`)
		write(t, g.options.Path, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0}]
policies: {plugin: {wasm: "`+path+`", memory: 2MiB}}
clusters: {web: {endpoints: [{name: a, address: "127.0.0.1:1"}], policy: plugin}}
routes: [{path: /, cluster: web}]
wasm: {cache_dir: ""}
`))
		must(t, g.Reload())
		if p := g.policy("plugin"); p.previous == nil || p.previous.config.Memory != 1<<20 || p.config.Memory != 2<<20 {
			t.Errorf("%+v", p)
		}
		_, err := g.Rollback(t.Context(), "plugin")
		must(t, err)
		if p := g.policy("plugin"); p.config.Memory != 1<<20 {
			t.Errorf("memory %d after the rollback", p.config.Memory)
		}
		must(t, g.Reload()) // nothing changed since: it stays
		if p := g.policy("plugin"); p.config.Memory != 1<<20 {
			t.Errorf("memory %d after a reload of the same", p.config.Memory)
		}
	})
}

func TestPromotedSettings(t *testing.T) {
	active := &config.Policy{
		Name: "a", Wasm: "/a.wasm", SHA256: "00", Config: []byte("1"), Fallback: "p2c", OnError: "reject", Memory: 1 << 20, Shadow: "b", Watch: true,
	}
	candidate := &config.Policy{
		Name: "b", Wasm: "/b.wasm", SHA256: "11", Config: []byte("2"), Fallback: "random", OnError: "fallback", Memory: 2 << 20, Large: true,
		Fuel: config.Fuel{Profile: "gc", Pick: 7000},
	}
	got := promoted(active, candidate)
	want := *active
	want.Config, want.Memory, want.Large, want.Fuel = []byte("2"), 2<<20, true, candidate.Fuel
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	b := budgets(got.Fuel)
	if gc := wasmhost.ProfileGC(); b.Pick != 7000 || b.Feedback != gc.Feedback || b.Tick != gc.Tick {
		t.Errorf("fuel %+v, want 7000 for a pick and else the profile's", b)
	}
	if b := budgets(config.Fuel{Profile: "default", Init: 5}); b != (wasmhost.Budgets{Init: 5}) {
		t.Errorf("fuel %+v, want nothing but what is set", b)
	}
}

// TestASwapIsTriedOnTheTablesThatItIsFor: the module can serve the made-up table of five, and refuses the cluster's six.
func TestASwapIsTriedOnTheTablesThatItIsFor(t *testing.T) {
	picky, err := os.ReadFile("../wasmhost/testdata/actor.wasm")
	must(t, err)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, counting(t)[0])
	for endpoints, want := range map[int]string{5: "", 6: `cluster "web": endpoints: lb_endpoints answered -1`} {
		g := startWith(t, `{plugin: {wasm: "`+path+`", config: "rn"}}`, `wasm: {cache_dir: ""}`)
		var list []string
		for i := range endpoints {
			list = append(list, fmt.Sprintf(`{name: e%d, address: "127.0.0.1:1"}`, i))
		}
		write(t, g.options.Path, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0}]
policies: {plugin: {wasm: "`+path+`", config: "rn"}}
clusters: {web: {endpoints: [`+strings.Join(list, ", ")+`], policy: plugin}}
routes: [{path: /, cluster: web}]
wasm: {cache_dir: ""}
`))
		must(t, g.Reload())
		gatewaytest.Eventually(t, "the new endpoints", func() bool { return len(g.cluster("web").Load().Table.Endpoints) == endpoints })
		before := g.policy("plugin")
		_, err := g.Put(t.Context(), "plugin", picky)
		if want == "" {
			must(t, err)
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || stepOf(err) != "endpoints" || g.policy("plugin") != before {
			t.Errorf("%d endpoints: %v, want %q and the old version", endpoints, err, want)
		}
	}
}

// TestAPolicyIsTriedOnTheClustersThatItIsGivenTo: the module serves five endpoints and no six, and is not loaded anew.
func TestAPolicyIsTriedOnTheClustersThatItIsGivenTo(t *testing.T) {
	picky, err := os.ReadFile("../wasmhost/testdata/actor.wasm")
	must(t, err)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, picky)
	cluster := func(name string, endpoints int, policy string) string {
		var list []string
		for i := range endpoints {
			list = append(list, fmt.Sprintf(`{name: e%d, address: "127.0.0.1:1"}`, i))
		}
		return fmt.Sprintf("%s: {endpoints: [%s], policy: %s}", name, strings.Join(list, ", "), policy)
	}
	g := startWith(t, `{plugin: {wasm: "`+path+`", config: "rn"}, other: {wasm: "`+path+`", shadow: beside}, beside: {wasm: "`+path+`", config: "rn"}}`, `wasm: {cache_dir: ""}`)
	file, err := os.ReadFile(g.options.Path)
	must(t, err)
	before, clusters, _ := strings.Cut(string(file), "clusters: {")
	clusters, after, _ := strings.Cut(clusters, "}\nroutes")
	reload := func(more ...string) error {
		write(t, g.options.Path, []byte(before+"clusters: {"+strings.Join(append([]string{clusters}, more...), ", ")+"}\nroutes"+after))
		return g.Reload()
	}
	must(t, reload(cluster("six", 6, "p2c"), cluster("five", 5, "p2c")))
	was := g.policy("plugin")
	for name, tc := range map[string]struct {
		more []string
		want string
	}{
		"a_cluster_that_it_can_serve":    {[]string{cluster("six", 6, "p2c"), cluster("five", 5, "plugin")}, ""},
		"a_cluster_that_it_cannot_serve": {[]string{cluster("six", 6, "plugin"), cluster("five", 5, "p2c")}, "clusters.six.policy: got policy \"plugin\""},
		"a_cluster_beside_another":       {[]string{cluster("six", 6, "other"), cluster("five", 5, "p2c")}, "clusters.six.policy: got policy \"beside\""},
		"a_new_cluster":                  {[]string{cluster("six", 6, "p2c"), cluster("new", 6, "plugin")}, "clusters.new.policy: got policy \"plugin\""},
	} {
		t.Run(name, func(t *testing.T) {
			err := reload(tc.more...)
			if tc.want == "" {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if g.policy("plugin") != was || g.cluster("new") != nil || tc.want != "" && g.members["six"].spec.policy != nil {
				t.Error("what was refused is there")
			}
		})
	}
}
