package wasmhost

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// linearMemory is the memory of a guest. What wazero does by itself copies all of it for each page that it grows by: a pick
// that spends its fuel on that took 8 to 14 ms. Here there is room for DefaultMemory from the beginning, so that no pick of
// a guest with that limit waits for memory; beyond, the room doubles. It costs 0.5 ms an instance, and memory that is not used
// is not touched unless Go had it in use before.
type linearMemory struct {
	b         []byte
	room, max uint64
}

const littleRoom = 1 << 20 // of an instance that serves nobody

// Reallocate implements experimental.LinearMemory.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.max {
		return nil
	}
	if size > uint64(cap(m.b)) {
		b := make([]byte, size, min(max(size, 2*uint64(cap(m.b)), m.room), m.max))
		copy(b, m.b)
		m.b = b
	}
	m.b = m.b[:size]
	return m.b
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() { m.b = nil }

// withMemory and withLittle hold, for wazero, how guests get their memory.
var withMemory, withLittle = allocator(DefaultMemory), allocator(littleRoom)

func allocator(room uint64) context.Context {
	return experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(_, most uint64) experimental.LinearMemory { return &linearMemory{room: room, max: most} }))
}
