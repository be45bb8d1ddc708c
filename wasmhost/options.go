package wasmhost

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Options say how one module is loaded. The zero value has the defaults.
type Options struct {
	Name   string  // of the policy: in errors, logs and metrics
	SHA256 string  // hex digest that the module must have; "" takes any
	Config []byte  // handed to the guest's lb_init as it is
	Fuel   Budgets // zero fields have the defaults
	Memory int64   // most bytes of guest memory; 0 is DefaultMemory; rounded up to pages of 64 KiB
	// OnError says what a request gets whose call trapped or ran out of fuel.
	OnError OnError
	// Large admits the big functions of guests that carry a language runtime, such as Go's.
	Large bool
	// Now is the clock in nanoseconds; nil is the real one.
	Now func() int64
	// Manual leaves time to the owner of a policy: nothing happens between calls but by [Policy.Advance], and there is
	// one instance. It is for recording, replay and tests in virtual time.
	Manual bool
	// Inherit is the module that this one takes the place of: its guests' counters, key-value store and series go on.
	Inherit *Module
}

// Bounds of guest memory, in bytes.
const (
	DefaultMemory = 4 << 20
	MaxMemory     = 1 << 30
	pageSize      = 64 << 10
)

// OnError is what a request gets if the guest fails in it.
type OnError uint8

// What a failed call leads to.
const (
	Fallback OnError = iota // the native policy decides
	Reject                  // the client gets 503
)

// Budgets are fuel a call, in units of one instruction. Zero is the default.
type Budgets struct {
	Init      int64 // instantiation, start and lb_init together; 50 M
	Endpoints int64 // lb_endpoints; 1 M and 20 k an endpoint, at most 50 M
	Pick      int64 // lb_pick and lb_retry; 100 k
	Feedback  int64 // lb_feedback; 50 k and 2 k a record
	Tick      int64 // lb_tick; 2 M
}

// ProfileGC returns budgets for guests that allocate in a pick, and so collect garbage in some. Such a pick can take
// milliseconds, in which no goroutine of the gateway passes the stop of a collection of its own.
func ProfileGC() Budgets { return Budgets{Pick: 5_000_000, Feedback: 5_000_000, Tick: 20_000_000} }

const (
	initFuel          = 50_000_000
	endpointsFuel     = 1_000_000
	endpointFuel      = 20_000
	maxEndpointsFuel  = 50_000_000
	pickFuel          = 100_000
	feedbackFuel      = 50_000
	recordFuel        = 2_000
	tickFuel          = 2_000_000
	stateFuel         = 50_000_000 // lb_save, lb_restore
	smallCallFuel     = 1_000_000  // lb_abi_v1, lb_alloc
	largestConfigSize = 1 << 20
)

func (b Budgets) init() int64 { return cmp.Or(b.Init, initFuel) }
func (b Budgets) pick() int64 { return cmp.Or(b.Pick, pickFuel) }
func (b Budgets) tick() int64 { return cmp.Or(b.Tick, tickFuel) }

func (b Budgets) feedback(n int) int64 { return cmp.Or(b.Feedback, feedbackFuel+recordFuel*int64(n)) }

func (b Budgets) endpoints(n int) int64 {
	return cmp.Or(b.Endpoints, min(endpointsFuel+endpointFuel*int64(n), maxEndpointsFuel))
}

// check reports what is wrong with o, and fills in defaults.
func (o *Options) check() error {
	if o.Memory = cmp.Or(o.Memory, DefaultMemory); o.Memory < pageSize || o.Memory > MaxMemory {
		return fmt.Errorf("memory %d, want %d..%d bytes", o.Memory, pageSize, MaxMemory)
	}
	for _, f := range []struct {
		name string
		fuel int64
	}{{"init", o.Fuel.Init}, {"endpoints", o.Fuel.Endpoints}, {"pick", o.Fuel.Pick}, {"feedback", o.Fuel.Feedback}, {"tick", o.Fuel.Tick}} {
		if f.fuel < 0 || f.fuel > math.MaxInt64/2 {
			return fmt.Errorf("fuel for %s %d, want 0..%d", f.name, f.fuel, math.MaxInt64/2)
		}
	}
	if len(o.Config) > largestConfigSize {
		return fmt.Errorf("config of %d bytes, want at most %d", len(o.Config), largestConfigSize)
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixNano() }
	}
	return nil
}

func (o *Options) pages() uint32 { return uint32((o.Memory + pageSize - 1) / pageSize) }
