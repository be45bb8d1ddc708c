package wasmhost

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// linearMemory is the memory of a guest. What wazero does by itself copies all of it for each page that it grows by: a pick
// that spends its fuel on that took 8 to 14 ms. Here there is room for firstRoom, or for twice of what is wanted: a Go
// guest grows as soon as it runs. To make room for the most from the beginning costs 0.6 ms and 4 MiB an instance.
type linearMemory struct {
	b   []byte
	max uint64
}

const firstRoom = 1 << 20 // bytes

// Reallocate implements experimental.LinearMemory.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.max {
		return nil
	}
	if size > uint64(cap(m.b)) {
		b := make([]byte, size, min(max(2*size, firstRoom), m.max))
		copy(b, m.b)
		m.b = b
	}
	m.b = m.b[:size]
	return m.b
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() { m.b = nil }

// withMemory holds, for wazero, how guests get their memory.
var withMemory = experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
	func(_, most uint64) experimental.LinearMemory { return &linearMemory{max: most} }))
