package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// answer is what the admin API says of a change of one policy, or why there is none.
type answer struct {
	Name, Digest, Previous, Source, Step, Detail string
	Unchanged                                    bool
}

// send asks the admin API for a change.
func (w *weirProcess) send(method, path string, body []byte) (status int, a answer) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.admin+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		w.t.Fatalf("%s %s: status %d: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, a
}

// policyStatus is what the tests want of GET /api/v1/policies/NAME.
type policyStatus struct {
	Digest, Source, State string
	FileDigest            string `json:"file_digest"`
	Previous              struct{ Digest, Source string }
	Guest                 map[string]int64
	Unheard               int64 `json:"outcomes_unheard"`
	Events                []struct{ Kind, Digest, Detail string }
}

func (w *weirProcess) policy(name string) (p policyStatus) {
	w.t.Helper()
	if err := getJSON("http://"+w.admin+"/api/v1/policies/"+name, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func readModule(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digestOf(module []byte) string {
	sum := sha256.Sum256(module)
	return hex.EncodeToString(sum[:])
}

// counting are the two versions of testdata/counting.wat.
func counting(t *testing.T) (modules [2][]byte) {
	for i := range modules {
		modules[i] = readModule(t, fmt.Sprintf("testdata/counting-%d.wasm", i+1))
	}
	return modules
}

// withFile is a fleet whose policy `plugin` is a file beside the configuration, with more keys.
func withFile(name, keys string, es ...*endpointProcess) string {
	return strings.Replace(fleet("plugin", es...), "policies:\n", fmt.Sprintf("policies:\n  plugin: {wasm: %q%s}\n", name, keys), 1)
}

// TestHotSwapsLoseNothing puts 1,000 versions of a policy under load. No request fails; what the guest counts, in memory
// that is saved and restored and in counters that versions share, is what it answered; nothing is left behind.
func TestHotSwapsLoseNothing(t *testing.T) {
	modules := counting(t)
	module, err := filepath.Abs("testdata/counting-1.wasm")
	if err != nil {
		t.Fatal(err)
	}
	w := startWeir(t, withFile(module, "", startEndpoint(t, "a"), startEndpoint(t, "b")))
	tr := startTraffic(t, 16, func(ctx context.Context, c *http.Client, _ int64) error {
		return get(ctx, c, "http://"+w.http+"/")
	})
	swap := func(i int) {
		if status, a := w.send("PUT", "policies/plugin", modules[i%2]); status != http.StatusOK || a.Unchanged {
			t.Fatalf("swap %d: status %d, %+v", i, status, a)
		}
	}
	const swaps, warm = 1000, 50
	for i := range warm {
		swap(i + 1) // fills pools and caches
	}
	goroutines, heap, resident := w.metric("go_goroutines"), w.metric("go_memstats_heap_inuse_bytes"), w.metric("process_resident_memory_bytes")
	start, before := time.Now(), tr.requests.Load()
	for i := range swaps - warm {
		swap(i + 1)
	}
	took := time.Since(start)
	t.Logf("%d swaps in %v, at %.0f requests a second", swaps-warm, took, float64(tr.requests.Load()-before)/took.Seconds())
	tr.wantNoFailure(t)

	answered := func() float64 { return w.metric("weir_policy_picks_total", `policy="plugin"`, `result="ok"`) }
	gatewaytest.Eventually(t, "the guest has counted what it answered", func() bool { // the last requests end with their clients
		return float64(w.policy("plugin").Guest["picks"]) == answered()
	})
	if g := w.policy("plugin").Guest; g["lost"] != 0 {
		t.Errorf("the guest lost count %d times", g["lost"])
	}
	// Requests that began before a swap are the fallback's, and the guest hears how they ended all the same.
	gatewaytest.Eventually(t, "each outcome is heard once, or counted as not", func() bool {
		p := w.policy("plugin")
		return float64(p.Guest["heard"]+p.Unheard) == w.metric("weir_attempts_total")
	})
	p := w.policy("plugin")
	t.Logf("%d picks of the guest, %d outcomes heard, %d not", p.Guest["picks"], p.Guest["heard"], p.Unheard)
	if p.Unheard > p.Guest["picks"]/100 {
		t.Errorf("%d of %d outcomes were not heard, want hardly any", p.Unheard, p.Guest["heard"])
	}
	if all := float64(tr.requests.Load()); answered() < all*0.9 {
		t.Errorf("the guest answered %v of %v requests, want nearly all", answered(), all)
	}
	gatewaytest.Eventually(t, "goroutines are back where they were", func() bool { return w.metric("go_goroutines") <= goroutines+8 })
	gatewaytest.Eventually(t, "the heap is back where it was", func() bool { return w.metric("go_memstats_heap_inuse_bytes") <= heap+16<<20 })
	if now := w.metric("process_resident_memory_bytes"); now > resident+64<<20 {
		t.Errorf("%v bytes are resident, %v were", now, resident)
	}
	if n := w.metric("weir_policy_events_total", `policy="plugin"`, `kind="swapped"`); n != swaps {
		t.Errorf("%v events of kind swapped, want %d", n, swaps)
	}
}

// TestPut holds what PUT and rollback answer, and what serves then.
func TestPut(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	replaceFile(t, path, modules[0])
	w := startWeir(t, withFile(path, "", startEndpoint(t, "a")))
	serves := func(module []byte, source string) {
		t.Helper()
		if p := w.policy("plugin"); p.Digest != digestOf(module) || p.Source != source || p.State != "serving" {
			t.Errorf("%+v, want %.12s of %s", p, digestOf(module), source)
		}
		if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
			t.Error(err)
		}
	}
	if status, _ := w.send("POST", "policies/plugin/rollback", nil); status != http.StatusConflict {
		t.Errorf("rollback of the first version: status %d, want 409", status)
	}
	if status, a := w.send("PUT", "policies/plugin", modules[1]); status != http.StatusOK || a.Digest != digestOf(modules[1]) || a.Previous != digestOf(modules[0]) {
		t.Errorf("a good module: status %d, %+v", status, a)
	}
	serves(modules[1], "api")
	if status, a := w.send("PUT", "policies/plugin", modules[1]); status != http.StatusOK || !a.Unchanged {
		t.Errorf("the same again: status %d, %+v", status, a)
	}
	for name, tc := range map[string]struct {
		body         []byte
		status       int
		step, detail string
	}{
		"nothing":                          {nil, 422, "parse", ""},
		"junk":                             {[]byte("junk that is no module"), 422, "parse", ""},
		"half_a_module":                    {modules[0][:len(modules[0])/2], 422, "parse", ""},
		"a_component":                      {[]byte("\x00asm\x0d\x00\x01\x00"), 422, "vet", "component"},
		"a_module_without_its_exports":     {[]byte("\x00asm\x01\x00\x00\x00"), 422, "exports", "lb_"},
		"a_module_of_Go_not_said_to_be_so": {readModule(t, examples+"llm-prefix/llm-prefix.wasm"), 422, "vet", "large: true"},
		"more_than_8_MiB":                  {make([]byte, 8<<20+1), 413, "", "8388608"},
	} {
		status, a := w.send("PUT", "policies/plugin", tc.body)
		if status != tc.status || a.Step != tc.step || !strings.Contains(a.Detail, tc.detail) {
			t.Errorf("%s: status %d, %+v, want %d at step %q", name, status, a, tc.status, tc.step)
		}
		serves(modules[1], "api")
	}
	for range 2 { // there and back again
		if status, a := w.send("POST", "policies/plugin/rollback", nil); status != http.StatusOK || a.Digest != digestOf(modules[0]) {
			t.Errorf("rollback: status %d, %+v", status, a)
		}
		serves(modules[0], "file")
		if status, a := w.send("POST", "policies/plugin/rollback", nil); status != http.StatusOK || a.Digest != digestOf(modules[1]) {
			t.Errorf("rollback of the rollback: status %d, %+v", status, a)
		}
		serves(modules[1], "api")
	}
	for _, path := range []string{"policies/none", "policies/p2c"} {
		if status, _ := w.send("PUT", path, modules[0]); status != http.StatusNotFound {
			t.Errorf("PUT %s: status %d, want 404", path, status)
		}
	}
	kinds := map[string]bool{}
	for _, e := range w.policy("plugin").Events {
		kinds[e.Kind] = true
	}
	for _, k := range []string{"loaded", "swapped", "refused", "rolled-back"} {
		if !kinds[k] {
			t.Errorf("no event of kind %s", k)
		}
	}
	t.Run("a_reload_keeps_it", func(t *testing.T) {
		text, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		w.reload(string(text))
		serves(modules[1], "api")
	})
	t.Run("the_file_wins_when_it_changes", func(t *testing.T) {
		third := append(bytes.Clone(modules[0]), "\x00\x02\x01x"...) // a custom section
		replaceFile(t, path, third)
		gatewaytest.Eventually(t, "the file is taken", func() bool { return w.policy("plugin").Digest == digestOf(third) })
		serves(third, "file")
	})
}

// TestPinHoldsForPutToo refuses what is not the module that the configuration names.
func TestPinHoldsForPutToo(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	replaceFile(t, path, modules[0])
	w := startWeir(t, withFile(path, ", sha256: "+digestOf(modules[0]), startEndpoint(t, "a")))
	status, a := w.send("PUT", "policies/plugin", modules[1])
	if status != http.StatusUnprocessableEntity || a.Step != "size" || !strings.Contains(a.Detail, digestOf(modules[0])) {
		t.Errorf("status %d, %+v, want 422 with the digest that is pinned", status, a)
	}
	replaceFile(t, path, modules[1])
	gatewaytest.Eventually(t, "the file is refused", func() bool { return w.metric("weir_policy_events_total", `kind="refused"`) == 2 })
	p := w.policy("plugin")
	if p.Digest != digestOf(modules[0]) {
		t.Errorf("%+v serves", p)
	}
	for _, e := range p.Events[1:] { // the first is that it was loaded
		if e.Kind != "refused" || e.Digest != digestOf(modules[1]) || !strings.HasPrefix(e.Detail, "size: ") {
			t.Errorf("event %+v, want one that names digest and step", e)
		}
	}
}

// replaceFile puts a file in place by rename.
func replaceFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
