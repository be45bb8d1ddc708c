//go:build linux

package cost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/benchmarks/peers"
)

// TestMain is the process of endpoints too, which StartEndpoints makes of this program.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "endpoint" {
		n, _ := strconv.Atoi(os.Args[2])
		fmt.Fprintln(os.Stderr, ServeEndpoints(n))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestSchedstat(t *testing.T) {
	t.Run("has run and wait in nanoseconds", func(t *testing.T) {
		run, wait, err := parseSchedstat([]byte("271805000000 31536 3\n"))
		if err != nil || run != 271805*time.Millisecond || wait != 31536 {
			t.Errorf("got %v, %v, %v", run, wait, err)
		}
	})
	for _, bad := range []string{"", "1 2", "x 2 3", "1 y 3"} {
		if _, _, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
	t.Run("grows with what this process does", func(t *testing.T) {
		before, _, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for after := before; after < before+time.Millisecond; {
			if after, _, err = cpuTime(os.Getpid()); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("of a process that is not there says so", func(t *testing.T) {
		if _, _, err := cpuTime(1 << 30); err == nil {
			t.Error("got no error")
		}
	})
}

func TestStatLeavesOutIdleAndGuests(t *testing.T) {
	got, err := parseStat([]byte("cpu  1 20 300 999999 77777 4000 50000 600000 5 5\ncpu0 9 9 9 9 9 9 9 9\n"))
	if want := 654321 * 10 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a 2 3 4 5 6 7 8"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestPSSIsInBytes(t *testing.T) {
	got, err := parsePSS([]byte("00400000-7fff rollup\nRss:  9 kB\nPss:            1234 kB\nPss_Dirty:  5 kB\n"))
	if err != nil || got != 1234<<10 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parsePSS([]byte("Rss: 9 kB\n")); err == nil {
		t.Error("without Pss: got no error")
	}
	if own, err := pss(os.Getpid()); err != nil || own < 1<<20 {
		t.Errorf("of this process: got %d, %v, want a MiB or more", own, err)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{4, 1, 2}, Spread{2, 1, 4, 3}},
		{[]float64{4, 1, 2, 9}, Spread{3, 1, 9, 4}},
	} {
		if got := spread(c.in); got != c.want {
			t.Errorf("%v: got %v, want %v", c.in, got, c.want)
		}
	}
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	s := make([]int, 100)
	for i := range s {
		s[i] = i + 1
	}
	for q, want := range map[float64]int{0: 1, 0.5: 50, 0.9: 90, 0.99: 99, 1: 100} {
		if got := quantile(s, q); got != want {
			t.Errorf("%v of 1..100: got %d, want %d", q, got, want)
		}
	}
	if quantile([]int(nil), 0.5) != 0 {
		t.Error("of none: want zero")
	}
}

func window(us int, foreign float64, failed int64) Window {
	return Window{Requests: 1000, CPU: time.Duration(us) * time.Millisecond, Elapsed: time.Second, Foreign: foreign, Failed: failed}
}

func TestRatio(t *testing.T) {
	a := &Series{Windows: []Window{window(20, 0, 0), window(99, 0.5, 0), window(30, 0, 0)}}
	b := &Series{Windows: []Window{window(10, 0, 0), window(10, 0, 0), window(20, 0, 0)}}
	t.Run("is of the same rounds, calm ones alone", func(t *testing.T) {
		if got, want := a.Ratio(b), (Spread{1.75, 1.5, 2, 2}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("is of all rounds if none is calm", func(t *testing.T) {
		noisy := &Series{Windows: []Window{window(10, 0.2, 0), window(10, 0, 3), window(10, 0.3, 0)}}
		if got, want := a.Ratio(noisy), (Spread{3, 2, 9.9, 3}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("is by bytes for a load that counts bytes", func(t *testing.T) {
		a := &Series{Bytes: true, Windows: []Window{{Requests: 1, Bytes: 2 << 20, CPU: 2 * time.Millisecond}}}
		b := &Series{Bytes: true, Windows: []Window{{Requests: 9, Bytes: 1 << 20, CPU: 4 * time.Millisecond}}}
		if got := a.Ratio(b).Median; got != 0.25 {
			t.Errorf("got %v, want 0.25", got)
		}
	})
	t.Run("leaves out rounds without requests", func(t *testing.T) {
		dead := &Series{Windows: []Window{{Elapsed: time.Second}, window(10, 0, 0)}}
		if got := a.Ratio(dead); got.N != 1 || got.Median != 9.9 {
			t.Errorf("got %v, want 9.9 of 1", got)
		}
	})
}

func TestWindow(t *testing.T) {
	t.Run("counts between two looks", func(t *testing.T) {
		start := time.Now()
		a := sight{at: start, done: 10, bytes: 100, cpu: time.Second, wait: 5, ours: 3 * time.Second, busy: 9 * time.Second}
		b := sight{at: start.Add(2 * time.Second), done: 1010, bytes: 5100, cpu: 2 * time.Second, wait: 7, ours: 5 * time.Second, busy: 12 * time.Second}
		var w Window
		w.compare(&a, &b)
		if w.Requests != 1000 || w.Bytes != 5000 || w.CPU != time.Second || w.Wait != 2 || w.Elapsed != 2*time.Second {
			t.Errorf("got %+v", w)
		}
		if w.Foreign != 0.5 {
			t.Errorf("got foreign %v, want half a CPU", w.Foreign)
		}
		if w.PerRequest() != 1000 {
			t.Errorf("got %v us a request, want 1000", w.PerRequest())
		}
	})
	t.Run("is calm if nobody else ran and nothing failed", func(t *testing.T) {
		for w, want := range map[Window]bool{
			window(1, 0, 0): true, window(1, 0.05, 0): true, window(1, -0.1, 0): true,
			window(1, 0.06, 0): false, window(1, 0, 1): false, {}: false,
		} {
			if w.Calm() != want {
				t.Errorf("%+v: got %v", w, !want)
			}
		}
	})
}

func TestRetakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		taken []Window
		want  int // which is kept
		asked int
	}{
		{"a calm window is kept at once", []Window{window(1, 0, 0), window(2, 0, 0)}, 0, 1},
		{"a disturbed one is taken again", []Window{window(1, 0.4, 0), window(2, 0, 0), window(3, 0, 0)}, 1, 2},
		{"and a bounded number of times: the least disturbed is kept", []Window{window(1, 0.4, 0), window(2, 0.2, 0), window(3, 0.3, 0)}, 1, 3},
		{"what failed is worse than what was disturbed", []Window{window(1, 0, 5), window(2, 0.2, 0), window(3, 0.1, 2)}, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			got, err := calmest(2, func() (Window, error) {
				asked++
				return c.taken[asked-1], nil
			})
			if err != nil || asked != c.asked || got.CPU != c.taken[c.want].CPU || got.Retaken != c.want {
				t.Errorf("got %+v, %v after %d, want window %d after %d", got, err, asked, c.want, c.asked)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  5 \r\n\r\nabcde"
	t.Run("arrives in any pieces", func(t *testing.T) {
		for i := 1; i < len(whole); i++ {
			for j := i; j < len(whole); j++ {
				var a answer
				for _, piece := range []string{whole[:i], whole[i:j]} {
					if piece == "" {
						continue
					}
					if over, err := a.take([]byte(piece)); over || err != nil {
						t.Fatalf("cut at %d and %d: got %v, %v before the end", i, j, over, err)
					}
				}
				if over, err := a.take([]byte(whole[j:])); !over || err != nil || a.status != 200 {
					t.Fatalf("cut at %d and %d: got %v, %v, status %d at the end", i, j, over, err, a.status)
				}
			}
		}
	})
	for _, bad := range []string{
		whole + "f", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
	} {
		if _, err := new(answer).take([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

// TestLatencyCountsFromWhenARequestWasDue has a second of requests due at once on one connection: a load that waits for
// answers would call all but the first fast.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	e, err := StartEndpoints(1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c, err := dial(e.Addresses[0], &Load{Connections: 1, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	c.timing.Store(true)
	c.began = time.Now().Add(-time.Second)
	go c.loop()
	within(t, func() bool { return c.done.Load() >= 200 })
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, l := range c.latencies {
		if l > 100*time.Millisecond {
			slow++
		}
	}
	if slow < 150 {
		t.Errorf("%d of %d requests were over 100 ms late, want 150 or more", slow, len(c.latencies))
	}
	if most := slices.Max(c.latencies); most < time.Second {
		t.Errorf("the latest was %v late, want a second or more", most)
	}
}

func TestConnectionsThatAreClosedAreOpenedAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // one answer a connection, then a close that it has not announced
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			_ = conn.Close()
		}
	}()
	c, err := dial(ln.Addr().String(), &Load{Connections: 2, Body: 2})
	if err != nil {
		t.Fatal(err)
	}
	c.start()
	within(t, func() bool { return c.done.Load() >= 20 })
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if n := c.failed.Load(); n != 0 {
		t.Errorf("%d failures, want none: a connection may end between two requests", n)
	}
}

func TestAResponseOfAnotherSizeIsAFailure(t *testing.T) {
	e, err := StartEndpoints(1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c, err := dial(e.Addresses[0], &Load{Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.size++
	c.start()
	<-c.ended
	if err := c.close(); err == nil || !strings.Contains(err.Error(), "1024 bytes, want 200 and 1025") {
		t.Errorf("got %v", err)
	}
}

// TestWeirIsMeasured takes one short window of the real thing, and of nothing else.
func TestWeirIsMeasured(t *testing.T) {
	program := filepath.Join(t.TempDir(), "weir")
	if err := peers.BuildWeir(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	e, err := StartEndpoints(2)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, err := peers.Start(t.Context(), "weir-wasm", peers.Setup{Program: program, Endpoints: e.Addresses})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	m := &Meter{Warm: 20 * time.Millisecond, Length: 100 * time.Millisecond, Endpoint: e.PID()}
	loads := []Load{{Name: "closed", Connections: 8}, {Name: "open", Connections: 8, Rate: 500}, {Name: "large", Connections: 2, Body: 1 << 20, Bytes: true}}
	series, err := Compare(t.Context(), m, []Entrant{{Name: "weir", Target: Target{p.Address, p.Pid()}}}, loads, 1, io.Discard)
	if err != nil {
		t.Fatal(err, p.Log())
	}
	for _, s := range series {
		w := s.Windows[0]
		if w.Requests == 0 || w.Failed != 0 || w.CPU == 0 || w.P50 == 0 || w.P99 < w.P50 || w.Bytes < w.Requests*1000 {
			t.Errorf("%s: got %+v", s.Load, w)
		}
	}
	var text bytes.Buffer
	r := &Report{Peers: map[string]string{"weir": "this one"}, Bases: []string{"weir"}, Series: series}
	r.WriteText(&text)
	for _, want := range []string{"closed", "open", "us/MiB", "1.00 (1.00-1.00)"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
}

func TestALoadThatFailsSaysSo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	_, err = (&Meter{Warm: time.Minute}).Take(t.Context(), Target{ln.Addr().String(), os.Getpid()}, &Load{Connections: 1})
	if err == nil || !strings.Contains(err.Error(), "failures") {
		t.Errorf("got %v, want the failures of the load", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e, err := StartEndpoints(1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err = (&Meter{Warm: time.Minute}).Take(ctx, Target{e.Addresses[0], e.PID()}, &Load{Connections: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: got %v", err)
	}
}

// within fails the test if the condition does not come true.
func within(t *testing.T, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true within 20 s")
		}
		time.Sleep(time.Millisecond)
	}
}
