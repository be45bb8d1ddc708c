// Package formtest holds pages of documentation to the trees of YAML that they describe.
package formtest

import (
	"os"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
)

// Page is a page of documentation in Markdown.
type Page string

// Read reads the page in a file.
func Read(t testing.TB, name string) Page {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return Page(text)
}

// Section is what stands below a heading of the second degree, "" if there is none of that title.
func (p Page) Section(title string) Page {
	_, text, _ := strings.Cut(string(p), "\n## "+title+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return Page(text)
}

// Rows returns the cells of the page's tables, row by row, without their headings.
func (p Page) Rows() (all [][]string) {
	for line := range strings.Lines(string(p)) {
		switch {
		case strings.HasPrefix(line, "|--"), strings.HasPrefix(line, "| --"):
			all = all[:len(all)-1] // that was the heading
		case strings.HasPrefix(line, "|"):
			var cells []string
			for c := range strings.SplitSeq(strings.Trim(line, "|\n"), " | ") {
				cells = append(cells, strings.TrimSpace(c))
			}
			all = append(all, cells)
		}
	}
	return all
}

// Examples returns the blocks of YAML.
func (p Page) Examples() (all []string) {
	for _, b := range strings.Split(string(p), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(b, "```")
		all = append(all, block)
	}
	return all
}

// HoldKeys fails unless the section Keys has a row for each key with its default, what it accepts and a meaning, a row with
// a meaning for each path of others, and no more.
func (p Page) HoldKeys(t testing.TB, keys []form.Key, others ...string) {
	t.Helper()
	documented := map[string][]string{}
	for _, r := range p.Section("Keys").Rows() {
		if len(r) != 4 || r[3] == "" {
			t.Errorf("row %q has %d cells, want key, default, accepts and meaning", r, len(r))
			continue
		}
		documented[strings.Trim(r[0], "`")] = r
	}
	for _, k := range keys {
		switch row := documented[k.Path]; {
		case row == nil:
			t.Errorf("%s is not documented: want | `%s` | %s | %s | ... |", k.Path, k.Path, k.Default, k.Accepts)
		case row[1] != k.Default || row[2] != k.Accepts:
			t.Errorf("%s: documented %s | %s, want %s | %s", k.Path, row[1], row[2], k.Default, k.Accepts)
		}
		delete(documented, k.Path)
	}
	for _, path := range others {
		if documented[path] == nil {
			t.Errorf("%s is not documented", path)
		}
		delete(documented, path)
	}
	for k := range documented {
		t.Errorf("%s is documented, but there is no such key", k)
	}
}

// HoldTexts fails unless the section Values describes each form of text in the words that refusals have, at least to begin with.
func (p Page) HoldTexts(t testing.TB, texts map[string]form.Text) {
	t.Helper()
	documented := map[string]string{}
	for _, r := range p.Section("Values").Rows() {
		documented[r[0]] = r[1]
	}
	for name, text := range texts {
		if want := strings.ReplaceAll(text.Want, "|", `\|`); !strings.HasPrefix(documented[name], want) || documented[name] == "" {
			t.Errorf("form %q: documented %q, want it to begin with %q", name, documented[name], want)
		}
	}
}
