package cli

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDemo runs the demo as a user does and reads what it prints.
func TestDemo(t *testing.T) {
	for _, args := range [][]string{{"demo", "--for", "5s"}, {"demo", "--for", "6s", "--consul"}} {
		t.Run(strings.Join(args, "_"), func(t *testing.T) {
			raw, err := weirCommand(args...).CombinedOutput()
			out := string(raw)
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			for _, want := range []string{
				"endpoint b killed: kill -9", "endpoint b: up -> down", "endpoint b: down -> up", " 0 failed requests",
				"picks in WebAssembly",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("the account lacks %q:\n%s", want, out)
				}
			}
			share := func(row string) []float64 {
				m := regexp.MustCompile(row + `\s+\d+\s+([\d.]+)%\s+([\d.]+)%\s+([\d.]+)%\s+0\n`).FindStringSubmatch(out)
				if m == nil {
					t.Fatalf("no row %q without failures in:\n%s", row, out)
				}
				var f []float64
				for _, s := range m[1:] {
					x, _ := strconv.ParseFloat(s, 64)
					f = append(f, x)
				}
				return f
			}
			for i, x := range share("all three up") {
				if x < 20 || x > 47 {
					t.Errorf("endpoint %d had %v%% of the requests with all three up, want about a third", i, x)
				}
			}
			if b := share("b is dead")[1]; b > 2 {
				t.Errorf("the dead endpoint answered %v%% of the requests, want about none", b)
			}
			if b := share("b is back")[1]; b < 2 {
				t.Errorf("the endpoint that is back answered %v%% of the requests, want more", b)
			}
		})
	}
}
