package scenario

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
)

const docs = "../../docs/SIMULATOR.md"

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the cells of the table of a section.
func rows(t *testing.T, section string) (all [][]string) {
	t.Helper()
	_, text, _ := strings.Cut(manual(t), "\n## "+section+"\n")
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
	return all
}

func TestDocumentationHasEveryKeyWithItsDefaultAndRange(t *testing.T) {
	documented := map[string][]string{}
	for _, r := range rows(t, "Keys") {
		if len(r) != 4 || r[3] == "" {
			t.Errorf("row %q has %d cells, want key, default, accepts and meaning", r, len(r))
			continue
		}
		documented[strings.Trim(r[0], "`")] = r
	}
	delete(documented, "key")
	for _, k := range form.Keys(reflect.TypeFor[Scenario]()) {
		row := documented[k.Path]
		if row == nil {
			t.Errorf("%s is not documented: want | `%s` | %s | %s | ... |", k.Path, k.Path, k.Default, k.Accepts)
			continue
		}
		if row[1] != k.Default || row[2] != k.Accepts {
			t.Errorf("%s: documented %s | %s, want %s | %s", k.Path, row[1], row[2], k.Default, k.Accepts)
		}
		delete(documented, k.Path)
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
		if documented[name] != text.Want {
			t.Errorf("form %q: documented %q, want | %s | %s |", name, documented[name], name, text.Want)
		}
	}
}

func TestDocumentationHasEveryMetric(t *testing.T) {
	var documented strings.Builder
	for _, r := range rows(t, "Metrics") {
		documented.WriteString(r[0])
	}
	for _, name := range MetricNames() {
		if !strings.Contains(documented.String(), "`"+name+"`") {
			t.Errorf("metric %s is not documented", name)
		}
	}
	if n := strings.Count(documented.String(), "`") / 2; n != len(MetricNames()) {
		t.Errorf("%d metrics are documented, want %d", n, len(MetricNames()))
	}
}

// TestDocumentationExamplesRun runs every scenario of the page, and holds it to what it expects.
func TestDocumentationExamplesRun(t *testing.T) {
	blocks := strings.Split(manual(t), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d examples, want 2", len(blocks))
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		s, err := Parse(filepath.Join(filepath.Dir(docs), "example.yaml"), []byte(text))
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		r, err := s.Run(t.Context(), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, one := range r.Runs {
			if one.Result.Requests == 0 {
				t.Errorf("%s: no requests", one.Policy)
			}
			for _, v := range one.Verdicts {
				if !v.OK {
					t.Errorf("%s: %s is %s, want %s", one.Policy, v.Metric, v.Had(), v.Wanted())
				}
			}
		}
	}
}
