package wasmhost

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Bounds of what the instances of a policy share.
const (
	maxCounters   = 256
	maxSeries     = 64
	maxSharedName = 64   // bytes
	maxLogLine    = 1024 // bytes; the rest is cut off
	maxLogLines   = 20   // a second
)

// shared is what all instances of a policy have in common, in all versions of its module: counters, a key-value store,
// series of metrics, and the right to log.
type shared struct {
	trial bool // of an instance that serves nobody, and ends soon
	log   *slog.Logger
	now   func() int64
	ctrs  [maxCounters]atomic.Int64
	sums  [maxSeries]atomic.Int64
	kv    kv
	n     atomic.Uint32 // counters that have a name
	m     atomic.Uint32 // series that have a name

	mu       sync.Mutex
	ctrNames []string
	series   []Series // without values
	second   int64
	lines    int
	dropped  uint64
}

// copy returns one with the same contents, for a rehearsal.
func (s *shared) copy() *shared {
	o := &shared{log: s.log, now: s.now}
	s.mu.Lock()
	o.ctrNames = append(o.ctrNames, s.ctrNames...)
	o.series = append(o.series, s.series...)
	s.mu.Unlock()
	for i := range o.ctrNames {
		o.ctrs[i].Store(s.ctrs[i].Load())
	}
	o.n.Store(uint32(len(o.ctrNames)))
	o.m.Store(uint32(len(o.series)))
	s.kv.copyTo(&o.kv)
	return o
}

// Series is a metric that a guest keeps.
type Series struct {
	Name  string
	Gauge bool
	Value int64
}

func find(names []string, name []byte) int {
	for i, n := range names {
		if n == string(name) {
			return i
		}
	}
	return -1
}

func badName(name []byte) bool {
	return len(name) == 0 || len(name) > maxSharedName || !utf8.Valid(name)
}

func (s *shared) counterID(name []byte) uint64 {
	if badName(name) {
		return fail(badID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := find(s.ctrNames, name); i >= 0 {
		return uint64(i)
	}
	if len(s.ctrNames) == maxCounters {
		return fail(tooMany)
	}
	s.ctrNames = append(s.ctrNames, string(name))
	s.n.Store(uint32(len(s.ctrNames)))
	return uint64(len(s.ctrNames) - 1)
}

func (s *shared) counter(id uint32) *atomic.Int64 {
	if id >= s.n.Load() {
		return nil
	}
	return &s.ctrs[id]
}

// Kinds of series, as metric_id has them.
const (
	kindCounter = 0
	kindGauge   = 1
)

func (s *shared) seriesID(kind uint32, name []byte) uint64 {
	if badName(name) || kind > kindGauge {
		return fail(badID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.series {
		if x.Name == string(name) {
			return uint64(i)
		}
	}
	if len(s.series) == maxSeries {
		return fail(tooMany)
	}
	s.series = append(s.series, Series{Name: string(name), Gauge: kind == kindGauge})
	s.m.Store(uint32(len(s.series)))
	return uint64(len(s.series) - 1)
}

func (s *shared) addSeries(id uint32, v int64) {
	if id < s.m.Load() {
		s.sums[id].Add(v)
	}
}

// values returns the series with their values.
func (s *shared) values() []Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Series, len(s.series))
	for i, x := range s.series {
		x.Value = s.sums[i].Load()
		out[i] = x
	}
	return out
}

// mayLog reports whether another line may be logged in this second, and how many were not since the last.
func (s *shared) mayLog() (dropped uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := s.now() / 1e9; second != s.second {
		s.second, s.lines = second, 0
	}
	if s.lines == maxLogLines {
		s.dropped++
		return 0, false
	}
	s.lines++
	dropped, s.dropped = s.dropped, 0
	return dropped, true
}
