package wasmhost

import (
	"container/list"
	"math"
	"sync"
)

// Bounds of a policy's key-value store, in bytes. An entry counts with kvOverhead, which is about what it takes.
const (
	kvCapacity = 1 << 20
	kvOverhead = 128
)

// kv is what the instances of a policy remember together: the entries used last, as many as fit.
type kv struct {
	mu      sync.Mutex
	size    int
	entries map[string]*list.Element
	recent  list.List // of *kvEntry, the one used last in front
}

type kvEntry struct {
	key     string
	value   []byte
	expires int64 // ns; math.MaxInt64 is never
}

func (e *kvEntry) size() int { return len(e.key) + len(e.value) + kvOverhead }

// read hands the value of key to use, unless there is none at now. The value is valid during use alone.
func (s *kv) read(key []byte, now int64, use func(value []byte) uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.entries[string(key)]
	if at == nil {
		return fail(notFound)
	}
	e := at.Value.(*kvEntry)
	if now >= e.expires {
		s.remove(at)
		return fail(notFound)
	}
	s.recent.MoveToFront(at)
	return use(e.value)
}

// set stores value for ttl milliseconds from now; for 0 or less, until it is the one not used for longest.
func (s *kv) set(key, value []byte, now int64, ttl int32) uint64 {
	e := &kvEntry{string(key), append([]byte(nil), value...), math.MaxInt64}
	if ttl > 0 {
		e.expires = now + int64(ttl)*1e6
	}
	if e.size() > kvCapacity {
		return fail(tooMany)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.entries[e.key]; at != nil {
		s.remove(at)
	}
	for s.size+e.size() > kvCapacity {
		s.remove(s.recent.Back())
	}
	if s.entries == nil {
		s.entries = map[string]*list.Element{}
	}
	s.entries[e.key] = s.recent.PushFront(e)
	s.size += e.size()
	return 0
}

func (s *kv) remove(at *list.Element) {
	e := s.recent.Remove(at).(*kvEntry)
	delete(s.entries, e.key)
	s.size -= e.size()
}

// copyTo gives another store what is in this one.
func (s *kv) copyTo(o *kv) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.entries = make(map[string]*list.Element, len(s.entries))
	for at := s.recent.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*kvEntry)
		o.entries[e.key] = o.recent.PushFront(e) // entries are never changed
	}
	o.size = s.size
}
