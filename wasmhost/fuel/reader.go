package fuel

import (
	"fmt"
	"unicode/utf8"
)

// reader reads b[at:end]. It panics with *Error where the bytes are not what they should be.
type reader struct {
	b       []byte
	at, end int
}

func (r *reader) left() int { return r.end - r.at }

// malformed is not inlined: it would keep small readers from being.
//
//go:noinline
func (r *reader) malformed(at int, format string, args ...any) {
	panic(&Error{Offset: at, Reason: fmt.Sprintf(format, args...)})
}

func (r *reader) refuse(at int, format string, args ...any) {
	panic(&Error{Offset: at, Refused: true, Reason: fmt.Sprintf(format, args...)})
}

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.short()
	}
	c := r.b[r.at]
	r.at++
	return c
}

//go:noinline
func (r *reader) short() { r.malformed(r.at, "the bytes end too soon") }

func (r *reader) skip(n int) {
	if n > r.left() {
		r.malformed(r.at, "%d bytes wanted, %d left", n, r.left())
	}
	r.at += n
}

// u32 reads an unsigned LEB128 number. As the specification has it, it may be padded but has no bits above 32: any
// other reading than the compiler's would be a way around the vetting.
func (r *reader) u32() uint32 {
	start := r.at
	x := uint32(r.byte())
	if x < 0x80 {
		return x
	}
	x &= 0x7f
	for shift := 7; ; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.malformed(start, "number does not fit 32 bits")
		}
		x |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return x
		}
	}
}

// signed reads a signed LEB128 number of at most size bits.
func (r *reader) signed(size int) int64 {
	start := r.at
	var x int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		x |= int64(c&0x7f) << shift
		if shift+7 >= size {
			// The bits beyond size repeat the sign, and no byte follows.
			v := int8(c<<1) >> 1
			if sign := v >> (size - shift - 1); c >= 0x80 || sign != 0 && sign != -1 {
				r.malformed(start, "number does not fit %d bits", size)
			}
		}
		if c < 0x80 {
			if shift+7 < 64 && c&0x40 != 0 {
				x |= -1 << (shift + 7)
			}
			return x
		}
	}
}

// count reads how many items follow, each of which takes at least size bytes, and checks that so many can follow and
// that there are at most limit.
func (r *reader) count(what string, size, limit int) int {
	at := r.at
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(r.left()) {
		r.malformed(at, "%d %s claimed, %d bytes left", n, what, r.left())
	}
	if int(n) > limit {
		r.refuse(at, "%d %s, want at most %d", n, what, limit)
	}
	return int(n)
}

// index reads an index into a space of n.
func (r *reader) index(what string, n int) uint32 {
	at := r.at
	i := r.u32()
	if uint64(i) >= uint64(n) {
		r.malformed(at, "%s index %d, want less than %d", what, i, n)
	}
	return i
}

func (r *reader) name(what string) string {
	n := r.count("bytes of "+what, 1, r.left())
	at := r.at
	r.skip(n)
	if !utf8.Valid(r.b[at:r.at]) {
		r.malformed(at, "%s is not UTF-8", what)
	}
	return string(r.b[at:r.at])
}

func (r *reader) zero(what string) {
	at := r.at
	if c := r.byte(); c != 0 {
		r.malformed(at, "%s is 0x%02x, want 0x00", what, c)
	}
}
