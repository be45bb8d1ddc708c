package scenario

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/internal/form/formtest"
)

const docs = "../../docs/SIMULATOR.md"

func manual(t *testing.T) formtest.Page {
	t.Helper()
	return formtest.Read(t, docs)
}

func TestDocumentationHasEveryKeyWithItsDefaultAndRange(t *testing.T) {
	manual(t).HoldKeys(t, form.Keys(reflect.TypeFor[Scenario]()))
}

func TestDocumentationHasEveryFormOfText(t *testing.T) { manual(t).HoldTexts(t, texts) }

func TestDocumentationHasEveryMetric(t *testing.T) {
	var documented strings.Builder
	for _, r := range manual(t).Section("Metrics").Rows() {
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
	blocks := manual(t).Examples()
	if len(blocks) < 2 {
		t.Fatalf("%d examples, want 2", len(blocks))
	}
	for _, text := range blocks {
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
