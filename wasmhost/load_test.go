package wasmhost_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/wasmhost"
)

func TestLoad(t *testing.T) {
	h := newHost(t)
	actor, p2c := guest(t, "actor"), guest(t, "p2c")
	rename := func(from, to string) []byte {
		return []byte(strings.Replace(string(actor), from, to, 1))
	}
	for name, c := range map[string]struct {
		module []byte
		o      wasmhost.Options
		step   wasmhost.Step
		want   string
	}{
		"nothing":                      {nil, wasmhost.Options{}, wasmhost.StepParse, "not a WebAssembly module"},
		"a component":                  {[]byte("\x00asm\x0d\x00\x01\x00"), wasmhost.Options{}, wasmhost.StepVet, "component"},
		"more than 8 MiB":              {make([]byte, 9<<20), wasmhost.Options{}, wasmhost.StepSize, "want at most 8388608"},
		"another digest":               {p2c, wasmhost.Options{SHA256: "1f0c"}, wasmhost.StepSize, "want 1f0c"},
		"half a module":                {p2c[:len(p2c)/2], wasmhost.Options{}, wasmhost.StepParse, "byte "},
		"an unknown import":            {rename("hash64", "hash46"), wasmhost.Options{}, wasmhost.StepVet, `"hash46": there is no such function (is "hash64" meant?)`},
		"a module that is not there":   {rename("\x02lb\x06hash64", "\x02xy\x06hash64"), wasmhost.Options{}, wasmhost.StepVet, `there is no module "xy"`},
		"an import of the wrong type":  {rename("\x06hash64", "\x06header"), wasmhost.Options{}, wasmhost.StepVet, `"header" has type (i32 i32 i64) -> i64, want (i32 i32 i32) -> i32`},
		"no lb_pick":                   {rename("lb_pick", "lb_pikc"), wasmhost.Options{}, wasmhost.StepExports, `no export "lb_pick", want a function (i32) -> i32 (there is "lb_pikc")`},
		"no memory":                    {rename("\x06memory", "\x06memori"), wasmhost.Options{}, wasmhost.StepExports, `no memory`},
		"another version of the ABI":   {rename("lb_abi_v1", "lb_abi_v2"), wasmhost.Options{}, wasmhost.StepExports, `"lb_abi_v2" is another version`},
		"an empty module":              {[]byte("\x00asm\x01\x00\x00\x00"), wasmhost.Options{}, wasmhost.StepExports, "lb_endpoints"},
		"a flag that is not known":     {rename("\x80\x80\x80\x80\x20", "\x84\x80\x80\x80\x20"), wasmhost.Options{}, wasmhost.StepInit, "does not know 0x4"},
		"a config that is rejected":    {actor, wasmhost.Options{Config: []byte("rrrrn")}, wasmhost.StepInit, "it answered -9"},
		"an lb_init without an end":    {actor, wasmhost.Options{Config: []byte("rrrrl")}, wasmhost.StepInit, "out of fuel"},
		"an lb_alloc beyond memory":    {actor, wasmhost.Options{Config: []byte("rrre")}, wasmhost.StepEndpoints, "within the memory of 65536"},
		"an lb_alloc that overlaps":    {actor, wasmhost.Options{Config: []byte("rrro")}, wasmhost.StepEndpoints, "overlaps"},
		"an lb_alloc out of alignment": {actor, wasmhost.Options{Config: []byte("rrrm")}, wasmhost.StepEndpoints, "multiple of 8"},
		"an lb_alloc that refuses":     {actor, wasmhost.Options{Config: []byte("rrr0")}, wasmhost.StepEndpoints, "refused"},
		"too little fuel for a pick":   {p2c, wasmhost.Options{Fuel: wasmhost.Budgets{Pick: 50}}, wasmhost.StepDryRun, "out of fuel"},
		"too little fuel for init":     {actor, wasmhost.Options{Fuel: wasmhost.Budgets{Init: 50}}, wasmhost.StepInit, "out of fuel"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := h.Load(t.Context(), c.module, c.o)
			var e *wasmhost.StepError
			if m != nil || !errors.As(err, &e) || e.Step != c.step || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Load: %v, want step %s: %s", err, c.step, c.want)
			}
		})
	}
	t.Run("wrong options are named", func(t *testing.T) {
		if _, err := h.Load(t.Context(), p2c, wasmhost.Options{Name: "x", Memory: 10}); err == nil || !strings.Contains(err.Error(), `policy "x": memory 10`) {
			t.Errorf("Load: %v", err)
		}
	})
	t.Run("a context that ended stops before the compiler", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Load(ctx, p2c, wasmhost.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Load: %v, want %v", err, context.Canceled)
		}
	})
	t.Run("Info says what the module is", func(t *testing.T) {
		m, err := h.Load(t.Context(), actor, wasmhost.Options{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		i := m.Info()
		if i.Name != "a" || len(i.SHA256) != 64 || i.Engine != h.Engine() || !slices.Equal(i.Columns, []string{"inflight"}) || !i.Retry ||
			!slices.Contains(i.Exports, "lb_pick (i32) -> i32") || !slices.Contains(i.Imports, "lb.rand64 () -> i64") ||
			i.DryRun.Picks != 64 || i.DryRun.Results["ok"] != 64 || i.DryRun.MaxFuel == 0 {
			t.Errorf("Info %+v", i)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Load(t.Context(), actor, wasmhost.Options{Name: "a", SHA256: strings.ToUpper(i.SHA256)}); err != nil {
			t.Errorf("its own digest: %v", err)
		}
	})
}

func TestNativeCodeIsCached(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		h, err := wasmhost.NewHost(wasmhost.HostOptions{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Load(t.Context(), guest(t, "p2c"), wasmhost.Options{}); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache: %v, %v, want mode 0700", info.Mode(), err)
	}
}

// TestGuestsAreBuiltFromTheirSource: what is committed is what wat2wasm --debug-names makes, where there is one.
func TestGuestsAreBuiltFromTheirSource(t *testing.T) {
	sources, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources: %v, %v", sources, err)
	}
	tool, err := exec.LookPath("wat2wasm")
	for _, src := range sources {
		name := strings.TrimSuffix(filepath.Base(src), ".wat")
		committed := guest(t, name)
		if err != nil {
			continue
		}
		out := filepath.Join(t.TempDir(), name+".wasm")
		if msg, err := exec.Command(tool, "--debug-names", src, "-o", out).CombinedOutput(); err != nil {
			t.Fatalf("wat2wasm %s: %v\n%s", src, err, msg)
		}
		if built, err := os.ReadFile(out); err != nil || !slices.Equal(built, committed) {
			t.Errorf("%s: the committed module is another (%v)", name, err)
		}
	}
}
