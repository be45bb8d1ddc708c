package workbench

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/wasmhost/sdk"
)

// templates holds LANGUAGE/FILE.tmpl, and those of every language in all/.
//
//go:embed all:project
var templates embed.FS

// language is one that a policy can be written in.
type language struct {
	name   string // for people
	source string
	header string // a folder or a file of the SDK, in the project; "" if there is none
	needs  string
	flags  string // of commands that load the module
}

var languages = map[string]language{
	"c":              {"C", "policy.c", "lb.h", "clang and lld (`apt-get install clang lld`)", ""},
	"rust":           {"Rust", "policy.rs", "lb.rs", "rustc with the target wasm32-unknown-unknown, and lld (`apt-get install rustc libstd-rust-dev-wasm32 lld`, or `rustup target add wasm32-unknown-unknown`)", ""},
	"zig":            {"Zig", "policy.zig", "lb.zig", "Zig 0.11 (https://ziglang.org/download; for Linux on x86-64 make fetches it by npm)", ""},
	"go":             {"Go", "main.go", "lb/", "Go 1.24 or later (https://go.dev/dl)", " --large"},
	"assemblyscript": {"AssemblyScript", "policy.ts", "lb.ts", "npm and node 20 or later (`apt-get install nodejs npm`); make fetches the compiler", ""},
	"wat":            {"WebAssembly text", "policy.wat", "", "wat2wasm (`apt-get install wabt`)", ""},
}

// Languages lists what a project can be written in.
func Languages() []string { return []string{"c", "rust", "assemblyscript", "go", "zig", "wat"} }

// Project is a folder that was written.
type Project struct {
	Dir    string
	Source string
	Needs  string
	Files  []string
}

// NewProject writes a policy that works, into a folder of its name in dir. Nothing that is there is overwritten.
func NewProject(name, lang, dir string) (*Project, error) {
	l, ok := languages[lang]
	if !ok {
		return nil, fmt.Errorf("language %q, want one of %s", lang, strings.Join(Languages(), ", "))
	}
	if !form.Name.OK(name) || strings.ContainsAny(name[:1], "-.") {
		return nil, fmt.Errorf("name %q, want %s, not a - or . first", name, form.Name.Want)
	}
	files, err := render(name, lang, l)
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: filepath.Join(dir, name), Source: l.source, Needs: l.needs}
	if entries, err := os.ReadDir(p.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is there already, and not empty: want a new folder", p.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for file, text := range files {
		at := filepath.Join(p.Dir, file)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(text)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		p.Files = append(p.Files, file)
	}
	slices.Sort(p.Files)
	return p, nil
}

// render returns the files of a project.
func render(name, lang string, l language) (map[string][]byte, error) {
	files := map[string][]byte{}
	values := struct {
		Name, Language, Source, Header, Needs, Flags, Large, Module string
		Go                                                          bool
	}{Name: name, Language: l.name, Source: l.source, Header: l.header, Needs: l.needs, Flags: l.flags, Module: strings.ToLower(name), Go: lang == "go"}
	if l.flags != "" {
		values.Large = ", large: true"
	}
	for _, from := range []string{"all", lang} {
		entries, err := templates.ReadDir("project/" + from)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			t, err := template.ParseFS(templates, "project/"+from+"/"+e.Name())
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, values); err != nil {
				return nil, err
			}
			files[strings.TrimSuffix(e.Name(), ".tmpl")] = b.Bytes()
		}
	}
	headers, err := fs.Glob(sdk.Files, lang+"/*")
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		text, err := sdk.Files.ReadFile(h)
		if err != nil {
			return nil, err
		}
		at := path.Base(h)
		if lang == "go" {
			at = "lb/" + at
		}
		files[at] = text
	}
	return files, nil
}
