package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/internal/form/formtest"
)

func page(t *testing.T) formtest.Page {
	t.Helper()
	return formtest.Read(t, "../../../docs/CONFIG.md")
}

func TestDocumentationHasEveryKeyWithItsDefaultAndRange(t *testing.T) {
	page(t).HoldKeys(t, form.Keys(reflect.TypeFor[Config]()))
}

func TestDocumentationHasEveryFormOfText(t *testing.T) { page(t).HoldTexts(t, texts) }

func TestDocumentationHasEveryVariable(t *testing.T) {
	documented := map[string]string{}
	for _, r := range page(t).Section("Environment").Rows() {
		documented[strings.Trim(r[0], "`")] = strings.Trim(r[1], "`")
	}
	for _, o := range overrides {
		if documented[o.variable] != o.path {
			t.Errorf("%s: documented as %q, want %q", o.variable, documented[o.variable], o.path)
		}
	}
}

func TestDocumentationNamesWhatIsNotSupportedYet(t *testing.T) {
	section := string(page(t).Section("Not yet"))
	n := 0
	for _, of := range []reflect.Type{
		reflect.TypeFor[Listener](), reflect.TypeFor[Consul](), reflect.TypeFor[Policy](), reflect.TypeFor[Fuel](), reflect.TypeFor[Service](),
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
	file, err := os.ReadFile("../../../examples/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	blocks := append(page(t).Examples(), string(file))
	if len(blocks) < 4 {
		t.Fatalf("%d examples, want at least 4", len(blocks))
	}
	dir := t.TempDir()
	for _, name := range []string{"plugins/p2c/p2c.wasm", "canary.wasm", "token", "a.pem", "a.key", "ca.pem"} {
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
