package clients

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var slowOutput = flag.String("slow", "", "file that gets what slow clients cost a normal one; there are 2,000 of each kind then, else 500")

// slowClients are the three kinds that slowhttptest knows: each does one thing without end, a few bytes at a time.
var slowClients = map[string]func(c net.Conn, tick <-chan time.Time, over <-chan struct{}) error{
	"headers (slowloris)": func(c net.Conn, tick <-chan time.Time, over <-chan struct{}) error {
		return drip(c, "GET / HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n", tick, over)
	},
	"body (R-U-Dead-Yet)": func(c net.Conn, tick <-chan time.Time, over <-chan struct{}) error {
		return drip(c, "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", "ab", tick, over)
	},
	"read": func(c net.Conn, tick <-chan time.Time, over <-chan struct{}) error {
		if _, err := io.WriteString(c, "GET /without-end HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return err
		}
		for {
			select {
			case <-over:
				return nil
			case <-tick:
				if _, err := c.Read(make([]byte, 32)); err != nil {
					return err
				}
			}
		}
	},
}

// narrow makes connections that take little at a time.
var narrow = net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
}}

// drip sends begin, and then piece by piece.
func drip(c net.Conn, begin, piece string, tick <-chan time.Time, over <-chan struct{}) error {
	for text := begin; ; text = piece {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		select {
		case <-over:
			return nil
		case <-tick:
		}
	}
}

// TestSlowClientsHoldNobodyUp: a normal client gets all its answers while slow ones hold connections, and what those cost in
// memory is bounded.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	const most = 128 << 10 // bytes for each, the kernel's buffers aside
	n, lasts := 500, time.Second
	if *slowOutput != "" {
		n, lasts = 2000, 10*time.Second
	}
	var poured atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, Hello) })
	mux.HandleFunc("/upload", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("/without-end", func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 4<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
			poured.Add(1)
		}
	})
	e := httptest.NewServer(mux)
	t.Cleanup(e.Close)
	g, err := StartGateway(t.Context(), weirProgram, t.TempDir(), fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners: [{name: plain, address: "127.0.0.1:0"}]
wasm: {cache_dir: ""}
clusters: {web: {endpoints: [{address: %q}], limits: {connections: 10000}}}
routes: [{cluster: web}]
`, e.Listener.Addr()))
	must(t, err)
	t.Cleanup(g.Kill)
	report := []string{
		"2,000 slow clients and a normal one, benchmarks/clients. Made by `make slow-clients`.",
		fmt.Sprintf("%s, %d CPUs; slow ones send or read a few bytes a second for %v; the normal one asks one GET after the other.", runtime.Version(), runtime.NumCPU(), lasts),
		"", "slow in               cut off  GETs  failed       p50       p99       max   resident each",
	}
	for _, kind := range append([]string{"nothing"}, slices.Sorted(func(yield func(string) bool) {
		for k := range slowClients {
			if !yield(k) {
				return
			}
		}
	})...) {
		t.Run(kind, func(t *testing.T) {
			before, err := g.Memory()
			must(t, err)
			over := make(chan struct{})
			var all sync.WaitGroup
			var mu sync.Mutex
			cut := 0
			if act := slowClients[kind]; act != nil {
				for range n {
					c, err := narrow.Dial("tcp", g.Addresses["plain"])
					must(t, err)
					all.Go(func() {
						defer c.Close()
						tick := time.NewTicker(time.Second)
						defer tick.Stop()
						_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
						if act(c, tick.C, over) != nil {
							mu.Lock()
							cut++
							mu.Unlock()
						}
					})
				}
			}
			for last := int64(-1); poured.Load() > last+100; { // until the kernel's buffers are full
				last = poured.Load()
				time.Sleep(200 * time.Millisecond)
			}
			var took []time.Duration
			failed := 0
			for began := time.Now(); time.Since(began) < lasts; {
				begin := time.Now()
				r, err := http.Get("http://" + g.Addresses["plain"] + "/hello")
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				}
				if err != nil || r.StatusCode != http.StatusOK {
					failed++
				}
				took = append(took, time.Since(begin))
			}
			after, err := g.Memory()
			must(t, err)
			close(over)
			all.Wait()
			slices.Sort(took)
			each := (after.Resident - before.Resident) / int64(n)
			line := fmt.Sprintf("%-20s %8d %5d %7d %9v %9v %9v %10d KiB", kind, cut, len(took), failed,
				took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond), each>>10)
			report = append(report, line)
			t.Log(line)
			if failed > 0 || len(took) < 20 {
				t.Errorf("%d of %d requests of a normal client failed", failed, len(took))
			}
			if each > most {
				t.Errorf("a slow client holds %d bytes, want %d at most", each, most)
			}
		})
	}
	if *slowOutput != "" {
		must(t, os.WriteFile(*slowOutput, []byte(strings.Join(report, "\n")+"\n"), 0o644))
	}
}
