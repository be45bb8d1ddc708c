package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const docs = "../../../docs/CONFIG.md"

// key is a row of the reference as the tags have it.
type key struct{ path, byDefault, accepts string }

// keys walks a type of the tree.
func keys(t reflect.Type, path string) (all []key) {
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		at, ft := elements(strings.TrimPrefix(path+"."+name, "."), f.Type)
		if ft.Kind() == reflect.Struct && !isScalar(ft) {
			all = append(all, keys(ft, at)...)
			continue
		}
		all = append(all, key{at, defaultCell(f), acceptsCell(ft, f.Tag)})
	}
	return all
}

// elements goes from lists and mappings to what is in them.
func elements(path string, t reflect.Type) (string, reflect.Type) {
	switch {
	case t == rawJSON:
	case t.Kind() == reflect.Slice:
		return elements(path+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		return elements(path+".NAME", t.Elem())
	case t.Kind() == reflect.Pointer:
		return elements(path, t.Elem())
	}
	return path, t
}

func defaultCell(f reflect.StructField) string {
	text, ok := f.Tag.Lookup("default")
	switch {
	case !ok && f.Type.Kind() == reflect.Bool:
		return "`false`"
	case !ok:
		return "-"
	case f.Type.Kind() == reflect.Slice:
		return "`[" + strings.ReplaceAll(text, " ", ", ") + "]`"
	}
	return "`" + text + "`"
}

func acceptsCell(t reflect.Type, tag reflect.StructTag) string {
	switch {
	case tag.Get("oneof") != "":
		return "`" + strings.ReplaceAll(tag.Get("oneof"), " ", "`, `") + "`"
	case tag.Get("max") != "":
		cell := fmt.Sprintf("%s..%s", tag.Get("min"), tag.Get("max"))
		if zero := tag.Get("zero"); zero != "" {
			cell += fmt.Sprintf("; `%s`: %s", zeroOf(t), zero)
		}
		return cell
	case t == rawJSON:
		return "anything"
	case t == prefixType:
		return "network"
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case tag.Get("as") != "":
		return tag.Get("as")
	}
	return "text"
}

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
	for _, k := range keys(reflect.TypeFor[Config](), "") {
		row := documented[k.path]
		if row == nil {
			t.Errorf("%s is not documented: want | `%s` | %s | %s | ... |", k.path, k.path, k.byDefault, k.accepts)
			continue
		}
		if row[1] != k.byDefault || row[2] != k.accepts {
			t.Errorf("%s: documented %s | %s, want %s | %s", k.path, row[1], row[2], k.byDefault, k.accepts)
		}
		delete(documented, k.path)
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
	for name, form := range texts {
		if !strings.HasPrefix(documented[name], strings.ReplaceAll(form.want, "|", "\\|")) {
			t.Errorf("form %q: documented %q, want it to begin with %q", name, documented[name], form.want)
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
	var have []string
	for _, f := range (&reader{}).read(file).fields {
		have = append(have, f.name)
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		if k := f.Tag.Get("yaml"); k != "" && k != "consul" && !slices.Contains(have, k) {
			t.Errorf("examples/weir.yaml has no %q", k)
		}
	}
}
