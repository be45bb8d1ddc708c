package sdk_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// declaration is how a language declares a function of the host: its name, parameters and result. types says what becomes of
// the language's own on the way to Wasm; what is not there is i32.
var declarations = map[string]struct {
	form  string
	types map[string]string
}{
	"rust": {`pub fn (\w+)\(([^)]*)\)(?: -> (\w+))?;`, map[string]string{"i64": "i64", "u64": "i64"}},
	"zig":  {`pub extern "lb" fn (\w+)\(([^)]*)\) (\w+);`, map[string]string{"i64": "i64", "u64": "i64", "void": ""}},
	"go": {`//go:wasmimport lb (\w+)\nfunc \w+\(([^)]*)\)(?: (\w+))?`, map[string]string{
		"int64": "i64", "uint64": "i64", "string": "i32 i32",
	}},
	"wat": {`\(import "lb" "(\w+)" \(func \$\w+((?: \(param \$\w+ \w+\))*)(?: \(result (\w+)\))?\)\)`, map[string]string{"i64": "i64"}},
}

// signature spells parameters and a result as Wasm has them: "i32 i32 -> i64".
func signature(params, result string, types map[string]string) string {
	wasm := func(t string) string {
		if w, ok := types[t]; ok || t == "" {
			return w
		}
		return "i32"
	}
	var out []string
	var names int // of a type that follows: "old, new int64"
	for p := range strings.SplitSeq(strings.NewReplacer(" (param ", "", ")", ",").Replace(params), ",") {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		words := strings.Fields(p)
		names++
		if len(words) == 1 {
			continue
		}
		for ; names > 0; names-- {
			out = append(out, wasm(words[len(words)-1]))
		}
	}
	return strings.Join(out, " ") + " -> " + wasm(result)
}

// TestFunctionsOfTheHostHaveTheirTypes holds the headers to section 5 of docs/ABI.md, which the host is held to as well.
func TestFunctionsOfTheHostHaveTheirTypes(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## 5.")
	_, block, _ := strings.Cut(section, "```wat\n")
	block, _, _ = strings.Cut(block, "```")
	want := map[string]string{}
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, ";;")
		for _, m := range regexp.MustCompile(`(\w+)\(((?:\w+ i\d\d(?:, )?)*)\)(?: -> (i\d\d))?`).FindAllStringSubmatch(line, -1) {
			want[m[1]] = signature(m[2], m[3], map[string]string{"i64": "i64"})
		}
	}
	if len(want) != 20 {
		t.Fatalf("docs/ABI.md has %d functions, want 20: %v", len(want), want)
	}
	for language, d := range declarations {
		have := map[string]string{}
		for _, m := range regexp.MustCompile(d.form).FindAllStringSubmatch(text(t, language), -1) {
			have[m[1]] = signature(m[2], m[3], d.types)
		}
		for name, w := range want {
			if have[name] != w {
				t.Errorf("%s: %s is %q, want %q", language, name, have[name], w)
			}
		}
	}
}
