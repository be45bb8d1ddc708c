package fuel

import "math"

// Weights of what wazero's compiler does, in nanoseconds and bytes. They were fitted: the least by which no shape of
// package fueltest takes more than nine tenths of its estimate, and a Go guest comes to twice what it takes.
const (
	byteWork   = 40
	instrWork  = 150
	heavyWork  = 9500 // an instruction that becomes many: call_indirect, table.get, divisions, conversions of floats
	branchWork = 500
	funcWork   = 20_000
	typeWork   = 700  // a value in a type
	valueWork  = 80   // a variable where ways meet, or on the way there; edges say how many times
	aliasWork  = 350  // a variable in a loop within a loop, for each loop around: phis are resolved through all of them
	parentWork = 14   // a block that dominates another: loops are found by walking up from each block and each branch
	labelWork  = 140  // such a block, for a label of a br_table
	accessWork = 3300 // of memory
	againWork  = 4    // of memory, for each access before in the body: each is a way out of it
	chainWork  = 80   // a block that is walked back, from a use of a variable to where it may have been set
	reloadWork = 400  // a mutable global after a call
	passWork   = 1000 // a value that a call, block or branch hands over

	instrSpace  = 200
	valueSpace  = 40
	reloadSpace = 350
	labelSpace  = 2000
	heavySpace  = 6500
	accessSpace = 4000
	passSpace   = 1000
	typeSpace   = 110
	keptPart    = 20 // of the space for a body, one part stays: machine code

	meetEdges   = 2
	labelEdges  = 7 // of a br_table
	branchEdges = 26
	inRegisters = 32 // variables; more are moved to and from memory
)

// effort is the compiler's work for one body, as it is read. It follows the basic blocks that the compiler makes, and
// where each lies in the tree of those that dominate it.
type effort struct {
	globals int  // mutable ones
	dead    bool // what follows is not reached: the compiler leaves it out
	depth   int  // of the present basic block among dominators
	chain   int  // basic blocks since the last one where ways met
	loops   int  // open

	block   uint32   // the present basic block
	defined []uint32 // by variable: the last basic block in which it was set. Locals come first, then globals
	exposed []bool   // by variable: read in a basic block that did not set it before
	called  uint32   // the last basic block with a call, which sets all globals
	locals  int
	values  int  // variables that are exposed, memory included: what the ways to a place can differ in
	memory  bool // the memory's base and size are

	accesses int // of memory

	fixed, space int // nanoseconds and bytes that are counted
	edges, nest  int // what each of values is to be counted for: ways and places where they meet; loops, by those around
}

// addedGlobals is what the metered module has beyond the globals of the guest: the fuel, the reserve.
const addedGlobals = 2

func (e *effort) begin(size, locals, globals, mutable int) {
	*e = effort{
		globals: mutable + addedGlobals, block: 1, locals: locals, values: 1, // the fuel

		fixed: funcWork + size*byteWork, defined: zeroed(e.defined, locals+globals), exposed: zeroed(e.exposed, locals+globals),
	}
}

func zeroed[T any](s []T, n int) []T {
	s = append(s[:0], make([]T, n)...)
	return s
}

// work returns nanoseconds.
func (e *effort) work() int {
	values := e.values + max(0, e.values-inRegisters)
	return e.fixed + values*(e.edges*valueWork+e.nest*aliasWork)
}

// bytes returns what the compiler has in memory for the body, while it is at it.
func (e *effort) bytes() int { return e.space + e.values*e.edges*valueSpace }

// kept returns what of that stays until the module is compiled: machine code, which is in memory twice by then.
func (e *effort) kept() int { return e.bytes() / keptPart }

// ways are those that lead to the end of a block, or to the header of a loop.
type ways struct {
	n     int
	depth int // of the least deep basic block that one comes from
	arity int // values that a branch to it hands over
	loop  bool

	headDead             bool // the block itself is not reached
	headDepth, headChain int
}

const nowhere = math.MaxInt

// branch is an instruction that leads to w.
func (e *effort) branch(w *ways) {
	if e.dead {
		return
	}
	e.fixed += branchWork
	e.edges += branchEdges
	e.way(w)
}

// label is one of a br_table's, which leads to w.
func (e *effort) label(w *ways) {
	if e.dead {
		return
	}
	e.edges += labelEdges
	e.way(w)
}

// way notes a way to w.
func (e *effort) way(w *ways) {
	if e.dead {
		return
	}
	w.n++
	w.depth = min(w.depth, e.depth)
	e.edges++
	e.fixed += e.depth * parentWork
	e.pass(w.arity)
}

// next begins a basic block that is reached from the present one alone.
func (e *effort) next() {
	if e.dead {
		return
	}
	e.block++
	e.depth++
	e.chain++
	e.fixed += e.depth * parentWork
}

// open begins a block, if or loop that takes and gives so many values.
func (e *effort) open(kind operands, params, results int) ways {
	w := ways{depth: nowhere, arity: results, headDead: e.dead, headDepth: e.depth, headChain: e.chain}
	e.pass(params + results)
	switch kind {
	case opIf:
		e.next()
	case opLoop:
		w.loop, w.arity = true, params
		e.next()
		e.meet()
		e.loops++
		if !e.dead {
			e.nest += e.loops
		}
	}
	return w
}

// elsewhere comes from the first part of an if to the second.
func (e *effort) elsewhere(w *ways) {
	e.way(w)
	e.dead, e.depth, e.chain = w.headDead, w.headDepth, w.headChain
	e.next()
}

// meet makes the present basic block one where ways meet.
func (e *effort) meet() {
	if !e.dead {
		e.chain = 0
		e.edges += meetEdges
	}
}

// end comes to the end of a block; kind is what it is by then.
func (e *effort) end(kind operands, w *ways) {
	if kind == opIf { // what is not the first part is the way of an else that is not written
		e.elsewhere(w)
	}
	if w.loop {
		e.loops--
	} else {
		e.way(w)
		e.dead, e.depth = w.n == 0, w.depth
	}
	e.next()
	if w.n > 1 && !w.loop {
		e.meet()
	}
}

// instruction is any.
func (e *effort) instruction() {
	if !e.dead {
		e.fixed += instrWork
		e.space += instrSpace
	}
}

func (e *effort) heavy() {
	if !e.dead {
		e.fixed += heavyWork
		e.space += heavySpace
	}
}

// heavier is a call_indirect, or an instruction that works on many bytes: each becomes as much code as four heavy ones.
func (e *effort) heavier() {
	for range 4 {
		e.heavy()
	}
}

func (e *effort) pass(values int) {
	if !e.dead {
		e.fixed += values * passWork
		e.space += values * passSpace
	}
}

// get reads a local, or a global: those come behind the locals.
func (e *effort) get(v int) {
	if e.dead {
		return
	}
	e.fixed += e.chain * chainWork
	if e.defined[v] == e.block || v >= e.locals && e.called == e.block {
		return
	}
	e.defined[v] = e.block
	if !e.exposed[v] {
		e.exposed[v] = true
		e.values++
	}
}

func (e *effort) set(v int) {
	if !e.dead {
		e.defined[v] = e.block
	}
}

// access is a use of the memory: of where it is and how long.
func (e *effort) access() {
	if e.dead {
		return
	}
	e.fixed += accessWork + e.accesses*againWork + 2*e.chain*chainWork
	e.accesses++
	e.space += accessSpace
	if !e.memory {
		e.memory = true
		e.values += 2
	}
}

// call is a call that hands over so many values.
func (e *effort) call(values int) {
	if e.dead {
		return
	}
	e.pass(values)
	e.fixed += e.globals * reloadWork
	e.space += e.globals * reloadSpace
	e.called = e.block
}

// refill is a charge with a call where there is no fuel.
func (e *effort) refill() {
	w := e.open(opIf, 0, 0)
	e.call(0)
	e.end(opIf, &w)
}

// choice is a br_table: its labels are compared with each other.
func (e *effort) choice(labels int) {
	if !e.dead {
		e.fixed += labels*labels + labels*e.depth*labelWork
		e.space += labels * labelSpace
	}
}

// bulk is an instruction that the compiler makes a loop of.
func (e *effort) bulk() {
	e.refill()
	e.call(0)
	e.heavier()
	w := e.open(opLoop, 0, 0)
	e.branch(&w)
	e.end(opLoop, &w)
	e.meet()
}

// wrap is what stands around a loop that is left to refill.
func (e *effort) wrap() {
	w := e.open(opLoop, 0, 0)
	e.branch(&w)
	e.loops--
	e.call(0)
}
