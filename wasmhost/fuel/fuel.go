// Package fuel vets WebAssembly modules and rewrites them so that they count what they do and stop when it is too much.
//
// A guest that runs compiled code cannot be interrupted from outside, so the bound has to be in its own code: [Meter]
// adds a mutable i64 global, exported as [Global], and charges it at each function entry, at each loop header, and
// before each instruction whose cost depends on an operand. Below zero the guest takes another [Slice] out of a second
// global, [Reserve], and traps if there is none. Between slices it leaves its code for a moment, so that a guest with
// much fuel does not keep all threads of the process waiting. The host sets both globals before a call and reads them
// after: see [Tank].
//
// The package is a security boundary. It reads the module with a parser of its own, which checks every count against
// the bytes that are left before it allocates, every index against what the module itself declares (so that no code
// reaches what is added here), and refuses whatever it does not know. It depends on the standard library alone.
package fuel

import "fmt"

// Names of what is added. Exports whose names begin with Reserved are refused.
const (
	Global   = Reserved + "fuel"    // export: the fuel at hand
	Reserve  = Reserved + "reserve" // export: what is left beside it
	Refill   = Reserved + "refill"  // in the names of functions: the one that is innermost in a stack where fuel ran out
	Reserved = "__lb_"
)

// Bounds of what is accepted. Those without a source in a comment keep the size of a compiled module proportional to
// the size of its file.
const (
	MaxModule      = 8 << 20   // bytes
	MaxCode        = 1 << 20   // bytes of the code section, unless Limits.Large
	MaxBody        = 64 << 10  // bytes of one function, unless Limits.Large
	MaxLargeBody   = 128 << 10 // with it; Go's standard library has one of 50 KB
	MaxNesting     = 512       // blocks within blocks, unless Limits.Large
	MaxDeepNesting = 4096      // with it: Go compiles a function to as many blocks as it has places to go on from
	MaxLocals      = 256       // of one function, parameters included
	MaxFuncs       = 20_000    // imported and own
	MaxTypes       = 20_000    //
	MaxGlobals     = 20_000    //
	MaxMutable     = 1000      // globals that are mutable: the compiler loads each after each call
	MaxExports     = 20_000    //
	MaxTables      = 64        //
	MaxTableSize   = 64 << 10  // entries: the sum of the tables' minima, and the maximum of each
	MaxElements    = 256 << 10 // entries of all element segments
	MaxSegments    = 64 << 10  // element or data segments
	MaxData        = 4 << 20   // bytes of all data segments
	// Of wazero's compiler, by the estimate in work.go. A Go guest with fmt comes to 2.1 s and takes 0.8 s; one with
	// encoding/json too to 2.8 s and takes 1.1 s; guests in other languages come to less than 50 ms.
	MaxCompileWork  = 3_000_000_000 // nanoseconds
	MaxCompileSpace = 240 << 20     // bytes, at the worst function
)

// Slice is the fuel that is at hand at most. The dearest instructions, divisions, take 5 ns a unit.
const Slice = 100_000

// Charges, in units of fuel. An instruction costs 1; one that opens a block with a type of its own costs one more for each
// parameter and result, which branches move.
const (
	EntryCharge     = 64   // of a call, on top of its locals: bounds recursion long before the host's stack does
	PageCharge      = 4096 // of a page of memory.grow
	TableSlotCharge = 16   // of an entry of table.grow
	BulkShift       = 4    // bulk instructions cost len >> BulkShift
)

// Limits are what a module may have. They differ from guest to guest; what does not is a constant above.
type Limits struct {
	MemoryPages uint32              // most pages (64 KiB) of memory; the module's own maximum is lowered to it
	Start       int64               // fuel that the instance begins with, 0 or more: a start section runs on it
	Entries     map[string]FuncType // exported functions that the host calls often: see Entry. Those of another type are none
	Large       bool                // lift MaxCode to MaxModule, MaxBody to MaxLargeBody, MaxNesting to MaxDeepNesting, as guests with a language runtime need
}

// Metered is a module that counts its fuel, and what it says of itself. Its slices must not be changed.
type Metered struct {
	Bytes       []byte
	Imports     []Import // functions all
	Exports     []Export
	MemoryPages uint32 // at start; 0 also if it has no memory
}

// Kind is what an export is.
type Kind byte

// Kinds of exports.
const (
	Func Kind = iota
	Table
	Memory
	GlobalVar
)

// String returns "function", "table", "memory" or "global".
func (k Kind) String() string {
	if k > GlobalVar {
		return fmt.Sprintf("Kind(%d)", byte(k))
	}
	return [...]string{"function", "table", "memory", "global"}[k]
}

// Import is a function that the module wants of its host.
type Import struct {
	Module, Name string
	Type         FuncType
}

// Export is something that the module gives its host. Type is that of a function.
type Export struct {
	Name string
	Kind Kind
	Type FuncType
}

// Error says why a module is not accepted.
type Error struct {
	Offset  int  // of the byte in the module at which it was found
	Refused bool // well-formed, as far as it was read, but not allowed; otherwise malformed
	Reason  string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// Meter vets module and returns it with fuel counting. Its errors are of type *[Error]. It does not check the types of
// operands: the compiler does that, and what is added here neither repairs nor breaks them.
func Meter(module []byte, l Limits) (m *Metered, err error) {
	if len(module) > MaxModule {
		return nil, &Error{Offset: MaxModule, Refused: true, Reason: fmt.Sprintf("the module has %d bytes, want at most %d", len(module), MaxModule)}
	}
	p := &parser{reader: reader{b: module, end: len(module)}, limits: l, datacount: -1}
	defer func() {
		// The reader reports by panic, so that each of its hundred callers is one line.
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			m, err = nil, e
		}
	}()
	p.module()
	return p.emit(), nil
}
