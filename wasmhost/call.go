package wasmhost

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/policies"
)

// phase is what the guest is being called for: not every host function may be called in each.
type phase uint8

const (
	inStart phase = iota // start section, _initialize
	inABI                // lb_abi_v1, lb_alloc
	inInit
	inEndpoints
	inPick // lb_pick, lb_retry
	inFeedback
	inTick
	inState // lb_save, lb_restore
	numPhases
)

// phases is a set of them.
type phases uint8

const (
	anywhere   phases = 1<<numPhases - 1
	outsideABI        = anywhere &^ (1 << inABI)
	duringInit phases = 1 << inInit
	duringPick phases = 1 << inPick
	withTable  phases = 1<<inEndpoints | 1<<inPick | 1<<inFeedback | 1<<inTick | 1<<inState
)

// callContext is what host functions know of the call in which they are called. It travels as the call's context,
// which costs nothing; it says nothing of time or values. There is one an instance.
type callContext struct {
	in     *instance
	phase  phase
	req    *policies.Request // in lb_pick and lb_retry
	now    int64             // in lb_pick, lb_retry, lb_feedback and lb_tick; else the clock is asked
	rand   uint64            // state of rand64
	digest xxhash.Digest
}

// Deadline implements context.Context.
func (*callContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (*callContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*callContext) Err() error { return nil }

// Value implements context.Context. Only while the instance is being made is there anything: where its memory comes from.
func (c *callContext) Value(key any) any {
	switch {
	case c.in.mod != nil:
		return nil
	case c.in.shared.trial:
		return withLittle.Value(key)
	}
	return withMemory.Value(key)
}

// trap is what a host function panics with to end the call. wazero hands it back as the call's error.
type trap string

func (t trap) Error() string { return string(t) }

const (
	trapFuel   trap = "out of fuel in a host function"
	trapMemory trap = "a pointer outside memory was handed to a host function"
)

// Charges of host functions, in fuel.
const (
	hostCallCharge = 100
	hostByteShift  = 2 // len >> 2 for each buffer that is read or written
)

func (c *callContext) charge(units uint64) {
	if !c.in.tank.Take(int64(units)) {
		panic(trapFuel)
	}
}

// read returns guest memory [p, p+n), which must not be kept or written.
func (c *callContext) read(p, n uint64) []byte {
	n &= none
	c.charge(n >> hostByteShift)
	b, ok := c.in.mem.Read(uint32(p), uint32(n))
	if !ok {
		panic(trapMemory)
	}
	return b
}

// write copies b into guest memory at p, if it has room for it. It returns the length of b: as bytes or as text.
func write[T []byte | string](c *callContext, p, room uint64, b T) uint64 {
	if uint64(len(b)) > room&none {
		return uint64(len(b))
	}
	c.charge(uint64(len(b)) >> hostByteShift)
	to, ok := c.in.mem.Read(uint32(p), uint32(len(b)))
	if !ok {
		panic(trapMemory)
	}
	return uint64(copy(to, b))
}

func (c *callContext) clock() int64 {
	switch c.phase {
	case inPick, inFeedback, inTick:
		return c.now
	}
	return c.in.module.options.Now()
}

// next is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func (c *callContext) next() uint64 {
	c.rand += 0x9e3779b97f4a7c15
	z := c.rand
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (c *callContext) hash(b []byte, seed uint64) uint64 {
	c.digest.ResetWithSeed(seed)
	_, _ = c.digest.Write(b)
	return c.digest.Sum64()
}

// call is what every host function begins with: it charges for the call, and refuses it in a phase that f is not for.
func (f *hostFunction) call(c *callContext, mod api.Module, stack []uint64) {
	if c.in.mod == nil {
		c.in.bind(mod) // a start section calls before the instance is there
	}
	c.charge(hostCallCharge)
	if f.phases&(1<<c.phase) == 0 {
		if len(f.typ.Results) > 0 {
			stack[0] = status(f.typ.Results[0] == byte(i64), notNow)
		}
		return
	}
	f.do(c, stack)
}
