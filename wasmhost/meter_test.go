package wasmhost_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/wasmhost/fuel"
)

const none = 0xffffffff

var (
	unary       = fuel.Sig([]fuel.ValType{fuel.I32}, []fuel.ValType{fuel.I32})
	meterLimits = fuel.Limits{MemoryPages: 64, Start: 10_000, Entries: map[string]fuel.FuncType{
		"straight": unary, "loop": unary, "grow": unary, "endless": unary,
		"fib": fuel.Sig([]fuel.ValType{fuel.I64}, []fuel.ValType{fuel.I32}), // it has another type
	}}
)

func interpreter(t testing.TB) wazero.Runtime {
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(64).
		WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD))
	t.Cleanup(func() { rt.Close(context.Background()) })
	return rt
}

func instance(t testing.TB, rt wazero.Runtime, module []byte) api.Module {
	t.Helper()
	m, err := rt.InstantiateWithConfig(t.Context(), module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func metered(t testing.TB, name string) []byte {
	t.Helper()
	m, err := fuel.Meter(guest(t, name), meterLimits)
	if err != nil {
		t.Fatal(err)
	}
	return m.Bytes
}

func tankOf(m api.Module) *fuel.Tank {
	t := fuel.NewTank(m.ExportedGlobal(fuel.Global).(api.MutableGlobal), m.ExportedGlobal(fuel.Reserve).(api.MutableGlobal))
	return &t
}

// TestMeteredModulesDoTheSame compares results, traps, memory and globals of the original with those of the metered.
func TestMeteredModulesDoTheSame(t *testing.T) {
	rt := interpreter(t)
	original, counted := instance(t, rt, guest(t, "measure")), instance(t, rt, metered(t, "measure"))
	tank := tankOf(counted)
	if left := tank.Left(); left <= 0 || left >= meterLimits.Start {
		t.Errorf("%d fuel after the start section, want less than the %d at first", left, meterLimits.Start)
	}
	n := 0
	for name := range original.ExportedFunctionDefinitions() {
		if name == "endless" || name == "refuel" {
			continue
		}
		for _, arg := range []uint64{1, 2, 3, 4, 8, 20} {
			tank.Fill(1 << 40)
			a, errA := original.ExportedFunction(name).Call(t.Context(), arg)
			b, errB := counted.ExportedFunction(name).Call(t.Context(), arg)
			if (errA == nil) != (errB == nil) || errA == nil && a[0] != b[0] {
				t.Errorf("%s(%d): %v, %v; metered %v, %v", name, arg, a, errA, b, errB)
			}
			if used := 1<<40 - tank.Left(); used < fuel.EntryCharge {
				t.Errorf("%s(%d) used %d fuel", name, arg, used)
			}
			n++
		}
	}
	if n < 80 {
		t.Errorf("%d calls compared, want all of the module", n)
	}
	bytesA, _ := original.Memory().Read(0, original.Memory().Size())
	bytesB, _ := counted.Memory().Read(0, counted.Memory().Size())
	if string(bytesA) != string(bytesB) || original.ExportedGlobal("g").Get() != counted.ExportedGlobal("g").Get() {
		t.Error("memory or globals differ")
	}
}

func TestFuel(t *testing.T) {
	m := instance(t, interpreter(t), metered(t, "measure"))
	tank := tankOf(m)
	for _, c := range []struct {
		name string
		arg  uint32
		want int64
	}{
		{"straight", 1, fuel.EntryCharge + 3 + 4},        // three locals, four instructions
		{"loop", 1, fuel.EntryCharge + 2 + 3 + 1 + 10},   // outside: loop, local.get, end
		{"loop", 100, fuel.EntryCharge + 2 + 3 + 100*11}, // a round is 1 and ten instructions
		{"grow", 1, fuel.EntryCharge + 1 + 3 + 4096},     // the scratch local is the host's
		{"fill", 1600, fuel.EntryCharge + 1 + 9 + 1600>>4},
		{"copy", 160, fuel.EntryCharge + 1 + 7 + 160>>4},
		{"table_grow", 2, fuel.EntryCharge + 1 + 4 + 2*16},
		{"table_fill", 32, fuel.EntryCharge + 1 + 6 + 32/16}, // traps, after the charge
	} {
		tank.Fill(1 << 40)
		_, err := m.ExportedFunction(c.name).Call(t.Context(), uint64(c.arg))
		got := 1<<40 - tank.Left()
		if got != c.want {
			t.Errorf("%s(%d): %d fuel, want %d (%v)", c.name, c.arg, got, c.want, err)
		}
	}
	for _, c := range []struct {
		name string
		arg  uint32
	}{
		{"grow", none},
		{"table_grow", none},
		{"fill", none},
		{"copy", 1 << 31},
		{"init", none},
		{"table_fill", 1 << 31},
		{"fib", 40},
		{"endless", 0},
		{"refuel", none},
	} {
		tank.Fill(100_000)
		_, err := m.ExportedFunction(c.name).Call(t.Context(), uint64(c.arg))
		if err == nil || !strings.Contains(err.Error(), "unreachable") || tank.Left() >= 0 {
			t.Fatalf("%s(%d): %v with %d fuel left, want it to run out", c.name, c.arg, err, tank.Left())
		}
	}
	for name, arg := range map[string]uint64{"grow": 64, "table_grow": fuel.MaxTableSize} {
		tank.Fill(1 << 40)
		if got, err := m.ExportedFunction(name).Call(t.Context(), arg); err != nil || got[0] != none {
			t.Errorf("%s(%d): %v, %v, want -1: it is beyond the limit", name, arg, got, err)
		}
	}
	tank.Fill(100_000)
	_, err := m.ExportedFunction("fib").Call(t.Context(), 30)
	if err == nil || !strings.Contains(err.Error(), ".fib(i32) i32") {
		t.Errorf("%v, want the name of the function in it", err)
	}
}

// TestEntriesDoTheSame compares a function with its entry: results, traps, and the fuel that is left of any budget.
func TestEntriesDoTheSame(t *testing.T) {
	m := instance(t, interpreter(t), metered(t, "measure"))
	tank := tankOf(m)
	for _, name := range []string{"straight", "loop", "grow", "endless"} {
		for _, budget := range []int64{0, 50, 71, 72, fuel.Slice, fuel.Slice + 1, 1_000_000} {
			for _, arg := range []uint64{0, 1, 5000, 50_000} {
				tank.Fill(budget)
				want, wantErr := m.ExportedFunction(name).Call(t.Context(), arg)
				left := tank.Left()
				hand := tank.Hand(budget)
				if hand > fuel.Slice {
					t.Fatalf("%d fuel at hand of %d, want %d at most", hand, budget, fuel.Slice)
				}
				got, err := m.ExportedFunction(fuel.Entry(name)).Call(t.Context(), arg, uint64(hand))
				if (err == nil) != (wantErr == nil) {
					t.Fatalf("%s(%d) with %d fuel: %v, by its entry %v", name, arg, budget, wantErr, err)
				}
				rest := tank.Left()
				if err == nil {
					rest = tank.Rest(int64(got[1]))
				}
				if rest != left || err == nil && name != "grow" && got[0] != want[0] {
					t.Errorf("%s(%d) with %d fuel: %v and %d left, by its entry %v and %d", name, arg, budget, want, left, got, rest)
				}
			}
		}
	}
	if m.ExportedFunction(fuel.Entry("fib")) != nil {
		t.Error("a function of another type has an entry")
	}
}

// withoutCustom drops the custom sections of a module that was accepted: what they claim may end the process in wazero.
func withoutCustom(b []byte) []byte {
	out := append([]byte(nil), b[:8]...)
	for at := 8; at < len(b); {
		size, n := binary.Uvarint(b[at+1:])
		end := at + 1 + n + int(size)
		if b[at] != 0 {
			out = append(out, b[at:end]...)
		}
		at = end
	}
	return out
}

// FuzzMetered: what is accepted is valid if it was valid, and does the same metered, interpreted and compiled, unless it runs
// out of fuel. Guests that import functions are compiled only.
func FuzzMetered(f *testing.F) {
	for _, pattern := range []string{"testdata/*.wasm", "testdata/hostile/*.wasm", "../examples/plugins/*/*.wasm"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			if b, err := os.ReadFile(file); err != nil {
				f.Fatal(err)
			} else if len(b) <= maxFuzzed {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := fuel.Meter(b, meterLimits)
		if err != nil || len(b) > maxFuzzed {
			return
		}
		rt := interpreter(t)
		b = withoutCustom(b)
		_, errA := rt.CompileModule(t.Context(), b)
		_, errB := rt.CompileModule(t.Context(), m.Bytes)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("original: %v; metered: %v", errA, errB)
		}
		if errA != nil || len(m.Imports) > 0 {
			return
		}
		if counted, err := rt.InstantiateWithConfig(t.Context(), m.Bytes, wazero.NewModuleConfig().WithName("").WithStartFunctions()); err != nil {
			return // its start section may never end, its segments may lie outside
		} else if tankOf(counted).Left() < 0 {
			t.Fatal("there is an instance, whose fuel is used up")
		}
		compare(t, b, m.Bytes)
	})
}

// maxFuzzed bounds the modules that are fuzzed, in bytes: the compiler takes time for the big ones.
const maxFuzzed = 64 << 10
