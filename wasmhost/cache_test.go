package wasmhost_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-lb/weir/wasmhost"
)

// TestDamagedNativeCodeIsMadeAgain damages what the cache keeps in the ways that files are damaged.
func TestDamagedNativeCodeIsMadeAgain(t *testing.T) {
	wasm, err := os.ReadFile("testdata/actor.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"emptied": func([]byte) []byte { return nil },
		"halved":  func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b },
		"junk":    func([]byte) []byte { return []byte("no native code at all") },
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "native")
			load := func() {
				t.Helper()
				h, err := wasmhost.NewHost(wasmhost.HostOptions{CacheDir: folder, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer h.Close()
				m, err := h.Load(t.Context(), wasm, wasmhost.Options{Name: "actor"})
				if err != nil {
					t.Fatal(err)
				}
				_ = m.Close()
			}
			load()
			files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %d files of native code, want 1", err, len(files))
			}
			good, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files[0], damage(append([]byte(nil), good...)), 0o600); err != nil {
				t.Fatal(err)
			}
			load()
			if again, err := os.ReadFile(files[0]); err != nil || len(again) != len(good) {
				t.Errorf("%v, %d bytes of native code, want the %d that were", err, len(again), len(good))
			}
		})
	}
}

// TestACacheThatCannotBeWrittenIsDoneWithout takes the folder away while the host runs.
func TestACacheThatCannotBeWrittenIsDoneWithout(t *testing.T) {
	wasm, err := os.ReadFile("testdata/actor.wasm")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "native")
	h, err := wasmhost.NewHost(wasmhost.HostOptions{CacheDir: folder, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := h.Load(t.Context(), wasm, wasmhost.Options{Name: "actor"})
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Close()
	}
}
