package wasmhost_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/wasmhost/fuel"
	"github.com/weir-lb/weir/wasmhost/fuel/fueltest"
)

func compiler(t testing.TB) wazero.Runtime {
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(64).
		WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD))
	t.Cleanup(func() { rt.Close(context.Background()) })
	return rt
}

// outcome is what became of a call.
type outcome struct {
	results []uint64
	trapped bool
	left    int64 // fuel; 0 of an original
	memory  []byte
}

// call calls a function of m with arguments that it takes, with so much fuel if m is metered.
func call(t testing.TB, m api.Module, name string, budget int64) (o outcome) {
	f := m.ExportedFunction(name)
	var tank *fuel.Tank
	if m.ExportedGlobal(fuel.Global) != nil {
		tank = tankOf(m)
		tank.Fill(budget)
	}
	args := make([]uint64, len(f.Definition().ParamTypes()))
	for i, typ := range f.Definition().ParamTypes() {
		if typ == api.ValueTypeI32 || typ == api.ValueTypeI64 {
			args[i] = uint64(3*i) + 5
		}
	}
	results, err := f.Call(t.Context(), args...)
	o.results, o.trapped = results, err != nil
	if tank != nil {
		o.left = tank.Left()
		if o.left < 0 && err == nil {
			t.Fatalf("%s used up its fuel and did not trap", name)
		}
	}
	if mem := m.Memory(); mem != nil {
		o.memory, _ = mem.Read(0, mem.Size())
	}
	return o
}

func functions(m api.Module) (names []string) {
	for name := range m.ExportedFunctionDefinitions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// compare runs module as it came and metered, interpreted and compiled: the metered ones agree in all, fuel included, and with the
// original in all but fuel, unless that ran out. It returns how many calls were compared.
func compare(t testing.TB, module, metered []byte) (calls int) {
	interpreted, compiled := instance(t, interpreter(t), metered), instance(t, compiler(t), metered)
	original := instance(t, interpreter(t), module)
	for _, name := range functions(interpreted) {
		for _, budget := range []int64{2_000, 250_000} { // less than a slice, and more
			a, b := call(t, interpreted, name, budget), call(t, compiled, name, budget)
			if a.trapped != b.trapped || a.left != b.left || !slices.Equal(a.results, b.results) || !bytes.Equal(a.memory, b.memory) {
				t.Fatalf("%s: interpreted %v, trap %t, %d fuel left; compiled %v, trap %t, %d left; memory equal %t", name,
					a.results, a.trapped, a.left, b.results, b.trapped, b.left, bytes.Equal(a.memory, b.memory))
			}
			if a.left < 0 {
				return calls // the original may never end
			}
			o := call(t, original, name, 0)
			if a.trapped != o.trapped || !slices.Equal(a.results, o.results) || !bytes.Equal(a.memory, o.memory) {
				t.Fatalf("%s: metered %v, trap %t; original %v, trap %t; memory equal %t", name, a.results, a.trapped, o.results, o.trapped,
					bytes.Equal(a.memory, o.memory))
			}
			calls++
		}
	}
	return calls
}

// valid asks wabt, where it is present, whether the module is valid.
func valid(t testing.TB, module []byte) {
	tool, err := exec.LookPath("wasm-validate")
	if err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, file).CombinedOutput(); err != nil {
		t.Fatalf("wasm-validate: %v\n%s", err, out)
	}
}

// generated meters a generated module and compares what it does.
func generated(t testing.TB, seed []byte) (calls int, metered []byte) {
	module := fueltest.Generate(seed)
	m, err := fuel.Meter(module, meterLimits)
	if err != nil {
		t.Fatalf("a generated module is refused: %v\n% x", err, module)
	}
	return compare(t, module, m.Bytes), m.Bytes
}

func TestGeneratedModulesDoTheSame(t *testing.T) {
	calls := 0
	seed := make([]byte, 400)
	for n := range uint64(60) {
		for i := range seed {
			seed[i] = byte((n*400 + uint64(i) + 1) * 0x9e3779b97f4a7c15 >> 56)
		}
		c, metered := generated(t, seed)
		if calls += c; n < 10 {
			valid(t, metered)
		}
	}
	if calls < 50 {
		t.Errorf("%d calls were compared, want more: most of what is generated never ends", calls)
	}
}

// FuzzGenerated: modules out of bytes are accepted, and do the same metered, interpreted and compiled.
func FuzzGenerated(f *testing.F) {
	for n := range byte(8) {
		f.Add(bytes.Repeat([]byte{n, 5 * n, 7, 11 * n, 3}, 40))
	}
	f.Fuzz(func(t *testing.T, seed []byte) {
		if len(seed) <= 4096 {
			generated(t, seed)
		}
	})
}

// TestTheCollectorPassesGuestsThatRun: a guest with fuel for minutes is stopped by the collector in between. Without the
// slices of fuel the first collection would end with the guest.
func TestTheCollectorPassesGuestsThatRun(t *testing.T) {
	m := instance(t, compiler(t), metered(t, "measure"))
	reserve := m.ExportedGlobal(fuel.Reserve).(api.MutableGlobal)
	tankOf(m).Fill(1 << 45)
	full := reserve.Get()
	ended := make(chan error, 1)
	go func() {
		_, err := m.ExportedFunction("endless").Call(context.Background(), 0)
		ended <- err
	}()
	eventually(t, "the guest to run", func() bool { return reserve.Get() != full })
	for range 5 {
		runtime.GC()
	}
	select {
	case err := <-ended:
		t.Fatalf("the guest ended before the collector: %v", err)
	default:
	}
	eventually(t, "the guest to end without a reserve", func() bool {
		reserve.Set(0) // again and again, for the guest may be about to write what is left of it
		return len(ended) == 1
	})
	if err := <-ended; err == nil {
		t.Error("the guest ended without a trap")
	}
}
