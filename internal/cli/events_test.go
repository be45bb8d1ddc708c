package cli

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestWhatHappensToAGuestIsTold lets a guest trap, and looks for that in the API, the metrics, the log and readiness. A
// good version heals what a bad one brought about.
func TestWhatHappensToAGuestIsTold(t *testing.T) {
	module, err := filepath.Abs("testdata/hostile.wasm")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(fleet("hostile", startEndpoint(t, "a"), startEndpoint(t, "b")), "policies:\n",
		fmt.Sprintf("policies:\n  hostile: {wasm: %q, config: {part: t}}\n", module), 1)
	w := startWeir(t, config)
	tr := startTraffic(t, 4, func(ctx context.Context, c *http.Client, _ int64) error {
		return get(ctx, c, "http://"+w.http+"/")
	})
	for _, kind := range []string{"failed", "recreated", "quarantined", "trial"} {
		gatewaytest.Eventually(t, "an event of kind "+kind, func() bool {
			return w.metric("weir_policy_events_total", `policy="hostile"`, `kind="`+kind+`"`) > 0
		})
	}
	told := map[string]string{}
	for _, e := range w.policy("hostile").Events {
		told[e.Kind] = e.Detail
	}
	if !strings.Contains(told["failed"], "unreachable") || told["quarantined"] == "" {
		t.Errorf("the API tells %q, want how it failed, and for how long it is in quarantine", told)
	}
	if !strings.Contains(w.log.String(), "quarantine") {
		t.Error("the log says nothing of the quarantine")
	}
	var ready struct {
		Status   string
		Policies []string `json:"policies_not_serving"`
	}
	if err := getJSON("http://"+w.admin+"/readyz", &ready); err != nil || ready.Status != "degraded" || len(ready.Policies) != 1 {
		t.Errorf("readyz says %+v, %v, want degraded by hostile", ready, err)
	}
	if status, a := w.send("PUT", "policies/hostile", counting(t)[0]); status != http.StatusOK {
		t.Fatalf("a good module: status %d, %+v", status, a)
	}
	gatewaytest.Eventually(t, "the good one serves", func() bool { return w.policy("hostile").State == "serving" })
	tr.during(t, 200)
	if p := w.policy("hostile"); p.Guest["picks"] < 100 {
		t.Errorf("the good one picked %d times: it is in the quarantine of the bad one", p.Guest["picks"])
	}
	tr.wantNoFailure(t)
}
