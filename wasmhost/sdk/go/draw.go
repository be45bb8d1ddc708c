//go:build wasip1

package lb

import "unsafe"

// Draw draws an endpoint of up by weight, leaving out those tried and endpoint not (-1: no other); -1 if none is left.
// heaviest is the greatest weight in the table. It throws darts, each at an even endpoint and an even height below heaviest,
// and after 16 misses counts through the weights: both ways have the same shares.
func (t *Table) Draw(r *Request, up []uint32, heaviest uint32, not int32, seed *uint64) int32 {
	if len(up) == 0 {
		return -1
	}
	skip = [16]uint32{uint32(not), None, None, None, None, None, None, None, None, None}
	if r.NTried > 0 {
		leaveOut(r)
	}
	weights := unsafe.Pointer(&t.Endpoint(0).Weight)
	i := throw(up, weights, uintptr(t.EpStride), uint64(heaviest), seed)
	if i < 0 {
		i = drawCounting(up, weights, uintptr(t.EpStride), Next(seed))
	}
	return i
}

// drawCounting is exact up to 256 endpoints, and beyond that among 256 in a row, so that it stays below the fuel of a pick.
//
//go:noinline
func drawCounting(up []uint32, weights unsafe.Pointer, stride uintptr, x uint64) int32 {
	if n := uint64(len(up)); n > 256 {
		up = up[(x>>32)*(n-255)>>32:][:256]
	}
	total := count(up, weights, stride) - without(up)
	if total == 0 {
		return -1
	}
	return int32(up[find(uint32(len(up)), over(x%total))]) // uneven by no more than total / 2^64
}

var (
	skip [16]uint32  // what a draw leaves out, ascending, and at least one that no index reaches
	sums [256]uint64 // of the weights up to and with each endpoint that was counted

	begins, weighs [16]uint64 // of those left out: where each begins in sums, ascending, and its weight
	skipped        uint32
)

// leaveOut puts the endpoints tried in skip.
//
//go:nosplit
//go:noinline
func leaveOut(r *Request) {
	for k := range min(uint32(r.NTried), 8) {
		i, at := r.Tried[k&7], k+1
		for ; at > 0 && skip[(at-1)&15] > i; at-- {
			skip[at&15] = skip[(at-1)&15]
		}
		skip[at&15] = i
	}
}

// throw throws up to 16 darts until one hits what is not left out, or answers -1.
//
//go:nosplit
//go:noinline
func throw(up []uint32, weights unsafe.Pointer, stride uintptr, heaviest uint64, seed *uint64) int32 {
	for range 16 {
		x := Next(seed)
		i := up[(x>>32)*uint64(len(up))>>32]
		left := differ(i, skip[0]) & differ(i, skip[1]) & differ(i, skip[2]) & differ(i, skip[3]) & differ(i, skip[4]) &
			differ(i, skip[5]) & differ(i, skip[6]) & differ(i, skip[7]) & differ(i, skip[8])
		// Below zero if the dart hits and the endpoint is not left out.
		height := int64((x&0xffffffff)*heaviest>>32) - int64(*(*uint32)(unsafe.Add(weights, uintptr(i)*stride)))
		if height&left < 0 {
			return int32(i)
		}
	}
	return -1
}

// differ is below zero if a and b differ, and else 0.
func differ(a, b uint32) int64 { return -int64(a ^ b) }

// count sums up the weights of at most 256 endpoints.
//
//go:nosplit
//go:noinline
func count(up []uint32, weights unsafe.Pointer, stride uintptr) (total uint64) {
	for k, i := range up {
		total += uint64(*(*uint32)(unsafe.Add(weights, uintptr(i)*stride)))
		sums[k&255] = total
	}
	return total
}

// without notes which of those counted are left out, and returns their weight.
//
//go:nosplit
//go:noinline
func without(up []uint32) (total uint64) {
	skipped = 0
	for n := 0; skip[n&15] != None; n++ {
		k := place(up, skip[n&15])
		if k < uint32(len(up)) && up[k] == skip[n&15] {
			begin := uint64(0)
			if k > 0 {
				begin = sums[(k-1)&255]
			}
			begins[skipped&15], weighs[skipped&15] = begin, sums[k&255]-begin
			total += sums[k&255] - begin
			skipped++
		}
	}
	return total
}

// place is how many of up, which is ascending and not empty, are less than i.
//
//go:nosplit
//go:noinline
func place(up []uint32, i uint32) (low uint32) {
	n := uint32(len(up))
	for n > 1 {
		half := n / 2
		low += half & less(up[low+half-1], i)
		n -= half
	}
	return low + 1&less(up[low], i)
}

// less is all ones if a < b, and else 0.
func less(a, b uint32) uint32 { return uint32((int64(a) - int64(b)) >> 63) }

// over takes a sum of what is not left out to one of all.
//
//go:nosplit
//go:noinline
func over(x uint64) uint64 {
	for k := range skipped {
		if x >= begins[k&15] {
			x += weighs[k&15]
		}
	}
	return x
}

// find is the place of the first of n sums above x.
//
//go:nosplit
//go:noinline
func find(n uint32, x uint64) (low uint32) {
	for low < n {
		if middle := (low + n) / 2; sums[middle&255] > x {
			n = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// Next stretches a seed (Rnd, KeyHash) to further numbers: SplitMix64.
func Next(seed *uint64) uint64 {
	*seed += 0x9e3779b97f4a7c15
	z := *seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
