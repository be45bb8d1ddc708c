package plugins_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/examples/plugins"
	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/internal/workbench"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/wasmhost"
)

// tools are what builds each policy; clang brings wasm-ld of its own version.
var tools = map[string]struct{ name, command string }{
	"bounded-hash":    {"clang", "clang"},
	"latency-aware":   {"clang", "clang"},
	"llm-prefix":      {"go", "go"},
	"p2c":             {"clang", "clang"},
	"peak-ewma":       {"clang", "clang"},
	"primary-standby": {"clang", "clang"},
	"round-robin":     {"wat2wasm", "wat2wasm"},
	"seat-limited":    {"clang", "clang"},
	"sticky-drain":    {"clang", "clang"},
	"tenant-affinity": {"rustc", "/usr/bin/rustc"},
	"weighted-canary": {"asc", "weighted-canary/node_modules/.bin/asc"},
	"zone-spill":      {"asc", "zone-spill/node_modules/.bin/asc"},
}

// version returns the version that a tool says it has, or "" if it is not installed.
func version(t *testing.T, command string) string {
	path, err := exec.LookPath(command)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	arg := "--version"
	if command == "go" {
		arg = "version"
	}
	out, err := exec.CommandContext(t.Context(), path, arg).Output()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`).FindString(string(out))
}

// recorded returns the versions of toolchain.txt: whole ones, or what they begin with.
func recorded(t *testing.T) map[string]string {
	text, err := os.ReadFile("toolchain.txt")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, v, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("toolchain.txt: line %q, want a tool and its version", line)
		}
		versions[name] = v
	}
	return versions
}

// TestCommittedModulesAreWhatTheSourcesMake compares byte for byte where the compiler is the one that was recorded.
func TestCommittedModulesAreWhatTheSourcesMake(t *testing.T) {
	versions := recorded(t)
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			want := versions[tool.name]
			if want == "" {
				t.Fatalf("toolchain.txt does not say which %s built %s", tool.name, name)
			}
			got := version(t, tool.command)
			if got != want && !strings.HasPrefix(got, want+".") {
				t.Logf("not compared: built with %s %s, and here is %q", tool.name, want, got)
				return
			}
			dir := t.TempDir()
			if out, err := exec.CommandContext(t.Context(), "./build.sh", "-o", dir, name).CombinedOutput(); err != nil {
				t.Fatalf("build.sh: %v\n%s", err, out)
			}
			built, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
			if err != nil {
				t.Fatal(err)
			}
			committed, err := plugins.Files.ReadFile(name + "/" + name + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(built, committed) {
				t.Errorf("the source makes %d bytes that differ from the %d committed: run examples/plugins/build.sh %s",
					len(built), len(committed), name)
			}
		})
	}
}

func TestEveryModuleHasABuildLine(t *testing.T) {
	found, err := fs.Glob(plugins.Files, "*/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for name := range tools {
		want = append(want, name+"/"+name+".wasm")
	}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

func TestBuildSaysWhichCompilerIsMissing(t *testing.T) {
	bin := t.TempDir()
	dirname, err := exec.LookPath("dirname")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dirname, filepath.Join(bin, "dirname")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"p2c":             "p2c needs clang, which is not installed: apt-get install clang lld",
		"round-robin":     "round-robin needs wat2wasm, which is not installed: apt-get install wabt",
		"weighted-canary": "weighted-canary needs npm, which is not installed: apt-get install nodejs npm",
		"nonsense":        "no policy nonsense, want one of bounded-hash latency-aware llm-prefix p2c peak-ewma",
	} {
		c := exec.CommandContext(t.Context(), "/bin/sh", "build.sh", "-o", bin, name)
		c.Env = []string{"PATH=" + bin}
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("build.sh %s ended with %v and said %q, want %q", name, err, out, want)
		}
	}
}

// TestAPickOfManyEndpointsStaysWithinItsFuel takes what costs guests most: one endpoint with nearly all the weight, so
// that drawing by chance keeps missing, among thousands, some of them tried.
func TestAPickOfManyEndpointsStaysWithinItsFuel(t *testing.T) {
	endpoints := policytest.Weights(slices.Repeat([]uint32{1}, 4000)...)
	endpoints[3999] = policies.Endpoint{Weight: policies.MaxWeight, Flags: policies.Canary}
	table := policytest.Table(1, endpoints...)
	for name := range tools {
		t.Run(name, func(t *testing.T) {
			p, err := plugintest.Policy(t, name, "").Build(table)
			if err != nil {
				t.Fatal(err)
			}
			for gen, down := range [][]int{nil, {3999}} {
				v := policytest.View(table, uint32(gen), down...)
				for seq := range uint64(100) {
					r := policytest.Request(1, seq)
					for range policies.MaxTried {
						i := p.Pick(&r, v)
						if !v.Usable(i) || r.HasTried(uint32(i)) {
							t.Fatalf("request %d, attempt %d: picked %d, want one that is usable and untried", seq, r.Attempt, i)
						}
						r.MarkTried(uint32(i))
						r.Attempt++
					}
				}
			}
		})
	}
}

// TestCases tells the story beside each module, as weir policy test does.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("*/cases.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found cases %v, error %v", files, err)
	}
	for _, file := range files {
		name := filepath.Dir(file)
		t.Run(name, func(t *testing.T) {
			cases, err := workbench.LoadCases(file)
			if err != nil {
				t.Fatal(err)
			}
			wasm, err := plugins.Files.ReadFile(name + "/" + name + ".wasm")
			if err != nil {
				t.Fatal(err)
			}
			s := workbench.Subject{Name: name, Wasm: wasm, Seed: 1, Options: wasmhost.Options{Large: len(wasm) > 1<<20}}
			if err := s.Open(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			tell := func(r workbench.Result) {
				for _, f := range r.Failures {
					t.Errorf("%s: %s %s: got %s, want %s", r.Name, f.At, f.What, f.Got, f.Want)
				}
			}
			s.Laws(cases, tell)
			s.Run(cases, tell)
		})
	}
}

// BenchmarkPick measures a pick through the host, and its fuel. Beside p2c runs its native twin.
func BenchmarkPick(b *testing.B) {
	run := func(b *testing.B, p policies.Policy, n int) {
		table := policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{3, 1}, n/2)...)...)
		pk, err := p.Build(table)
		if err != nil {
			b.Fatal(err)
		}
		v := policytest.View(table, 1)
		r := policytest.Request(1, 1)
		b.ReportAllocs()
		for b.Loop() {
			r.Rand += 0x9e3779b97f4a7c15
			pk.Pick(&r, v)
		}
	}
	for _, n := range []int{4, 16, 64, 256} {
		b.Run(fmt.Sprintf("native-p2c/endpoints=%d", n), func(b *testing.B) { run(b, policies.P2C{}, n) })
		for _, name := range slices.Sorted(maps.Keys(tools)) {
			b.Run(fmt.Sprintf("%s/endpoints=%d", name, n), func(b *testing.B) {
				p := plugintest.Policy(b, name, "")
				run(b, p, n)
				s := p.Stats()
				b.ReportMetric(float64(s.Fuel.Sum)/float64(s.Fuel.Count()), "fuel/op")
			})
		}
	}
}
