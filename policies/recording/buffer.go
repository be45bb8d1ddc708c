package recording

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// maxPending bounds what waits to be written, in bytes. Beyond it records are lost, and counted.
const maxPending = 8 << 20

// buffer holds records until the writer takes them. Putting one in never waits for the disk.
type buffer struct {
	mu     sync.Mutex
	blocks [][]byte // full ones
	last   []byte   // the one being filled
	free   [][]byte
	bytes  int64 // taken or waiting, with the heads of blocks
	limit  int64
	events uint64
	lost   uint64
	full   bool // the limit is reached
}

const blockHead = 8

// put appends a record, and reports whether there was room.
func (b *buffer) put(payload []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		b.lost++
		return false
	}
	if len(b.blocks)*maxBlock > maxPending {
		b.lost++
		return false
	}
	need := len(payload) + binary.MaxVarintLen32
	if b.bytes+int64(need+blockHead) > b.limit {
		b.full = true
		b.lost++
		payload = []byte{byte(kindEnd)}
	}
	if len(b.last)+need > maxBlock && len(b.last) > blockHead {
		b.blocks = append(b.blocks, b.last)
		b.last = nil
	}
	if b.last == nil {
		if n := len(b.free); n > 0 {
			b.last, b.free = b.free[n-1], b.free[:n-1]
		} else {
			b.last = make([]byte, 0, maxBlock)
		}
		b.last = append(b.last[:0], make([]byte, blockHead)...)
		b.bytes += blockHead
	}
	before := len(b.last)
	b.last = binary.AppendUvarint(b.last, uint64(len(payload)))
	b.last = append(b.last, payload...)
	b.bytes += int64(len(b.last) - before)
	b.events++
	return !b.full
}

// lose counts a record that is not put in.
func (b *buffer) lose() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost++
}

// roomy reports whether there is room for a good while.
func (b *buffer) roomy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.full && len(b.blocks)*maxBlock <= maxPending/2
}

// take returns the blocks that wait, finished, and that being filled if all is set.
func (b *buffer) take(all bool) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	blocks := b.blocks
	b.blocks = nil
	if all && len(b.last) > blockHead {
		blocks = append(blocks, b.last)
		b.last = nil
	}
	for _, k := range blocks {
		binary.LittleEndian.PutUint32(k, uint32(len(k)-blockHead))
		binary.LittleEndian.PutUint32(k[4:], crc32.Checksum(k[blockHead:], castagnoli))
	}
	return blocks
}

// recycle takes blocks back.
func (b *buffer) recycle(blocks [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range blocks {
		if cap(k) == maxBlock && len(b.free) < maxPending/maxBlock {
			b.free = append(b.free, k)
		}
	}
}

// end takes no more records.
func (b *buffer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = true
}
