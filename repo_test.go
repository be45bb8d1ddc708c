package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weir-lb/weir"

// mayImport holds the edges of the import graph that the house has, by package path below the module. A package that
// is not listed may import nothing of ours; "..." stands for everything below.
var mayImport = map[string][]string{
	"":                             {"internal/cli"},
	"internal/cli":                 {"gateway", "wasmhost", "internal/demo", "internal/form", "internal/scenario", "internal/workbench", "policies", "policies/recording", "policies/sim"},
	"internal/scenario":            {"internal/form", "policies", "policies/sim", "wasmhost"},
	"internal/workbench":           {"internal/form", "policies", "policies/policytest", "policies/recording", "policies/sim", "wasmhost", "wasmhost/sdk"},
	"internal/demo":                {"gateway", "discovery/consul/agent", "examples/plugins"},
	"internal/experiments/table":   {"internal/experiments"},
	"internal/form/formtest":       {"internal/form"},
	"gateway":                      {"gateway/internal/...", "discovery", "discovery/consul", "wasmhost", "policies", "policies/recording"},
	"gateway/internal/proxy":       {"gateway/internal/access", "gateway/internal/chunked", "gateway/internal/cluster", "gateway/internal/grammar", "gateway/internal/proxyproto", "gateway/internal/response", "gateway/internal/socket", "gateway/internal/upstream", "policies"},
	"gateway/internal/upstream":    {"gateway/internal/chunked", "gateway/internal/response", "gateway/internal/socket", "policies"},
	"gateway/internal/chunked":     {"gateway/internal/grammar"},
	"gateway/internal/response":    {"gateway/internal/grammar"},
	"gateway/internal/config":      {"gateway/internal/certs", "internal/form"},
	"gateway/internal/cluster":     {"gateway/internal/proxyproto", "gateway/internal/socket", "policies", "discovery"},
	"policies/policytest":          {"policies"},
	"policies/recording":           {"policies"},
	"policies/sim":                 {"policies"},
	"benchmarks/peers":             {"examples/plugins"},
	"benchmarks/guard":             {"benchmarks/cost"},
	"benchmarks/cost/run":          {"benchmarks/cost", "benchmarks/peers"},
	"examples/plugins/plugintest":  {"examples/plugins", "policies", "policies/policytest", "wasmhost"},
	"discovery/consul/agent/build": {"discovery/consul/agent"},
	"discovery/consul":             {"discovery"},
	"wasmhost":                     {"wasmhost/fuel", "policies"},
	"benchmarks/chaos":             {"benchmarks/peers", "discovery/consul/agent", "policies/sim"},
	"benchmarks/chaos/run":         {"benchmarks/chaos", "benchmarks/peers"},
}

// homes holds the packages that may import a heavy dependency. Tests may use what they like.
var homes = map[string][]string{
	"github.com/valyala/fasthttp":         {"gateway/internal/proxy"},
	"github.com/dgraph-io/ristretto":      {"gateway/internal/cluster"},
	"github.com/hashicorp/consul/api":     {"discovery/consul"},
	"github.com/tetratelabs/wazero":       {"wasmhost"},
	"github.com/fsnotify/fsnotify":        {"gateway"},
	"github.com/goccy/go-yaml":            {"internal/form"},
	"github.com/alecthomas/kong":          {"internal/cli"},
	"github.com/prometheus/client_golang": {"gateway"},
}

// stdOnly holds the packages that depend on the standard library alone.
var stdOnly = []string{"policies", "discovery", "gateway/internal/access", "gateway/internal/certs", "gateway/internal/socket", "wasmhost/fuel", "policies/policytest", "policies/recording", "policies/sim", "discovery/consul/agent"}

type pkg struct {
	Dir, ImportPath, Doc string
	GoFiles              []string
	Imports              []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-pgo=off", "-json=Dir,ImportPath,Doc,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 8 {
		t.Fatalf("go list found %d packages, want the whole house", len(all))
	}
	return all
}

func below(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		from := below(p.ImportPath)
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			to := below(imp)
			if !slices.ContainsFunc(mayImport[from], func(m string) bool {
				prefix, deep := strings.CutSuffix(m, "...")
				return m == to || deep && strings.HasPrefix(to, prefix)
			}) {
				t.Errorf("%q imports %q, which is not an edge of the house (mayImport in repo_test.go)", from, to)
			}
		}
	}
}

func TestEachHeavyDependencyHasOneHome(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for dep, allowed := range homes {
				if imp != dep && !strings.HasPrefix(imp, dep+"/") {
					continue
				}
				used[dep] = true
				if !slices.Contains(allowed, below(p.ImportPath)) {
					t.Errorf("%q imports %s, whose home is %v", below(p.ImportPath), imp, allowed)
				}
			}
		}
	}
	for dep := range homes {
		if !used[dep] {
			t.Errorf("nothing imports %s: take it out of homes", dep)
		}
	}
}

func TestContractPackagesUseTheStandardLibraryAlone(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(stdOnly, below(p.ImportPath)) {
			continue
		}
		for _, imp := range p.Imports {
			if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") && !strings.HasPrefix(imp, module+"/") {
				t.Errorf("%q imports %s, want the standard library alone", below(p.ImportPath), imp)
			}
		}
	}
}

func TestEachPackageHasOneDocComment(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				with = append(with, f)
			}
		}
		if len(p.GoFiles) > 0 && len(with) != 1 {
			t.Errorf("%q has package comments in %v, want exactly one", below(p.ImportPath), with)
		}
	}
}

// TestExportedNamesHaveDocComments holds the packages that others program against.
func TestExportedNamesHaveDocComments(t *testing.T) {
	for _, p := range packages(t) {
		if name := below(p.ImportPath); name != "policies" && name != "discovery" && name != "wasmhost" && name != "gateway" {
			continue
		}
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
						t.Errorf("%s/%s: func %s has no doc comment", below(p.ImportPath), f, d.Name)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
							t.Errorf("%s/%s: type %s has no doc comment", below(p.ImportPath), f, ts.Name)
						}
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether d is a function, or a method of an exported type other than the ones whose meaning
// an interface of the standard library fixes.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	if d.Name.Name == "Error" || d.Name.Name == "Unwrap" || d.Name.Name == "String" {
		return false
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// TestEachPackageStandsInTheHouse holds the house in docs/ARCHITECTURE.md to the packages that there are, and the other way
// round. A folder of tests alone is its parent's.
func TestEachPackageStandsInTheHouse(t *testing.T) {
	text, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, house, _ := strings.Cut(string(text), "\n## The house\n```\n")
	house, _, _ = strings.Cut(house, "```")
	stands, top := map[string]bool{}, ""
	for line := range strings.Lines(house) {
		name, isFolder := strings.CutSuffix(strings.Fields(line)[0], "/")
		if !isFolder {
			continue
		}
		if strings.HasPrefix(line, "  ") {
			name = path.Join(top, name)
		} else {
			top = name
		}
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			t.Errorf("%s/ stands in the house of docs/ARCHITECTURE.md, want a folder: %v", name, err)
		}
		stands[name] = true
	}
	for _, p := range packages(t) {
		if name := below(p.ImportPath); name != "" && len(p.GoFiles) > 0 && !stands[name] {
			t.Errorf("%s/ does not stand in the house of docs/ARCHITECTURE.md", name)
		}
	}
}

// files walks the text files of the repository.
func files(t *testing.T, visit func(name string, text []byte)) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	n := 0
	for name := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte{0}) {
			n++
			visit(name, text)
		}
	}
	if n < 20 {
		t.Fatalf("walked %d files, want the whole repository", n)
	}
}

func TestFilesAreSmall(t *testing.T) {
	files(t, func(name string, text []byte) {
		limit := 400
		switch {
		case path.Ext(name) != ".go":
			return
		case strings.HasSuffix(name, "_test.go"):
			limit = 600
		}
		if n := bytes.Count(text, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, want at most %d", name, n, limit)
		}
	})
}

func TestFilesAreNamedByTheNounTheyHold(t *testing.T) {
	banned := []string{"util", "utils", "helper", "helpers", "common", "base", "impl", "misc", "manager"}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".git" || d.Name() == "node_modules" {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		stem, _, _ := strings.Cut(strings.TrimSuffix(d.Name(), "_test.go"), ".")
		if slices.Contains(banned, stem) {
			t.Errorf("%s: name it by the noun it holds", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinksInDocsResolve follows every relative link of the documentation.
func TestLinksInDocsResolve(t *testing.T) {
	files(t, func(name string, text []byte) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, part := range strings.Split(string(text), "](")[1:] {
			link, _, _ := strings.Cut(part, ")")
			link, _, _ = strings.Cut(link, "#")
			if link == "" || strings.Contains(link, "://") || strings.ContainsAny(link, " \n") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), link)); err != nil {
				t.Errorf("%s links to %s: %v", name, link, err)
			}
		}
	})
}
