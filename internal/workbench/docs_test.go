package workbench

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
)

const docs = "../../docs/POLICY-TESTS.md"

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the cells of the table of a section.
func rows(t *testing.T, section string) (all [][]string) {
	_, text, _ := strings.Cut(page(t), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		var cells []string
		for c := range strings.SplitSeq(strings.Trim(line, "|\n"), " | ") {
			cells = append(cells, strings.TrimSpace(c))
		}
		all = append(all, cells)
	}
	return all[1:]
}

func TestDocumentationHasEveryKeyWithItsDefaultAndRange(t *testing.T) {
	documented := map[string][]string{}
	for _, r := range rows(t, "Keys") {
		if len(r) != 4 || r[3] == "" {
			t.Errorf("row %q, want key, default, accepts and meaning", r)
			continue
		}
		documented[strings.Trim(r[0], "`")] = r
	}
	// What set takes is what an endpoint is.
	for _, k := range form.Keys(reflect.TypeFor[Cases]()) {
		if strings.Contains(k.Path, ".set.") || strings.HasPrefix(k.Path, "cases[].endpoints[]") || strings.Contains(k.Path, ".add[]") {
			continue
		}
		row := documented[k.Path]
		if row == nil {
			t.Errorf("not documented: | `%s` | %s | %s | ... |", k.Path, k.Default, k.Accepts)
			continue
		}
		if row[1] != k.Default || row[2] != k.Accepts {
			t.Errorf("%s: documented %s | %s, want %s | %s", k.Path, row[1], row[2], k.Default, k.Accepts)
		}
		delete(documented, k.Path)
	}
	for _, of := range []string{"cases[].endpoints", "cases[].steps[].add", "cases[].steps[].set"} {
		if documented[of] == nil {
			t.Errorf("%s is not documented", of)
		}
		delete(documented, of)
	}
	for k := range documented {
		t.Errorf("%s is documented, but there is no such key", k)
	}
}

func TestDocumentationHasEveryFormOfText(t *testing.T) {
	documented := map[string]string{}
	for _, r := range rows(t, "Values") {
		documented[r[0]] = r[1]
	}
	for name, text := range texts {
		if got := documented[name]; got != text.Want && name != "built-in" || got == "" {
			t.Errorf("form %q: documented %q, want %q", name, got, text.Want)
		}
	}
}

// TestExampleHolds tells the story of the page.
func TestExampleHolds(t *testing.T) {
	_, text, _ := strings.Cut(page(t), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	for _, r := range tell(t, subject(t, "p2c"), text) {
		if !r.OK() {
			t.Errorf("%s: %s", r.Name, failures(r))
		}
	}
}
