package scenario_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
)

// TestGuide holds docs/POLICIES.md to the policies that there are, and what it quotes to what was printed.
func TestGuide(t *testing.T) {
	read := func(file string) string {
		b, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	guide, printed := read("docs/POLICIES.md"), read("benchmarks/results/policies.txt")
	t.Run("has every policy", func(t *testing.T) {
		var described []string
		for line := range strings.Lines(guide) {
			if names, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
				described = append(described, strings.Split(names, ", ")...)
			}
		}
		for _, name := range policies.Names() {
			if !slices.Contains(described, name) {
				t.Errorf("%s is not described", name)
			}
			if !strings.Contains(guide, "`"+name+"`") {
				t.Errorf("nobody is told to take %s", name)
			}
		}
	})
	t.Run("has what picks cost", func(t *testing.T) {
		cost := map[string][]float64{}
		for line := range strings.Lines(read("benchmarks/results/pick-cost.txt")) {
			var name string
			var n, cpus, runs int
			var ns float64
			if _, err := fmt.Sscanf(strings.Replace(line, "/endpoints=", " ", 1), "BenchmarkPick/%s %d-%d %d %f ns/op", &name, &n, &cpus, &runs, &ns); err == nil {
				cost[fmt.Sprint(name, " ", n)] = append(cost[fmt.Sprint(name, " ", n)], ns)
			}
		}
		for _, name := range policies.Names() {
			var row strings.Builder
			row.WriteString("| `" + name + "` |")
			for _, n := range []int{3, 16, 64, 256, 1000} {
				all := cost[fmt.Sprint(name, " ", n)]
				if len(all) == 0 {
					t.Fatalf("%s was not measured with %d endpoints", name, n)
				}
				slices.Sort(all)
				fmt.Fprintf(&row, " %.0f |", all[len(all)/2])
			}
			if !strings.Contains(guide, row.String()) {
				t.Errorf("no row %q", row.String())
			}
		}
	})
	quoted := 0
	for i, block := range strings.Split(guide, "```") {
		body, ok := strings.CutPrefix(block, "text\n$ ")
		if i%2 == 0 || !ok {
			continue
		}
		command, quote, _ := strings.Cut(body, "\n")
		t.Run(command, func(t *testing.T) {
			_, was, ok := strings.Cut(printed, "\n$ "+command+"\n")
			if !ok {
				t.Fatal("there is no such command in benchmarks/results/policies.txt")
			}
			was, _, _ = strings.Cut(was, "\n$ ")
			for line := range strings.Lines(quote) {
				if line = strings.TrimRight(line, "\n"); line != "" && !strings.Contains(was, line) {
					t.Errorf("it did not print %q", line)
				}
			}
		})
		quoted++
	}
	if quoted < 5 {
		t.Errorf("%d quotes found", quoted)
	}
}
