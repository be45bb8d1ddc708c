// Package access is the log of requests: a line of JSON each, which requests leave in memory and one goroutine writes. So
// no request waits for a disk, for whoever reads a pipe, or, but for the copying of its line, for another request.
package access

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// bufferSize is what is written at once, and more than the longest line.
	bufferSize = 64 << 10
	// flushEvery bounds how old a line gets before it is written.
	flushEvery = time.Second
	// maxWaiting is how many full buffers may wait for the writer: 4 MiB, which is half a second at 20,000 requests a second.
	maxWaiting = 64
)

// Log takes lines and writes them, in order but for about a second.
type Log struct {
	changed func(error)
	shards  []shard
	near    sync.Pool     // of *shard: what a pool gives was last used on the same processor
	turn    atomic.Uint32 // of the shard that is given to a processor without one

	full chan []byte // to be written
	free chan []byte
	next chan io.WriteCloser // where lines go from now on
	stop chan struct{}
	done chan struct{}

	written, behind, failed atomic.Uint64
	failing                 atomic.Bool

	// Of the writer's goroutine.
	to  io.WriteCloser
	cut []byte // the rest of a line of which a part is written
}

// shard is where the requests of about one processor leave their lines.
type shard struct {
	mu     sync.Mutex
	buf    []byte // nil if it is empty
	closed bool
	_      [64]byte
}

// Stats counts lines.
type Stats struct {
	Written uint64
	Behind  uint64 // dropped because the writer was
	Failed  uint64 // dropped because they could not be written
	Failing bool   // the last write failed
}

// New starts a log whose lines go to that writer, which it closes when they go elsewhere. changed is called when
// writing begins to fail, with the error, and when it succeeds again, with nil. [Log.Close] stops it.
func New(to io.WriteCloser, changed func(error)) *Log {
	l := &Log{
		changed: changed, to: to, shards: make([]shard, runtime.GOMAXPROCS(0)),
		full: make(chan []byte, maxWaiting), next: make(chan io.WriteCloser, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.free = make(chan []byte, maxWaiting+len(l.shards))
	go l.run()
	return l
}

// Append takes a copy of a line, its line feed included. It drops and counts the line if there is no room.
func (l *Log) Append(line []byte) {
	s, _ := l.near.Get().(*shard)
	if s == nil {
		s = &l.shards[int(l.turn.Add(1))%len(l.shards)]
	}
	if !l.append(s, line) {
		l.behind.Add(1)
	}
	l.near.Put(s)
}

func (l *Log) append(s *shard, line []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(line) > bufferSize {
		return false
	}
	if len(s.buf)+len(line) > bufferSize {
		select {
		case l.full <- s.buf:
			s.buf = nil
		default:
			return false
		}
	}
	if s.buf == nil {
		s.buf = l.empty()
	}
	s.buf = append(s.buf, line...)
	return true
}

// empty returns a buffer. There are no more than may wait, one a shard, and one that is written.
func (l *Log) empty() []byte {
	select {
	case b := <-l.free:
		return b
	default:
		return make([]byte, 0, bufferSize)
	}
}

// Direct has the lines that come, and those that are not written yet, go elsewhere. It does not wait for that. Calls of it
// are one after the other.
func (l *Log) Direct(to io.WriteCloser) {
	for {
		select {
		case l.next <- to:
			return
		case unused := <-l.next:
			_ = unused.Close()
		}
	}
}

// Stats returns the present counts.
func (l *Log) Stats() Stats {
	return Stats{Written: l.written.Load(), Behind: l.behind.Load(), Failed: l.failed.Load(), Failing: l.failing.Load()}
}

// Close writes what there is, unless that takes until ctx ends; then a write is still under way. Lines that come later are
// dropped.
func (l *Log) Close(ctx context.Context) error {
	close(l.stop)
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case b := <-l.full:
			l.write(b)
		case <-tick.C:
			l.flush(false)
		case to := <-l.next:
			l.flush(false)
			l.leave()
			l.to = to
		case <-l.stop:
			select {
			case to := <-l.next:
				l.leave()
				l.to = to
			default:
			}
			l.flush(true)
			l.leave()
			return
		}
	}
}

// flush writes all lines that there are.
func (l *Log) flush(last bool) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		b := s.buf
		s.buf, s.closed = nil, last
		s.mu.Unlock()
		for older := len(l.full); older > 0; older-- { // some may be of this shard
			l.write(<-l.full)
		}
		if b != nil {
			l.write(b)
		}
	}
}

// leave closes what lines went to.
func (l *Log) leave() {
	if len(l.cut) > 0 {
		l.cut = l.cut[:0]
		l.failed.Add(1)
	}
	_ = l.to.Close()
}

// write writes a buffer of whole lines, and frees it. Of a line that was cut by an error the rest comes first, once
// anything can be written again.
func (l *Log) write(b []byte) {
	err := l.finishCut()
	n := 0
	if err == nil {
		n, err = l.to.Write(b)
	}
	rest := b[n:]
	l.written.Add(uint64(bytes.Count(b[:n], lineFeed)))
	if n > 0 && n < len(b) && b[n-1] != '\n' {
		i := bytes.IndexByte(rest, '\n') + 1
		l.cut = append(l.cut[:0], rest[:i]...)
		rest = rest[i:]
	}
	l.failed.Add(uint64(bytes.Count(rest, lineFeed)))
	if failing := err != nil; failing != l.failing.Load() {
		l.failing.Store(failing)
		l.changed(err)
	}
	select {
	case l.free <- b[:0]:
	default:
	}
}

func (l *Log) finishCut() error {
	if len(l.cut) == 0 {
		return nil
	}
	n, err := l.to.Write(l.cut)
	if l.cut = append(l.cut[:0], l.cut[n:]...); len(l.cut) == 0 {
		l.written.Add(1)
	}
	return err
}

var lineFeed = []byte{'\n'}
