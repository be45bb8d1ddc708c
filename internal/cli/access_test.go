package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// accessLines reads all lines of files whose names begin with name.
func accessLines(t *testing.T, name string) (lines []map[string]any) {
	t.Helper()
	files, err := filepath.Glob(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			m := map[string]any{}
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatalf("%s: %q: %v", f, line, err)
			}
			lines = append(lines, m)
		}
	}
	return lines
}

// TestAccessLogHasEachRequestOnce sends numbered requests over HTTP/1 and 2 to endpoints of which one fails, moves the file
// and sends SIGHUP again and again, the odd time with a configuration that is refused, and finds each number once.
func TestAccessLogHasEachRequestOnce(t *testing.T) {
	good, bad := startEndpoint(t, "good"), startEndpoint(t, "bad")
	config := fleet("p2c-wasm", good, bad) + "http: {h2c: true}\nlog: {access: json, access_file: access.log}\n"
	config = strings.Replace(config, "consecutive: 3", "consecutive: 0", 1)
	w := startWeir(t, config)
	name := filepath.Join(filepath.Dir(w.config), "access.log")
	bad.answer(http.StatusServiceUnavailable)
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	tr := startTraffic(t, 8, func(ctx context.Context, c *http.Client, n int64) error {
		if n%2 == 0 {
			c = &http.Client{Transport: h2}
		}
		return get(context.WithoutCancel(ctx), c, fmt.Sprintf("http://%s/%d", w.http, n))
	})
	const moves = 20
	for i := range moves {
		tr.during(t, 200)
		if err := os.Rename(name, fmt.Sprint(name, ".", i)); err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 {
			w.write("nonsense")
		} else {
			w.write(config)
		}
		_ = w.cmd.Process.Signal(syscall.SIGHUP)
		gatewaytest.Eventually(t, "there is a new file", func() bool { _, err := os.Stat(name); return err == nil })
	}
	tr.wantNoFailure(t)
	w.end()
	seen, retried, protocols := map[string]int{}, 0, map[any]int{}
	for _, l := range accessLines(t, name) {
		seen[l["path"].(string)]++
		protocols[l["protocol"]]++
		if l["status"] != 200.0 || l["endpoint"] != "good" {
			t.Errorf("%v", l)
		}
		if l["attempts"] != 1.0 {
			retried++
		}
	}
	for n := range tr.requests.Load() {
		if path := fmt.Sprint("/", n+1); seen[path] != 1 {
			t.Errorf("%s has %d lines, want 1", path, seen[path])
		}
	}
	if len(seen) != int(tr.requests.Load()) || retried == 0 || protocols["HTTP/1.1"] == 0 || protocols["HTTP/2"] == 0 {
		t.Errorf("%d paths of %d requests, %d of them retried, protocols %v", len(seen), tr.requests.Load(), retried, protocols)
	}
}

// TestAccessLogThatCannotBeWrittenCostsNoRequest has lines go to a full disk, to a reader that is gone, and to one that
// does not read.
func TestAccessLogThatCannotBeWrittenCostsNoRequest(t *testing.T) {
	e := startEndpoint(t, "a")
	send := func(t *testing.T, w *weirProcess, n int) {
		t.Helper()
		for range n {
			if err := get(t.Context(), http.DefaultClient, "http://"+w.http+"/"); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("full", func(t *testing.T) {
		full := fleet("p2c-wasm", e) + "log: {access: json, access_file: /dev/full}\n"
		w := startWeir(t, full)
		send(t, w, 10)
		gatewaytest.Eventually(t, "the lines count as failed", func() bool { return w.metric("weir_access_log_dropped_total", `reason="failed"`) == 10 })
		if log := w.log.String(); strings.Count(log, "lines are dropped") != 1 || !strings.Contains(log, "no space left") {
			t.Errorf("the log says %s", log)
		}
		w.write(strings.Replace(full, "/dev/full", "access.log", 1))
		_ = w.cmd.Process.Signal(syscall.SIGHUP)
		gatewaytest.Eventually(t, "it is reloaded", func() bool { return w.metric("weir_reloads_total", `result="ok"`) == 1 })
		send(t, w, 5)
		gatewaytest.Eventually(t, "lines are written again", func() bool { return strings.Contains(w.log.String(), "lines are written again") })
		w.end()
		if n := len(accessLines(t, filepath.Join(filepath.Dir(w.config), "access.log"))); n != 5 {
			t.Errorf("%d lines, want 5", n)
		}
	})
	t.Run("standard output", func(t *testing.T) {
		r, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		w := startWeirTo(t, out, fleet("p2c-wasm", e)+"log: {access: json}\n")
		out.Close()
		send(t, w, 3)
		lines := bufio.NewReader(r)
		for range 3 {
			line, err := lines.ReadBytes('\n')
			if err != nil || !json.Valid(line) {
				t.Fatalf("%q, %v", line, err)
			}
		}
		r.Close() // from now on a write is a SIGPIPE
		send(t, w, 3)
		gatewaytest.Eventually(t, "the lines count as failed", func() bool { return w.metric("weir_access_log_dropped_total", `reason="failed"`) == 3 })
		send(t, w, 3)
		w.end()
	})
	t.Run("nobody reads", func(t *testing.T) {
		r, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		w := startWeirTo(t, out, fleet("p2c-wasm", e)+"log: {access: json}\n")
		out.Close()
		long := "http://" + w.http + "/" + strings.Repeat("%20", 340)
		gatewaytest.Eventually(t, "lines are dropped", func() bool {
			for range 500 {
				if err := get(t.Context(), http.DefaultClient, long); err != nil {
					t.Fatal(err)
				}
			}
			return w.metric("weir_access_log_dropped_total", `reason="behind"`) > 0
		})
		w.end() // within its time, although a write is under way
		if !strings.Contains(w.log.String(), "the last lines of the access log are not written") {
			t.Error("the log does not say that lines are lost")
		}
	})
}

// TestAccessLogEndsWithItsConfiguration turns it off and on again by reload.
func TestAccessLogEndsWithItsConfiguration(t *testing.T) {
	e := startEndpoint(t, "a")
	off := fleet("p2c-wasm", e)
	on := off + "log: {access: json, access_file: access.log}\n"
	w := startWeir(t, on)
	reload := func(config string) {
		t.Helper()
		before := w.metric("weir_reloads_total", `result="ok"`)
		w.write(config)
		_ = w.cmd.Process.Signal(syscall.SIGHUP)
		gatewaytest.Eventually(t, "it is reloaded", func() bool { return w.metric("weir_reloads_total", `result="ok"`) > before })
	}
	send := func(path string) {
		t.Helper()
		resp, err := http.Get("http://" + w.http + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	send("/on")
	reload(off)
	send("/off")
	reload(strings.Replace(on, "access: json,", "access: json, access_query: true,", 1))
	send("/again?q=1")
	refused := w.metric("weir_reloads_total", `result="refused"`)
	w.write(strings.Replace(on, "access_file: access.log", "access_file: plugins/p2c", 1)) // a folder
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	gatewaytest.Eventually(t, "a folder is refused", func() bool { return w.metric("weir_reloads_total", `result="refused"`) > refused })
	w.end()
	lines := accessLines(t, filepath.Join(filepath.Dir(w.config), "access.log"))
	if len(lines) != 2 || lines[0]["path"] != "/on" || lines[1]["path"] != "/again" || lines[1]["query"] != "q=1" {
		t.Errorf("%v", lines)
	}
	if !strings.Contains(w.log.String(), "log.access_file: got a folder, want a file") {
		t.Errorf("the log says %s", w.log)
	}
}
