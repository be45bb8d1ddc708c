package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shadowStatus is what the tests want of the shadow of a policy.
type shadowStatus struct {
	Name, Digest, State string
	Picks, Agreed       uint64
	Agreement           float64
	FuelMean            float64 `json:"fuel_mean"`
	Failures            map[string]uint64
	Shares              []struct {
		Cluster, Endpoint string
		Active, Candidate uint64
	}
}

func (w *weirProcess) shadow(of string) shadowStatus {
	w.t.Helper()
	var p struct{ Shadow *shadowStatus }
	if err := getJSON("http://"+w.admin+"/api/v1/policies/"+of, &p); err != nil {
		w.t.Fatal(err)
	}
	if p.Shadow == nil {
		w.t.Fatalf("%s has no shadow", of)
	}
	return *p.Shadow
}

// TestShadow lets a candidate decide beside the policy that serves: it is compared, it may fail, it changes nothing, and
// in the end it is promoted, and that is undone.
func TestShadow(t *testing.T) {
	modules := counting(t)
	hostile := readModule(t, "testdata/hostile.wasm")
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	keys := fmt.Sprintf(", shadow: next}\n  next: {wasm: %q, config: {part: t}", filepath.Join(dir, "counting-2.wasm"))
	w := startWeir(t, withFile(filepath.Join(dir, "counting-1.wasm"), keys, startEndpoint(t, "a"), startEndpoint(t, "b")))
	requests := func(n int) {
		t.Helper()
		for range n {
			if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
				t.Fatal(err)
			}
		}
	}

	requests(200)
	s := w.shadow("plugin")
	if s.Name != "next" || s.Digest != digestOf(modules[1]) || s.State != "deciding" || s.Picks != 200 || s.Agreed != 200 || s.Agreement != 1 || s.FuelMean == 0 {
		t.Errorf("two that decide alike: %+v", s)
	}
	if len(s.Shares) != 2 || s.Shares[0].Active != 100 || s.Shares[0].Candidate != 100 || s.Shares[0].Cluster != "web" {
		t.Errorf("shares %+v, want 100 of each for each", s.Shares)
	}
	if n := w.metric("weir_policy_shadow_picks_total", `policy="plugin"`, `candidate="next"`, `agreed="true"`); n != 200 {
		t.Errorf("%v picks agreed by the metrics, want 200", n)
	}

	if status, a := w.send("PUT", "policies/next", hostile); status != http.StatusOK {
		t.Fatalf("another candidate: status %d, %+v", status, a)
	}
	requests(200)
	s = w.shadow("plugin")
	if s.Digest != digestOf(hostile) || s.Picks != 200 || s.Failures["trap"] == 0 {
		t.Errorf("a candidate that traps: %+v", s)
	}
	p := w.policy("plugin")
	if p.Digest != digestOf(modules[0]) || p.State != "serving" || p.Guest["picks"] != 400 || p.Guest["lost"] != 0 {
		t.Errorf("beside it serves %+v, want as if nothing had been", p)
	}
	var ready struct{ Status string }
	if err := getJSON("http://"+w.admin+"/readyz", &ready); err != nil || ready.Status != "ready" {
		t.Errorf("readyz says %q, %v, want ready: a shadow serves nobody", ready.Status, err)
	}

	if status, _ := w.send("POST", "policies/next/promote", nil); status != http.StatusConflict {
		t.Errorf("promotion without a shadow: status %d, want 409", status)
	}
	if status, a := w.send("PUT", "policies/next", modules[1]); status != http.StatusOK {
		t.Fatalf("the first candidate again: status %d, %+v", status, a)
	}
	status, a := w.send("POST", "policies/plugin/promote", nil)
	if status != http.StatusOK || a.Digest != digestOf(modules[1]) || a.Source != "promoted" || a.Previous != digestOf(modules[0]) {
		t.Fatalf("promotion: status %d, %+v", status, a)
	}
	requests(100)
	if p := w.policy("plugin"); p.Digest != digestOf(modules[1]) || p.Guest["picks"] != 500 || p.Guest["lost"] != 0 {
		t.Errorf("after the promotion %+v, want the count carried on", p)
	}
	if status, a := w.send("POST", "policies/plugin/rollback", nil); status != http.StatusOK || a.Digest != digestOf(modules[0]) {
		t.Errorf("rollback: status %d, %+v", status, a)
	}
	requests(100)
	if p := w.policy("plugin"); p.Digest != digestOf(modules[0]) || p.Guest["picks"] != 600 || p.Guest["lost"] != 0 {
		t.Errorf("after the rollback %+v", p)
	}
	t.Run("a_reload_without_it_ends_it", func(t *testing.T) {
		text, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		w.reload(strings.Replace(string(text), ", shadow: next", "", 1))
		requests(10)
		var p struct{ Shadow *shadowStatus }
		if err := getJSON("http://"+w.admin+"/api/v1/policies/plugin", &p); err != nil || p.Shadow != nil {
			t.Errorf("%v, %+v", err, p.Shadow)
		}
		if p := w.policy("plugin"); p.Guest["picks"] != 610 || p.Guest["lost"] != 0 {
			t.Errorf("%+v, want the guest kept", p)
		}
	})
}
