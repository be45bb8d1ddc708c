package workbench

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/internal/form/formtest"
)

func page(t *testing.T) formtest.Page {
	t.Helper()
	return formtest.Read(t, "../../docs/POLICY-TESTS.md")
}

// TestDocumentationHasEveryKeyWithItsDefaultAndRange leaves it at one row for endpoints, and for what steps add and set: they
// are what an endpoint of the case is.
func TestDocumentationHasEveryKeyWithItsDefaultAndRange(t *testing.T) {
	endpoints := []string{"cases[].endpoints", "cases[].steps[].add", "cases[].steps[].set"}
	keys := slices.DeleteFunc(form.Keys(reflect.TypeFor[Cases]()), func(k form.Key) bool {
		return slices.ContainsFunc(endpoints, func(of string) bool { return strings.HasPrefix(k.Path, of) })
	})
	page(t).HoldKeys(t, keys, endpoints...)
}

func TestDocumentationHasEveryFormOfText(t *testing.T) {
	forms := maps.Clone(texts)
	forms["built-in"] = form.Text{Want: "one of the built-in policies"} // their names are in CONFIG.md
	page(t).HoldTexts(t, forms)
}

// TestExampleHolds tells the story of the page.
func TestExampleHolds(t *testing.T) {
	for _, r := range tell(t, subject(t, "p2c"), page(t).Examples()[0]) {
		if !r.OK() {
			t.Errorf("%s: %s", r.Name, failures(r))
		}
	}
}
