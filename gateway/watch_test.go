package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// counting are two modules that differ in a constant.
func counting(t *testing.T) (modules [2][]byte) {
	t.Helper()
	for i, name := range []string{"counting-1.wasm", "counting-2.wasm"} {
		b, err := os.ReadFile("../internal/cli/testdata/" + name)
		must(t, err)
		modules[i] = b
	}
	return modules
}

// startWith runs a gateway with these policies, in YAML, and a cluster `web` that uses the one called plugin.
func startWith(t *testing.T, policies, more string) *Gateway {
	t.Helper()
	config := filepath.Join(t.TempDir(), "weir.yaml")
	must(t, os.WriteFile(config, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0}]
policies: `+policies+`
clusters: {web: {endpoints: [{name: a, address: "127.0.0.1:1"}, {name: b, address: "127.0.0.1:1"}], policy: plugin}}
routes: [{path: /, cluster: web}]
`+more), 0o600))
	g, err := Start(Options{Path: config, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = g.Shutdown(t.Context()) })
	return g
}

// write puts a file where none may be.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600))
}

func (g *Gateway) serves(t *testing.T, module []byte) func() bool {
	t.Helper()
	want := newVersion(module, fromFile, nil).digest
	return func() bool { return g.policy("plugin").digest == want }
}

// looked waits until the files were looked at for the first time: what is found later, an event told of.
func (g *Gateway) looked(t *testing.T) {
	t.Helper()
	gatewaytest.Eventually(t, "files are looked at", func() bool {
		g.reloading.Lock()
		defer g.reloading.Unlock()
		return len(g.seen) > 0
	})
}

func (g *Gateway) happened(kind string) int {
	counts, _ := g.events.tally()
	return int(counts[eventKey{"plugin", kind}])
}

func TestChangedFilesAreTaken(t *testing.T) {
	// Workers of fasthttp look every ten seconds whether their server is gone.
	defer goleak.VerifyNone(t, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
	modules := counting(t)
	for name, tc := range map[string]struct {
		lay, change func(t *testing.T, path string)
	}{
		"written_in_place": {nil, func(t *testing.T, path string) { write(t, path, modules[1]) }},
		"renamed_over": {nil, func(t *testing.T, path string) {
			write(t, path+".new", modules[1])
			must(t, os.Rename(path+".new", path))
		}},
		"deleted_and_written": {nil, func(t *testing.T, path string) {
			must(t, os.Remove(path))
			write(t, path, modules[1])
		}},
		"its_folder_deleted_and_made_again": {nil, func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			write(t, path, modules[1])
		}},
		"its_folder_swapped": {nil, func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			write(t, filepath.Join(dir+".new", "plugin.wasm"), modules[1])
			must(t, os.Rename(dir, dir+".old"), os.Rename(dir+".new", dir))
		}},
		"a_link_swapped_as_Kubernetes_does": {
			func(t *testing.T, path string) {
				dir := filepath.Dir(path)
				write(t, filepath.Join(dir, "..1", "plugin.wasm"), modules[0])
				must(t, os.Symlink("..1", filepath.Join(dir, "..data")), os.Symlink("..data/plugin.wasm", path))
			},
			func(t *testing.T, path string) {
				dir := filepath.Dir(path)
				write(t, filepath.Join(dir, "..2", "plugin.wasm"), modules[1])
				must(t, os.Symlink("..2", filepath.Join(dir, "..tmp")),
					os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")), os.RemoveAll(filepath.Join(dir, "..1")))
			},
		},
		"what_a_link_leads_to": {
			func(t *testing.T, path string) {
				real := filepath.Join(filepath.Dir(filepath.Dir(path)), "elsewhere", "p.wasm")
				write(t, real, modules[0])
				must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(real, path))
			},
			func(t *testing.T, path string) {
				real, err := os.Readlink(path)
				must(t, err)
				write(t, real+".new", modules[1])
				must(t, os.Rename(real+".new", real))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policies", "plugin.wasm")
			if tc.lay != nil {
				tc.lay(t, path)
			} else {
				write(t, path, modules[0])
			}
			g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: ""}`)
			if !g.serves(t, modules[0])() {
				t.Fatal("another module serves")
			}
			g.looked(t)
			tc.change(t, path)
			gatewaytest.Eventually(t, "the module is taken", g.serves(t, modules[1]))
			must(t, g.Shutdown(t.Context()))
		})
	}
}

func TestAFileWrittenInPartIsRefusedAndTriedAgain(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: ""}`)
	g.looked(t)
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	_, err = f.Write(modules[1][:300])
	must(t, err)
	gatewaytest.Eventually(t, "half a file is refused", func() bool { return g.happened(kindRefused) == 1 })
	if !g.serves(t, modules[0])() {
		t.Error("half a file serves")
	}
	_, err = f.Write(modules[1][300:])
	must(t, err)
	gatewaytest.Eventually(t, "the whole file is taken", g.serves(t, modules[1]))
}

// TestAFileThatVanishesIsMissed holds that it is told once, and that it is told when the file is back, as it was or not.
func TestAFileThatVanishesIsMissed(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, "")
	g.looked(t)
	for i, back := range []struct {
		module []byte
		kind   string
		times  int
	}{
		{modules[0], kindLoaded, 2}, // one of the start
		{modules[1], kindSwapped, 1},
		{modules[1][:300], kindRefused, 1},
		{modules[1][:300], kindRefused, 2},
	} {
		must(t, os.Remove(path))
		gatewaytest.Eventually(t, "the file is missed", func() bool { return g.happened(kindMissing) == i+1 })
		g.refresh(t.Context()) // as the poll does
		write(t, path, back.module)
		gatewaytest.Eventually(t, "the file is back", func() bool { return g.happened(back.kind) == back.times })
		g.refresh(t.Context())
		if missed, told := g.happened(kindMissing), g.happened(back.kind); missed != i+1 || told != back.times {
			t.Errorf("time %d: missed %d times, %s %d times", i, missed, back.kind, told)
		}
	}
	if !g.serves(t, modules[1])() {
		t.Error("what serves is not what the file had last that was a module")
	}
}

// TestWhatIsNoFileIsRefused holds that no reading of it waits: PUT and Shutdown would wait too.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, "")
	g.looked(t)
	for i, lay := range []func() error{
		func() error { return os.Mkdir(path, 0o700) },
		func() error { return syscall.Mkfifo(path, 0o600) },
		func() error { return os.Symlink("/dev/zero", path) },
		func() error { return os.WriteFile(path, append(modules[1], zeros...), 0o600) },
	} {
		must(t, os.Remove(path), lay())
		gatewaytest.Eventually(t, "it is refused", func() bool { return g.happened(kindRefused) == i+1 })
	}
	if _, err := g.Put(t.Context(), "plugin", modules[1]); err != nil || !g.serves(t, modules[1])() {
		t.Error(err)
	}
}

// zeros are too much for a module.
var zeros = make([]byte, maxModule)

func TestAFileThatIsNotWatchedWaitsForAReload(t *testing.T) {
	modules := counting(t)
	dir := t.TempDir()
	still, path := filepath.Join(dir, "still.wasm"), filepath.Join(dir, "plugin.wasm")
	write(t, still, modules[0])
	write(t, path, modules[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}, still: {wasm: "`+still+`", watch: false}}`, `wasm: {cache_dir: ""}`)
	g.looked(t)
	write(t, still, modules[1])
	write(t, path, modules[1])
	gatewaytest.Eventually(t, "the one that is watched is taken", g.serves(t, modules[1]))
	if g.policy("still").digest != newVersion(modules[0], fromFile, nil).digest {
		t.Error("the one that is not watched was taken too")
	}
	must(t, g.Reload())
	if g.policy("still").digest != newVersion(modules[1], fromFile, nil).digest {
		t.Error("a reload did not take it")
	}
}

func TestWhatAFilesMeaningHangsOn(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err, os.Mkdir(filepath.Join(dir, "b"), 0o700), os.Symlink("b", filepath.Join(dir, "a")), os.Symlink("loop", filepath.Join(dir, "loop")))
	for _, tc := range []struct {
		name string
		want string
	}{
		{"b/x", "b/x b"},
		{"a/x", "a/x a a b/x b"},
		{"a/none/x", "a/none/x a/none a b/none/x b/none"},
	} {
		var got strings.Builder
		for _, n := range onTheWay(filepath.Join(dir, tc.name)) {
			rel, err := filepath.Rel(dir, n)
			must(t, err)
			got.WriteString(" " + rel)
		}
		if got.String() != " "+tc.want {
			t.Errorf("%s:%s, want %s", tc.name, got.String(), tc.want)
		}
	}
	if n := len(onTheWay(filepath.Join(dir, "loop", "x"))); n > 3*maxLinks {
		t.Errorf("a link to itself has %d names on the way", n)
	}
}
