package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
)

const docs = "../../../docs/CONFIG.md"

// rows returns the cells of the tables of a section of the page, or of all if it is "".
func rows(t *testing.T, section string) (all [][]string) {
	t.Helper()
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if section != "" {
		_, text, _ = strings.Cut(text, "\n## "+section+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
	}
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
	for _, k := range form.Keys(reflect.TypeFor[Config]()) {
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
		if !strings.HasPrefix(documented[name], strings.ReplaceAll(text.Want, "|", "\\|")) {
			t.Errorf("form %q: documented %q, want it to begin with %q", name, documented[name], text.Want)
		}
	}
}

func TestDocumentationHasEveryVariable(t *testing.T) {
	documented := map[string]string{}
	for _, r := range rows(t, "Environment") {
		documented[strings.Trim(r[0], "`")] = strings.Trim(r[1], "`")
	}
	for _, o := range overrides {
		if documented[o.variable] != o.path {
			t.Errorf("%s: documented as %q, want %q", o.variable, documented[o.variable], o.path)
		}
	}
}

func TestDocumentationNamesWhatIsNotSupportedYet(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Not yet\n")
	n := 0
	for _, of := range []reflect.Type{
		reflect.TypeFor[Listener](), reflect.TypeFor[Consul](), reflect.TypeFor[Policy](), reflect.TypeFor[Fuel](), reflect.TypeFor[Service](), reflect.TypeFor[Log](),
	} {
		for f := range of.Fields() {
			for k := range strings.FieldsSeq(f.Tag.Get("later")) {
				if n++; !strings.Contains(section, "."+k+"`") {
					t.Errorf("%s of %s is not in the section Not yet", k, of)
				}
			}
		}
	}
	if documented := strings.Count(section, "`") / 2; documented != n {
		t.Errorf("the section Not yet has %d keys, want %d", documented, n)
	}
}

// TestExamplesAreAccepted parses every YAML block of the page, and the file of examples. Modules and tokens that they
// name are made for the occasion.
func TestExamplesAreAccepted(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../../../examples/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	blocks := []string{string(file)}
	for _, b := range strings.Split(string(page), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(b, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) < 4 {
		t.Fatalf("%d examples, want at least 4", len(blocks))
	}
	dir := t.TempDir()
	for _, name := range []string{"plugins/p2c/p2c.wasm", "canary.wasm", "token"} {
		write(t, dir, name, "x")
	}
	for i, b := range blocks {
		if !strings.Contains(b, "listeners:") {
			b += "\nlisteners: [{address: ':8080'}]\n"
		}
		if !strings.Contains(b, "clusters:") {
			b += "\nclusters: {web: {endpoints: [{address: '127.0.0.1:9001'}]}}\n"
		}
		if !strings.Contains(b, "routes:") {
			b += "\nroutes: [{cluster: web}]\n"
		}
		if _, err := Parse(dir+"/weir.yaml", []byte(b), options); err != nil {
			t.Errorf("example %d:\n%v\n%s", i, err, b)
		}
	}
}

func TestExampleNamesEveryTopLevelKey(t *testing.T) {
	file, err := os.ReadFile("../../../examples/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	have := form.Read("weir.yaml", file, new(Config), form.Options{Texts: textsOf("../../../examples", options.BuiltIns)}).Places
	for f := range reflect.TypeFor[Config]().Fields() {
		if k := f.Tag.Get("yaml"); k != "" && k != "consul" && have[k] == (form.Place{}) {
			t.Errorf("examples/weir.yaml has no %q", k)
		}
	}
}
