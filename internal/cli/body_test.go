package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

const bigBody = 200 << 20

// resident returns the process's peak resident set in bytes since the last reset.
func (w *weirProcess) peakResident() int64 {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	w.t.Fatalf("no VmHWM in %s", status)
	return 0
}

// TestBodiesAreNotBufferedWhole sends 200 MiB each way, with a length and chunked, and looks at the peak of the
// gateway's resident memory.
func TestBodiesAreNotBufferedWhole(t *testing.T) {
	w := startWeir(t, fleet("p2c-wasm", startEndpoint(t, "a")))
	url := "http://" + w.http
	download := func(query string, n int64) {
		t.Helper()
		resp, err := http.Get(url + "/download?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.Copy(io.Discard, resp.Body); got != n || err != nil {
			t.Fatalf("downloaded %d bytes, %v; want %d", got, err, n)
		}
	}
	upload := func(length int64, n int64) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/upload", io.LimitReader(zeros{}, n))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if want := fmt.Sprintf("%d <nil>", n); string(body) != want {
			t.Fatalf("upload: status %d, endpoint says %q, want %q", resp.StatusCode, body, want)
		}
	}
	download("n=1048576", 1<<20)
	upload(1<<20, 1<<20)
	before := w.peakResident()
	download(fmt.Sprintf("n=%d", bigBody), bigBody)
	download(fmt.Sprintf("n=%d&chunked", bigBody), bigBody)
	upload(bigBody, bigBody)
	upload(-1, bigBody)
	if grown := w.peakResident() - before; grown > 32<<20 {
		t.Errorf("resident memory grew by %d MiB, want at most 32", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
