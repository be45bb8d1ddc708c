package recording

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Writer records what the policies that it wraps are asked and answer.
type Writer struct {
	options Options
	buffer  buffer
	clock   atomic.Int64 // moves while no policy is being called

	mu      sync.Mutex // guards streams; held before those of recorders
	streams []*recorder
	next    int

	err  error // of the file; guarded by done
	stop chan struct{}
	done sync.WaitGroup
}

// Stats are counts since a writer began.
type Stats struct {
	Bytes  int64
	Events uint64 // records
	Lost   uint64 // records for which there was no room
	Full   bool   // the limit is reached
}

// NewWriter begins a trace in out. Close ends it; out is the caller's to close, afterwards.
func NewWriter(out io.Writer, o Options) *Writer {
	o.fill()
	w := &Writer{options: o, stop: make(chan struct{})}
	w.buffer.limit = o.Limit
	w.buffer.bytes = int64(len(magic))
	w.clock.Store(time.Now().UnixNano())
	w.done.Go(func() { w.write(out) })
	w.done.Go(w.advance)
	return w
}

// Now is the clock of policies that are recorded, in nanoseconds. It moves every 10 ms, while none of them is called.
func (w *Writer) Now() int64 { return w.clock.Load() }

// Wrap returns p as the policy of a cluster that is recorded. name is what configuration calls it and digest the sha256
// of its module, "" for a built-in. What is returned is a policies.Failover, Observer and Rehearser where p is one, and
// an io.Closer that closes p. A policy that is wrapped for a cluster takes the place of the one before.
func (w *Writer) Wrap(cluster, name, digest string, p policies.Policy) policies.Policy {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := newRecorder(w, w.next, p)
	w.next++
	w.streams = append(w.streams, r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cluster, r.name, r.digest = cluster, name, digest
	r.declare()
	return r.shaped()
}

// Stats returns what was counted so far.
func (w *Writer) Stats() Stats {
	b := &w.buffer
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Bytes: b.bytes, Events: b.events, Lost: b.lost, Full: b.full}
}

// Close ends the recording and writes what waits. The policies go on, unrecorded and without time; close them first.
func (w *Writer) Close() error {
	close(w.stop)
	w.done.Wait()
	return w.err
}

// write is the goroutine that waits for the disk.
func (w *Writer) write(out io.Writer) {
	tick := time.NewTicker(flush)
	defer tick.Stop()
	_, err := io.WriteString(out, magic)
	told := false
	for end := false; !end; {
		select {
		case <-tick.C:
		case <-w.stop:
			end = true
		}
		blocks := w.buffer.take(true)
		for _, b := range blocks {
			if err == nil {
				_, err = out.Write(b)
			}
		}
		w.buffer.recycle(blocks)
		switch s := w.Stats(); {
		case told:
		case err != nil:
			told = true
			w.buffer.end()
			w.options.Log.Error("the recording ended: its file cannot be written", "err", err)
		case s.Full:
			told = true
			w.options.Log.Warn("the recording ended: it has the size that it may have", "bytes", s.Bytes)
		}
	}
	w.err = err
}

// advance is the goroutine that lets time pass.
func (w *Writer) advance() {
	tick := time.NewTicker(advance)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.pass(time.Now().UnixNano())
		case <-w.stop:
			return
		}
	}
}

// pass moves the clock to now, while no policy is called, and tells the policies.
func (w *Writer) pass(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.streams {
		r.mu.Lock()
	}
	w.clock.Store(now)
	for _, r := range w.streams {
		r.advance(now)
		r.mu.Unlock()
	}
}

// remove takes a stream off that is closed.
func (w *Writer) remove(r *recorder) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.streams {
		if s == r {
			w.streams = append(w.streams[:i:i], w.streams[i+1:]...)
			return
		}
	}
}
