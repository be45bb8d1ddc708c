package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk takes what is written, as far as there is room on it.
type disk struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	room   int           // bytes; below 0: no bound
	hold   chan struct{} // writes wait for it, if there is one
	closed bool
}

func (d *disk) Write(p []byte) (int, error) {
	if d.hold != nil {
		<-d.hold
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	n := len(p)
	if d.room >= 0 {
		n = min(n, d.room)
		d.room -= n
	}
	d.b.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) Close() error {
	d.closed = true
	return nil
}

func (d *disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.String()
}

func line(i int) []byte { return fmt.Appendf(nil, "%06d%s\n", i, strings.Repeat(".", 93)) }

// news notes what a log says of its writing.
type news struct{ said []error }

func (n *news) changed(err error) { n.said = append(n.said, err) }

func TestLinesAreWrittenWithinASecond(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one shard, so that lines keep their order
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: -1}
		l := New(d, nil)
		l.Append(line(1))
		l.Append(line(2))
		synctest.Wait()
		if got := d.String(); got != "" {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if got, want := d.String(), string(line(1))+string(line(2)); got != want || d.writes != 1 {
			t.Errorf("%q in %d writes, want %q in one", got, d.writes, want)
		}
		if err := l.Close(t.Context()); err != nil || !d.closed {
			t.Errorf("%v, closed: %v", err, d.closed)
		}
		l.Append(line(3))
		if s := l.Stats(); s != (Stats{Written: 2, Behind: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFullBufferIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: -1}
		l := New(d, nil)
		const n = 100_000 / 100 * 20 // 2 MB
		for i := range n {
			l.Append(line(i))
			synctest.Wait()
		}
		if got := len(d.String()); got < n*100-len(l.shards)*bufferSize {
			t.Errorf("%d bytes of %d are written", got, n*100)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := l.Stats(); s != (Stats{Written: n}) {
			t.Errorf("%+v", s)
		}
	})
}

// TestAWriterThatHangsStopsNobody fills all that may wait: what is over is dropped and counted, what waits is written.
func TestAWriterThatHangsStopsNobody(t *testing.T) {
	d := &disk{room: -1, hold: make(chan struct{})}
	l := New(d, nil)
	const n = (maxWaiting + 64) * bufferSize / 100
	var appending sync.WaitGroup
	for g := range 4 {
		appending.Go(func() {
			for i := g; i < n; i += 4 {
				l.Append(line(i))
			}
		})
	}
	appending.Wait()
	behind := l.Stats().Behind
	if behind == 0 {
		t.Error("nothing is dropped")
	}
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(soon); !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
	close(d.hold)
	<-l.done
	lines := strings.SplitAfter(d.String(), "\n")
	lines = lines[:len(lines)-1]
	slices.Sort(lines)
	if got := len(slices.Compact(lines)); uint64(got)+behind != n || l.Stats() != (Stats{Written: uint64(got), Behind: behind}) {
		t.Errorf("%d lines are written, %d dropped, want %d in all: %+v", got, behind, n, l.Stats())
	}
	if len(d.String()) != len(lines)*100 {
		t.Error("not all is whole lines")
	}
}

func TestALineThatWasCutIsMadeWhole(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one shard, so that lines keep their order
	synctest.Test(t, func(t *testing.T) {
		d, n := &disk{room: 250}, new(news)
		l := New(d, n.changed)
		write := func(from, to int) {
			for i := from; i < to; i++ {
				l.Append(line(i))
			}
			time.Sleep(flushEvery)
			synctest.Wait()
		}
		write(0, 5) // 0 and 1 and half of 2 fit
		if s := l.Stats(); s != (Stats{Written: 2, Failed: 2, Failing: true}) {
			t.Errorf("full: %+v", s)
		}
		write(5, 7)
		d.room = 20
		write(7, 8)
		if s := l.Stats(); s != (Stats{Written: 2, Failed: 5, Failing: true}) {
			t.Errorf("still full: %+v", s)
		}
		d.room = -1
		write(8, 9)
		if got, want := d.String(), string(line(0))+string(line(1))+string(line(2))+string(line(8)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if s := l.Stats(); s != (Stats{Written: 4, Failed: 5}) {
			t.Errorf("at the end: %+v", s)
		}
		if len(n.said) != 2 || !errors.Is(n.said[0], syscall.ENOSPC) || n.said[1] != nil {
			t.Errorf("said %v, want one failure and its end", n.said)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLinesGoElsewhereAsWholes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, between, second := &disk{room: 50}, &disk{room: -1}, &disk{room: -1}
		l := New(first, func(error) {})
		l.Append(line(1))
		time.Sleep(flushEvery)
		synctest.Wait()
		first.room = -1
		l.Direct(second)
		synctest.Wait()
		if !first.closed || second.closed {
			t.Error("the first is open, or the second closed")
		}
		l.Append(line(2))
		l.Direct(between)
		third := &disk{room: -1}
		l.Direct(third)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := second.String() + between.String() + third.String(); got != string(line(2)) {
			t.Errorf("got %q, want the second line alone", got)
		}
		if !second.closed || !between.closed || !third.closed {
			t.Errorf("left open: %v, %v, %v closed", second.closed, between.closed, third.closed)
		}
		if s := l.Stats(); s.Written != 1 || s.Failed != 1 {
			t.Errorf("%+v, want one written, and the one that was cut to count as failed", s)
		}
	})
}

// TestAFileMayBeMovedWhileLinesCome rotates a real file under load.
func TestAFileMayBeMovedWhileLinesCome(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	open := func() *os.File {
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	l := New(open(), nil)
	const goroutines, each = 4, 20_000
	var appending sync.WaitGroup
	for g := range goroutines {
		appending.Go(func() {
			for i := range each {
				for n := g*each + i; ; {
					before := l.Stats().Behind
					if l.Append(line(n)); l.Stats().Behind == before {
						break
					}
				}
			}
		})
	}
	const moves = 20
	for i := range moves {
		if err := os.Rename(name, fmt.Sprint(name, ".", i)); err != nil {
			t.Fatal(err)
		}
		l.Direct(open())
	}
	appending.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(name + "*")
	if err != nil || len(files) != moves+1 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b)%100 != 0 {
			t.Errorf("%s has a piece of a line", f)
		}
		for l := range strings.Lines(string(b)) {
			all = append(all, l)
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != goroutines*each {
		t.Errorf("%d lines, want %d", len(all), goroutines*each)
	}
}

func TestAPipeWithoutReaderIsNotWaitedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(name); err == nil {
		f.Close()
		t.Error("it is opened")
	}
}

func TestAppendingAllocatesNothing(t *testing.T) {
	l := New(&disk{room: 0}, func(error) {})
	b := line(1)
	for range 10_000 {
		l.Append(b)
	}
	if n := testing.AllocsPerRun(10_000, func() { l.Append(b) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := New(&disk{room: 0}, func(error) {})
	line := bytes.Repeat([]byte{'.'}, 400)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Append(line)
		}
	})
	_ = l.Close(b.Context())
}
