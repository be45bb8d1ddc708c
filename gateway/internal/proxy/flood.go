package proxy

import "sync/atomic"

// flood is a kind of frame of HTTP/2 that clients flood with (RFC 9113, section 10.5).
type flood uint32

const (
	noFlood flood = iota
	resetFlood
	settingsFlood
	dataFlood
	continuationFlood
	pingFlood
	numFloods
)

var floodNames = [numFloods]string{"", "reset", "settings", "data", "continuation", "ping"}

// manyPings are as many as the engine lets wait for their answers.
const manyPings = 10_000

// floods counts the connections that were ended for a flood.
type floods [numFloods]counter

// read returns the counts by name.
func (f *floods) read() map[string]uint64 {
	m := make(map[string]uint64, numFloods-1)
	for k := noFlood + 1; k < numFloods; k++ {
		m[floodNames[k]] = f[k].Load()
	}
	return m
}

// suspicion is what a connection is ended for if the engine ends it now: it does not say why. The engine asks in another goroutine
// than it reads in.
type suspicion struct{ atomic.Uint32 }

// of says what follows from a frame's head: how long the block of fields is so far that it belongs to, 0 if it ends, and how many
// PINGs came in a row.
func (s *suspicion) of(block, pings int) {
	k := noFlood
	switch {
	case block > headBuffer/2: // fields count for more than their bytes
		k = continuationFlood
	case pings >= manyPings:
		k = pingFlood
	}
	if s.Load() != uint32(k) {
		s.Store(uint32(k))
	}
}
