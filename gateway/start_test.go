package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// eager is a log that asks for a reload as soon as the first policy is loaded, which is before Start returns.
type eager struct {
	slog.Handler
	address atomic.Value // of the admin API
	asked   atomic.Bool
	got     chan error
}

func (*eager) Enabled(context.Context, slog.Level) bool { return true }

func (h *eager) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "listening":
		fields := map[string]string{}
		r.Attrs(func(a slog.Attr) bool { fields[a.Key] = a.Value.String(); return true })
		if fields["name"] == "admin" {
			h.address.Store(fields["address"])
		}
	case "policy loaded":
		if h.asked.Swap(true) {
			return nil
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			h.got <- h.reload()
		}()
		select {
		case <-answered:
		case <-time.After(300 * time.Millisecond): // it waits for Start
		}
	}
	return nil
}

func (h *eager) reload() error {
	resp, err := http.Post(fmt.Sprintf("http://%v/api/v1/reload", h.address.Load()), "", http.NoBody)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, want 200", resp.StatusCode)
	}
	return nil
}

func TestReloadWaitsForTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plugin.wasm"), counting(t)[0])
	config := filepath.Join(dir, "weir.yaml")
	must(t, os.WriteFile(config, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0}]
policies: {plugin: {wasm: plugin.wasm}}
clusters: {web: {endpoints: [{name: a, address: "127.0.0.1:1"}], policy: plugin}}
routes: [{path: /, cluster: web}]
`), 0o600))
	h := &eager{Handler: slog.DiscardHandler, got: make(chan error, 1)}
	g, err := Start(Options{Path: config, Log: slog.New(h)})
	must(t, err)
	defer func() { _ = g.Shutdown(t.Context()) }()
	select {
	case err := <-h.got:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
	}
}
