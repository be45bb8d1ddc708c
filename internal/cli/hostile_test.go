package cli

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHostileGuests lets a guest loop, recurse, trap and answer nonsense in the middle of traffic: every request is
// answered 200 by the native fallback, the process lives, and each failure is counted by its class.
func TestHostileGuests(t *testing.T) {
	module, err := filepath.Abs("testdata/hostile.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, part, class string }{
		{"endless_loop", "l", "fuel"}, {"endless_recursion", "r", "fuel"}, {"trap", "t", "trap"}, {"index_a_million", "i", "bad_index"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := strings.Replace(fleet("hostile", startEndpoint(t, "a"), startEndpoint(t, "b")), "policies:\n",
				fmt.Sprintf("policies:\n  hostile: {wasm: %q, config: {part: %s}}\n", module, tc.part), 1)
			w := startWeir(t, config)
			took := make([]time.Duration, 0, 1000)
			for range 1000 {
				start := time.Now()
				if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			t.Logf("p50 %v, p99 %v, worst %v", took[500], took[990], took[999])
			if n := w.metric("weir_policy_failures_total", `policy="hostile"`, `class="`+tc.class+`"`); n < 1 {
				t.Errorf("no failure of class %s was counted", tc.class)
			}
			if n := w.metric("weir_policy_picks_total", `policy="hostile"`, `result="ok"`); n < 64 {
				t.Errorf("%v good picks, want the first 64 at least", n)
			}
			if n := w.metric("weir_requests_total", `code="2xx"`); n != 1000 {
				t.Errorf("%v requests answered 2xx, want 1000", n)
			}
		})
	}
}
