package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream reads /api/v1/events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	end   context.CancelFunc
}

func (g *Gateway) stream(t *testing.T) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.AdminAddress()+"/api/v1/events", http.NoBody)
	must(t, err)
	resp, err := new(http.Transport).RoundTrip(req)
	must(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("status %d, content type %q", resp.StatusCode, got)
	}
	return &stream{t, bufio.NewScanner(resp.Body), cancel}
}

// next returns the next event, false at the end of the stream.
func (s *stream) next() (e Event, ok bool) {
	for s.lines.Scan() {
		if data, found := strings.CutPrefix(s.lines.Text(), "data: "); found {
			must(s.t, json.Unmarshal([]byte(data), &e))
			return e, true
		}
	}
	return e, false
}

func TestEventsAreStreamed(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: ""}`)
	s := g.stream(t)
	_, err := g.Put(t.Context(), "plugin", modules[1])
	must(t, err)
	if _, err := g.Put(t.Context(), "plugin", []byte("junk")); err == nil {
		t.Fatal("junk is taken")
	}
	_, err = g.Rollback(t.Context(), "plugin")
	must(t, err)
	var got []string
	for len(got) < 3 {
		e, ok := s.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		if e.Policy != "plugin" || e.ID == 0 || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		if e.Kind == kindSwapped || e.Kind == kindRefused || e.Kind == kindRolledBack {
			got = append(got, e.Kind)
		}
	}
	if fmt.Sprint(got) != "[swapped refused rolled-back]" {
		t.Errorf("events %v", got)
	}
	if code, body := ask(t, g, "POST", "/api/v1/clusters/web/endpoints/a/eject"); code != http.StatusNoContent {
		t.Fatal(code, body)
	}
	if e, ok := s.next(); !ok || e.Kind != kindEndpoint || e.Cluster != "web" || e.Endpoint != "a" || !strings.HasPrefix(e.Detail, "up -> down, ") {
		t.Errorf("an endpoint that is ejected: %+v", e)
	}
	must(t, g.Shutdown(t.Context()))
	if e, ok := s.next(); !ok || e.Kind != kindDraining {
		t.Errorf("at the end %+v", e)
	}
	if e, ok := s.next(); ok || s.lines.Err() != nil {
		t.Errorf("after the end %+v, %v", e, s.lines.Err())
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Run("the_last_of_each_policy_are_kept", func(t *testing.T) {
		e := newEvents()
		for i := range 100 {
			e.add(Event{Policy: "a", Kind: "x", Detail: fmt.Sprint(i)})
		}
		e.add(Event{Policy: "b", Kind: "x"})
		kept := e.of("a")
		if len(kept) != keptEvents || kept[0].Detail != "68" || kept[keptEvents-1].Detail != "99" || len(e.of("b")) != 1 {
			t.Errorf("%d kept, from %+v", len(kept), kept[0])
		}
		e.forget(func(name string) bool { return name == "b" })
		if counts, _ := e.tally(); len(e.of("a")) != 0 || len(counts) != 1 {
			t.Errorf("%v is kept of a policy that is gone: %v", e.of("a"), counts)
		}
	})
	t.Run("who_does_not_read_misses_them_and_is_told", func(t *testing.T) {
		e := newEvents()
		slow, fast := e.subscribe(), e.subscribe()
		for i := range subscriberRoom + 10 {
			e.add(Event{Kind: fmt.Sprint(i)})
			<-fast.ch
		}
		if n := e.takeMissed(slow); n != 10 {
			t.Errorf("%d missed, want 10", n)
		}
		if _, dropped := e.tally(); dropped != 10 || e.takeMissed(slow) != 0 || e.takeMissed(fast) != 0 {
			t.Errorf("%d dropped in all, want 10", dropped)
		}
	})
	t.Run("so_are_readers", func(t *testing.T) {
		e := newEvents()
		var all []*subscriber
		for range maxSubscribers {
			all = append(all, e.subscribe())
		}
		if e.subscribe() != nil {
			t.Error("one more is admitted")
		}
		e.leave(all[0])
		if e.subscribe() == nil {
			t.Error("none is admitted in the place of one that left")
		}
		e.close()
		if _, open := <-all[1].ch; open || e.subscribe() != nil {
			t.Error("it goes on after the end")
		}
	})
}

// TestPanicIsSeenEverywhere takes one of two endpoints out of a cluster that wants 60 %, and puts it back.
func TestPanicIsSeenEverywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, counting(t)[0])
	g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: ""}`)
	file, err := os.ReadFile(g.options.Path)
	must(t, err)
	write(t, g.options.Path, bytes.Replace(file, []byte("policy: plugin"), []byte("policy: plugin, panic: 60%"), 1))
	must(t, g.Reload())
	s := g.stream(t)
	for _, step := range []struct {
		action, detail, metric string
		panics                 bool
	}{
		{"eject", "health is ignored, 1 of 2 endpoints are up", "weir_cluster_panic{cluster=\"web\"} 1", true},
		{"readmit", "over, 2 of 2 endpoints are up", "weir_cluster_panic{cluster=\"web\"} 0", false},
	} {
		if code, body := ask(t, g, "POST", "/api/v1/clusters/web/endpoints/a/"+step.action); code != http.StatusNoContent {
			t.Fatal(code, body)
		}
		s.next() // the endpoint's own
		if e, ok := s.next(); !ok || e.Kind != kindPanic || e.Cluster != "web" || e.Detail != step.detail {
			t.Errorf("%s: event %+v, want %q", step.action, e, step.detail)
		}
		if r := g.Ready(); r.Clusters[0].Panic != step.panics || (r.Status == "degraded") != step.panics {
			t.Errorf("%s: %+v", step.action, r)
		}
		if _, body := ask(t, g, "GET", "/metrics"); !strings.Contains(body, step.metric) {
			t.Errorf("%s: metrics lack %s", step.action, step.metric)
		}
		if got := g.Clusters()[0].Panic; got != step.panics {
			t.Errorf("%s: the API says %t", step.action, got)
		}
	}
}
