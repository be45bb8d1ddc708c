// Package plugintest loads example policies for tests, holds that it is the guest that decides, not its fallback, and sends
// traffic in virtual time.
package plugintest

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/examples/plugins"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// Load loads the committed module of a policy with a configuration, "" for none. An error is the host's refusal.
func Load(t testing.TB, name, config string) (*wasmhost.Module, error) {
	t.Helper()
	return load(t, name, wasmhost.Options{Config: []byte(config)})
}

// cache is where native code stays between tests, for Go's modules take a second to compile; "" if the user has no such place.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "weir", "plugintest")
}

func load(t testing.TB, name string, o wasmhost.Options) (*wasmhost.Module, error) {
	t.Helper()
	wasm, err := plugins.Files.ReadFile(name + "/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler), CacheDir: cache()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Name, o.Large = name, len(wasm) > 1<<20 // Go's runtime
	m, err := host.Load(t.Context(), wasm, o)
	if err == nil {
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return m, err
}

// Policy is a policy of a module that serves nothing yet. When the test ends, no call of the guest may have failed, and
// the fallback may have found an endpoint only where the guest could not be asked: while it took a table, and for a
// request with an older table.
func Policy(t testing.TB, name, config string) *wasmhost.Policy {
	t.Helper()
	return policy(t, name, wasmhost.Options{Config: []byte(config)})
}

// Timed is Policy with a clock of the test, which calls Advance: nothing happens between calls.
func Timed(t testing.TB, name, config string, now func() int64) *wasmhost.Policy {
	t.Helper()
	return policy(t, name, wasmhost.Options{Config: []byte(config), Manual: true, Now: now})
}

func policy(t testing.TB, name string, o wasmhost.Options) *wasmhost.Policy {
	t.Helper()
	m, err := load(t, name, o)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{Policy: policies.P2C{}}
	p := m.NewPolicy("test", w, &policies.NextEndpoint{})
	t.Cleanup(func() {
		s := p.Stats()
		for f, n := range s.Failures {
			if n != 0 {
				t.Errorf("the guest of %s failed %d times by %v: %s", name, n, wasmhost.Failure(f), s.LastFailure)
			}
		}
		if n := s.Picks[wasmhost.Stale]; n != 0 {
			t.Errorf("%s named an endpoint that is down or was tried %d times", name, n)
		}
		unasked := s.Picks[wasmhost.Busy] + s.Picks[wasmhost.Outdated]
		if got := w.found.Load(); got > unasked {
			t.Errorf("the fallback of %s found an endpoint %d times, want at most %d: the guest deferred with some left", name, got, unasked)
		}
		if s.Picks[wasmhost.Chosen]+s.Picks[wasmhost.Listed]+s.Picks[wasmhost.Deferred]+unasked == 0 {
			t.Errorf("%s was never asked", name)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Picker is what p builds of a table.
func Picker(t testing.TB, p policies.Policy, table *policies.Table) policies.Picker {
	t.Helper()
	pk, err := p.Build(table)
	if err != nil {
		t.Fatal(err)
	}
	return pk
}

// witness is a fallback that counts how often it finds an endpoint.
type witness struct {
	policies.Policy
	found atomic.Uint64
}

func (w *witness) Build(t *policies.Table) (policies.Picker, error) {
	p, err := w.Policy.Build(t)
	return &witnessPicker{p, w}, err
}

type witnessPicker struct {
	policies.Picker
	witness *witness
}

func (p *witnessPicker) Pick(r *policies.Request, v *policies.View) int {
	i := p.Picker.Pick(r, v)
	if i != policies.None {
		p.witness.found.Add(1)
	}
	return i
}
