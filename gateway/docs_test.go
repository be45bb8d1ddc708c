package gateway

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-lb/weir/gateway/internal/proxy"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryMetricIsDocumented compares the table of docs/OPERATIONS.md with the families, row by row.
func TestEveryMetricIsDocumented(t *testing.T) {
	text := read(t, "OPERATIONS.md")
	kinds := map[prometheus.ValueType]string{counter: "counter", gauge: "gauge", histogram: "histogram"}
	for _, m := range families {
		labels := "-"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "` `") + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.name, kinds[m.kind], labels, m.help); !strings.Contains(text, row) {
			t.Errorf("docs/OPERATIONS.md lacks the row\n%s", row)
		}
	}
	if got := strings.Count(text, "| `weir_"); got != len(families) {
		t.Errorf("docs/OPERATIONS.md has %d rows of metrics, want %d", got, len(families))
	}
}

func TestEveryProblemIsDocumented(t *testing.T) {
	text := read(t, "PROBLEMS.md")
	for _, p := range proxy.Problems() {
		if part := fmt.Sprintf("\n## %s\n%d. %s\n", p.Name, p.Status, p.Title); !strings.Contains(text, part) {
			t.Errorf("docs/PROBLEMS.md lacks\n%s", part)
		}
	}
	if got, want := strings.Count(text, "\n## "), len(proxy.Problems()); got != want {
		t.Errorf("docs/PROBLEMS.md has %d problems, want %d", got, want)
	}
}
