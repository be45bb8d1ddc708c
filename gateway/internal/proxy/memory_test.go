package proxy

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

const (
	bodySize  = 200 << 20
	memoryCap = 32 << 20
)

// peakHeap runs f and returns by how much what the process holds of the system's memory grew meanwhile.
func peakHeap(f func()) uint64 {
	held := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Sys - m.HeapReleased
	}
	debug.FreeOSMemory()
	before := held()
	var peak atomic.Uint64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak.Store(max(peak.Load(), held()))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	f()
	close(stop)
	wg.Wait()
	return max(peak.Load(), before) - before
}

func TestLargeBodiesStream(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("200 MiB down, chunked ", chunked), func(t *testing.T) {
			g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Pour(bodySize, chunked)))
			c := g.dial()
			grown := peakHeap(func() {
				c.Send(gatewaytest.Head("GET", "/"))
				r, err := c.Head("GET")
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r.Body); n != bodySize || err != nil {
					t.Errorf("got %d bytes, %v", n, err)
				}
			})
			if grown > memoryCap {
				t.Errorf("memory grew by %d MiB; want under %d", grown>>20, memoryCap>>20)
			}
		})
		t.Run(fmt.Sprint("200 MiB up, chunked ", chunked), func(t *testing.T) {
			g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Sink()))
			c := g.dial()
			block := make([]byte, 1<<20)
			grown := peakHeap(func() {
				if chunked {
					c.Send(gatewaytest.Head("PUT", "/", "Transfer-Encoding: chunked"))
				} else {
					c.Send(gatewaytest.Head("PUT", "/", fmt.Sprintf("Content-Length: %d", bodySize)))
				}
				for range bodySize / len(block) {
					if chunked {
						c.Send(fmt.Sprintf("%x\r\n", len(block)))
					}
					if _, err := c.Write(block); err != nil {
						t.Fatal(err)
					}
					if chunked {
						c.Send("\r\n")
					}
				}
				if chunked {
					c.Send("0\r\n\r\n")
				}
				if r, err := c.Next("PUT"); err != nil || r.Text != fmt.Sprint(bodySize) {
					t.Errorf("got %v, %v", r, err)
				}
			})
			if grown > memoryCap {
				t.Errorf("memory grew by %d MiB; want under %d", grown>>20, memoryCap>>20)
			}
		})
	}
}
