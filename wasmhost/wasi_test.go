package wasmhost_test

import (
	"bytes"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/wasmhost"
)

// TestWhatAGuestPrintsIsLoggedByLines has a guest print a panic in pieces, as runtimes do, and trap.
func TestWhatAGuestPrintsIsLoggedByLines(t *testing.T) {
	var log bytes.Buffer
	h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Load(t.Context(), guest(t, "writer"), wasmhost.Options{}); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("%v, want the trap that ends the first pick", err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`level=(\w+) msg=("[^"]*"|\S*)`).FindAllStringSubmatch(log.String(), -1) {
		got = append(got, m[1]+" "+strings.Trim(m[2], `"`))
	}
	want := []string{"INFO panic", "WARN panic: oh dear", "WARN goroutine 1 [running]:", "WARN main.pick()"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
