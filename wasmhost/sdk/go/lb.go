//go:build wasip1

// Package lb is the load balancing policy ABI, version 1, for guests in Go (1.24 or later). docs/ABI.md says what each field
// means. It is for guests alone: the constraint above keeps it out of every other program. Build:
//
//	GOOS=wasip1 GOARCH=wasm go build -trimpath -buildmode=c-shared -ldflags='-s -w -buildid=' -o policy.wasm .
//
// The exports stand in package main; from lb_retry on they are optional, and one that is there is called:
//
//	//go:wasmexport lb_abi_v1
//	func abi(hostFeatures uint64) uint64 { return lb.Want(lb.Inflight) }
//	//go:wasmexport lb_alloc
//	func alloc(what int32, n uint32) uint32 { return lb.Alloc(what, n) }
//	//go:wasmexport lb_init
//	func start(config, n uint32) int32 { ... lb.NewSettings(config, n) ... }
//	//go:wasmexport lb_endpoints
//	func endpoints(t *lb.Table) int32
//	//go:wasmexport lb_pick
//	func pick(r *lb.Request) int32
//	//go:wasmexport lb_retry
//	func retry(r *lb.Request) int32
//	//go:wasmexport lb_feedback
//	func feedback(records *lb.Feedback, n int32, now int64) { ... lb.Records(records, n) ... }
//	//go:wasmexport lb_tick
//	func tick(now int64) // after lb.SetTick in lb_init
//	//go:wasmexport lb_save
//	func save(buf *byte, n int32) int32 // bytes written, 0 for no state
//	//go:wasmexport lb_restore
//	func restore(buf *byte, n int32) int32 // 0 ok, < 0 refused
//	func main() {}
//
// A collection of garbage takes 20 to 30 million fuel, however small the heap: a hundred times what a pick has, and what its
// caller waits for. It begins when the heap reaches 4 MiB, so let it not grow: allocate in lb_init and lb_endpoints alone, and
// there by doubling what is too small. A policy that cannot do so needs the fuel profile gc.
package lb

import (
	"structs"
	"unsafe"
)

// What lb_abi_v1 answers: flags, and Want of each live column that is to be kept fresh.
const (
	Replicable uint64 = 1 << 0
	KeepOrder  uint64 = 1 << 1
)

// Want is the bit of a live column.
func Want(c Column) uint64 { return 1 << (32 + c) }

// What the host offers, as lb_abi_v1 is told.
const (
	HostKV    uint64 = 2
	HostEject uint64 = 4
)

// Column is a live figure of an endpoint.
type Column uint32

// Columns.
const (
	Health Column = iota
	Inflight
	EWMAUS
	ErrPPM
	RPSMilli
	ConsecutiveFail
	LoadPPM
	HeartbeatAgeMS
)

// Values of Health.
const (
	Down uint32 = iota
	Degraded
	Up
)

// None in a field or a column of 32 bits: no endpoint, no deadline, no figure.
const None uint32 = 0xffffffff

// Results of lb_pick and lb_retry that are not the index of an endpoint.
const (
	Defer  int32 = -1
	Reject int32 = -2
	List   int32 = -3
	Stop   int32 = -4
)

// Flags of the table, of an endpoint, of a request, of OutFlags, of a feedback record.
const (
	Panic uint32 = 1

	SameZone uint8 = 1
	Canary   uint8 = 2
	Draining uint8 = 4
	Spare    uint8 = 8

	HasKey     uint32 = 1
	Replayable uint32 = 2
	Idempotent uint32 = 4
	TLS        uint32 = 8
	Upgrade    uint32 = 16
	LastTry    uint32 = 32

	SetSticky uint32 = 1
	NoRetry   uint32 = 2

	Final      uint8 = 1
	HedgeLoser uint8 = 2
	ClientGone uint8 = 4
	Unmade     uint8 = 8 // no attempt was made at the endpoint that the policy named
)

// Values of Method.
const (
	MethodOther uint8 = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodOptions
	MethodTrace
	MethodPatch
)

// How an attempt ended: LastErr of a request, Err of a feedback record.
const (
	ErrOK uint16 = iota
	ErrRefused
	ErrConnectTimeout
	ErrReset
	ErrHeaderTimeout
	ErrBodyTimeout
	ErrTLS
	ErrUnresolvable
	ErrMalformed
	ErrPoolExhausted
	ErrCancelled
	ErrBadStatus
)

// Table is the table's header, before the table itself. Offsets (Off) count from its first byte.
type Table struct {
	_        structs.HostLayout
	Magic    uint32
	Gen      uint32
	N        uint32
	EpOff    uint32
	EpStride uint32
	StrOff   uint32
	StrLen   uint32
	UpGen    uint32
	NUp      uint32
	UpOff    uint32
	TierEnd  [4]uint32
	SelfZone uint32
	Flags    uint32
	ColOff   [16]uint32
}

// Endpoint is an entry of the table.
type Endpoint struct {
	_        structs.HostLayout
	IDHash   uint64
	ID       uint32
	Weight   uint32
	Tier     uint8
	Flags    uint8
	Zone     uint16
	NameOff  uint32
	MetaOff  uint32
	Reserved uint32
}

// Request is the request block: the host writes what stands before OutN and reads the rest.
type Request struct {
	_             structs.HostLayout
	NowNS         uint64
	Rnd           uint64
	KeyHash       uint64
	Seq           uint64
	Gen           uint32
	UpGen         uint32
	Method        uint8
	Attempt       uint8
	NTried        uint8
	Reserved0     uint8
	Flags         uint32
	ClientIP      [16]uint8
	ClientPort    uint16
	Listener      uint16
	Route         uint32
	PathHash      uint64
	HostHash      uint64
	ContentLength uint64
	DeadlineMS    uint32
	ElapsedUS     uint32
	LastEp        int32
	LastStatus    uint16
	LastErr       uint16
	LastUS        uint32
	StickyEp      uint32
	Tried         [8]uint32
	Reserved1     [40]uint8
	OutN          uint32
	OutEp         [8]uint32
	OutTimeoutMS  uint32
	OutHedgeMS    uint32
	OutStatus     uint32
	OutTag        uint64
	OutFlags      uint32
	OutReason     uint32
}

// Feedback is a record of what an attempt came to.
type Feedback struct {
	_            structs.HostLayout
	Tag          uint64
	EpID         uint32
	Ep           int32
	Status       uint16
	Err          uint16
	Attempt      uint8
	Flags        uint8
	LoadPermille uint16
	TTFBUS       uint32
	TotalUS      uint32
}

// Sizes that do not hold do not compile.
const (
	_ = -(unsafe.Sizeof(Table{}) ^ 128)
	_ = -(unsafe.Sizeof(Endpoint{}) ^ 32)
	_ = -(unsafe.Sizeof(Request{}) ^ 256)
	_ = -(unsafe.Sizeof(Feedback{}) ^ 32)
)

// In Go's code for Wasm all of a function is one loop, and each turn of a loop in it is charged with the whole function. So
// loops stand in small functions of their own here, which are not inlined, and without the check of the stack that nosplit
// leaves out; in a policy they had better, too.

// HasTried tells whether an earlier attempt went to endpoint ep.
//
//go:nosplit
//go:noinline
func (r *Request) HasTried(ep uint32) bool {
	for k := uint32(0); k < uint32(r.NTried); k++ {
		if r.Tried[k&7] == ep {
			return true
		}
	}
	return false
}

func (t *Table) at(off uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(t), off) }

// Endpoint is the entry of endpoint ep.
func (t *Table) Endpoint(ep uint32) *Endpoint { return (*Endpoint)(t.at(t.EpOff + ep*t.EpStride)) }

// Column is the live figures of one kind, one an endpoint; nil if they were not asked for.
func (t *Table) Column(c Column) []uint32 {
	off := t.ColOff[c&15]
	if off == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(t.at(off)), t.N)
}

// Text is the string at an offset: NameOff of an endpoint, say. It lies in the table: copy what is to outlive it.
func (t *Table) Text(off uint32) string {
	b := (*[4]byte)(t.at(off))
	return unsafe.String((*byte)(t.at(off+4)), uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)
}

// Meta is the value of endpoint ep for a key, in the table like Text.
func (t *Table) Meta(ep uint32, key string) (value string, ok bool) {
	off := t.Endpoint(ep).MetaOff
	b := (*[4]byte)(t.at(off))
	off += 4
	for range uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24 {
		k := t.Text(off)
		off += 4 + uint32(len(k))
		v := t.Text(off)
		off += 4 + uint32(len(v))
		if k == key {
			return v, true
		}
	}
	return "", false
}

// Tier is the usable endpoints of a tier, 0..3, by ascending index.
func (t *Table) Tier(tier int) []uint32 {
	var begin uint32
	if tier > 0 {
		begin = t.TierEnd[tier-1]
	}
	return unsafe.Slice((*uint32)(t.at(t.UpOff+4*begin)), t.TierEnd[tier]-begin)
}

// Candidates is the first tier in which r has an endpoint left to try; empty if there is none.
func (t *Table) Candidates(r *Request) []uint32 {
	begin, end := t.first(r)
	return unsafe.Slice((*uint32)(t.at(t.UpOff+4*begin)), end-begin)
}

//go:nosplit
//go:noinline
func (t *Table) first(r *Request) (begin, end uint32) {
	for tier := 0; tier < len(t.TierEnd); tier++ {
		end = t.TierEnd[tier&3]
		if begin < end && (r.NTried == 0 || t.untried(r, begin, end)) {
			return begin, end
		}
		begin = end
	}
	return 0, 0
}

// untried looks at no more than NTried + 1 of up.
//
//go:nosplit
//go:noinline
func (t *Table) untried(r *Request, begin, end uint32) bool {
	for ; begin < end; begin++ {
		if !r.HasTried(*(*uint32)(t.at(t.UpOff + 4*begin))) {
			return true
		}
	}
	return false
}

// Heaviest is the greatest weight in the table.
func (t *Table) Heaviest() (w uint32) {
	for i := range t.N {
		w = max(w, t.Endpoint(i).Weight)
	}
	return w
}

var regions [6][]uint64

// Alloc is what lb_alloc answers. A region is kept until the next of its kind.
func Alloc(what int32, n uint32) uint32 {
	if what < 0 || int(what) >= len(regions) || n > 1<<30 {
		return 0
	}
	regions[what] = make([]uint64, max(1, (n+7)/8))
	return uint32(uintptr(unsafe.Pointer(&regions[what][0])))
}

// Records is what lb_feedback gets, valid during that call.
func Records(records *Feedback, n int32) []Feedback { return unsafe.Slice(records, n) }

// Bytes is a buffer of lb_save or lb_restore, valid during that call.
func Bytes(buf *byte, n int32) []byte { return unsafe.Slice(buf, n) }
