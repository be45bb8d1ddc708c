package fuel

import "time"

// body is a function in reading: what of it is copied, and what comes between.
type body struct {
	locals  span // groups of locals, without their count
	groups  int
	code    span // instructions, the last end included
	edits   []edit
	scratch int // index of an i32 local that is added, or -1
}

// edit is what is written before code[at], or in place of the label there.
type edit struct {
	kind editKind
	size byte   // of the label that is replaced
	at   uint32 // in code
	n    int64  // fuel; the label; or in openLoop, the bytes of the block type that stands behind the loop's opcode
}

type editKind byte

const (
	charge      editKind = iota // n fuel
	chargeRound                 // n fuel, at the header of a loop that openLoop came before
	chargeUnits                 // n fuel a unit of the i32 operand on top of the stack
	chargeBulk                  // that operand >> BulkShift
	openLoop
	closeLoop
	relabel
)

// block is an open block. Instructions in it are paid for by the edit with index paid.
type block struct {
	kind    operands
	wrapped bool
	paid    int
	wraps   int // loops that are wrapped, among this block and those around it
	ways    ways
}

func (p *parser) codeSection() {
	if n := p.left(); n > MaxCode && !p.limits.Large {
		p.refuse(p.at, "code of %d bytes, want at most %d, or %d with large: true", n, MaxCode, MaxModule)
	}
	own := len(p.funcs) - len(p.imports)
	at := p.at
	n := p.count("bodies", 3, MaxFuncs)
	if n != own {
		p.malformed(at, "%d functions declared, %d bodies", own, n)
	}
	blocks := make([]block, 0, 16)
	for i := range n {
		at := p.at
		size := p.count("bytes of body", 1, p.left())
		if size > MaxBody && !p.limits.Large || size > MaxLargeBody {
			p.refuse(at, "body of %d bytes, want at most %d, or %d with large: true", size, MaxBody, MaxLargeBody)
		}
		outer := p.end
		p.end = p.at + size
		p.bodies = append(p.bodies, p.body(p.types[p.funcs[len(p.imports)+i]], blocks))
		if p.at != p.end {
			p.malformed(p.at, "%d bytes after the end of the body", p.left())
		}
		p.end = outer
	}
}

func (p *parser) body(t FuncType, blocks []block) body {
	f := body{scratch: -1}
	locals := len(t.Params)
	f.groups = p.count("groups of locals", 2, p.left())
	begin := p.at
	for range f.groups {
		at := p.at
		n := p.u32()
		p.valType()
		if uint64(locals)+uint64(n) > MaxLocals {
			p.refuse(at, "more than %d locals and parameters", MaxLocals)
		}
		locals += int(n)
	}
	f.locals = span(p.b[begin:p.at])
	f.edits = append(f.edits, edit{kind: charge, n: EntryCharge + int64(locals)})

	w := walk{parser: p, f: &f, locals: locals, blocks: append(blocks[:0], block{kind: opBlock}), begin: p.at}
	w.e = p.e
	w.e.begin(p.left(), locals, p.globals, p.mutable)
	w.blocks[0].ways = w.e.open(opBlock, 0, len(t.Results))
	w.e.call(len(t.Params))
	w.e.refill()
	for len(w.blocks) > 0 {
		w.instruction()
	}
	f.code = span(p.b[w.begin:p.at])
	if w.scratch {
		f.scratch = locals
	}
	w.weigh()
	p.work += w.e.work()
	p.kept += w.e.kept()
	p.e = w.e
	return f
}

// walk is one pass over the instructions of a body.
type walk struct {
	*parser
	e       effort
	f       *body
	locals  int
	blocks  []block
	scratch bool
	begin   int
}

func (w *walk) push(kind operands, paid, params, results int) {
	most := MaxNesting
	if w.limits.Large {
		most = MaxDeepNesting
	}
	if len(w.blocks) > most {
		w.refuse(w.at, "blocks are nested more than %d deep", most)
	}
	w.blocks = append(w.blocks, block{kind: kind, paid: paid, wraps: w.blocks[len(w.blocks)-1].wraps, ways: w.e.open(kind, params, results)})
	w.weigh()
}

// weigh refuses code that would keep the compiler busy: no context stops it.
func (w *walk) weigh() {
	if w.work+w.e.work() > MaxCompileWork {
		w.refuse(w.at, "the code so far would take too long to compile: over %v by estimate", time.Duration(MaxCompileWork))
	}
	if w.kept+w.e.bytes() > MaxCompileSpace {
		w.refuse(w.at, "the code so far would take too much memory to compile: over %d MiB by estimate", MaxCompileSpace>>20)
	}
}

func (w *walk) edit(at int, kind editKind, n int64) {
	w.f.edits = append(w.f.edits, edit{kind: kind, at: uint32(at - w.begin), n: n})
}

// pushLoop opens a loop whose opcode is at. One that takes no values is wrapped: see body.emit.
func (w *walk) pushLoop(at int) {
	behind := w.at
	params, results, cost := w.blockType()
	kind, wrapped := charge, params == 0
	if wrapped {
		kind = chargeRound
		w.edit(at, openLoop, int64(w.at-behind))
		w.e.wrap()
	}
	w.edit(w.at, kind, 1+cost)
	w.push(opLoop, len(w.f.edits)-1, params, results)
	if wrapped {
		w.e.next()
	} else {
		w.e.refill()
	}
	if wrapped {
		top := &w.blocks[len(w.blocks)-1]
		top.wrapped = true
		top.wraps++
	}
}

// label reads a label, which grows by the blocks that wrap the loops it leaves.
func (w *walk) label(weigh func(e *effort, to *ways)) {
	at := w.at
	i := int(w.index("label", len(w.blocks)))
	top := len(w.blocks) - 1
	weigh(&w.e, &w.blocks[top-i].ways)
	if left := w.blocks[top].wraps - w.blocks[top-i].wraps; left > 0 {
		w.edit(at, relabel, int64(i+wrappers*left))
		w.f.edits[len(w.f.edits)-1].size = byte(w.at - at)
	}
}

// operandCharge notes that the instruction at has a cost by its i32 operand on top of the stack.
func (w *walk) operandCharge(at int, kind editKind, n int64) {
	w.scratch = true
	w.edit(at, kind, n)
	w.e.bulk()
}

func (w *walk) instruction() {
	at := w.at
	top := &w.blocks[len(w.blocks)-1]
	paid := top.paid
	w.f.edits[paid].n++
	w.e.instruction()
	c := w.byte()
	switch opcodes[c] {
	case none:
	case heavy:
		w.e.heavy()
	case opReturn:
		w.e.branch(&w.blocks[0].ways)
		w.e.dead = true
	case opUnreachable:
		w.e.dead = true
	case opBlock, opIf:
		params, results, cost := w.blockType()
		w.f.edits[paid].n += cost
		w.push(opcodes[c], paid, params, results)
	case opLoop:
		w.pushLoop(at)
	case opElse:
		if top.kind != opIf {
			w.malformed(at, "else without if")
		}
		top.kind = opElse
		w.e.elsewhere(&top.ways)
	case opEnd:
		w.e.end(top.kind, &top.ways)
		if top.wrapped {
			w.edit(w.at, closeLoop, 0)
		}
		w.blocks = w.blocks[:len(w.blocks)-1]
	case label:
		w.label((*effort).branch)
		w.e.dead = true
	case labelIf:
		w.label((*effort).branch)
		w.e.next()
	case labels:
		n := w.count("labels", 1, w.left())
		w.e.choice(n)
		for range n + 1 {
			w.label((*effort).label)
		}
		w.e.dead = true
	case funcIndex:
		t := w.types[w.funcs[w.index("function", len(w.funcs))]]
		w.e.call(len(t.Params) + len(t.Results))
	case refFunc:
		w.index("function", len(w.funcs))
	case callIndirect:
		t := w.types[w.index("type", len(w.types))]
		w.index("table", len(w.tables))
		w.e.heavier()
		w.e.call(len(t.Params) + len(t.Results))
	case selectTyped:
		if at, n := w.at, w.u32(); n != 1 {
			w.malformed(at, "select of %d types, want 1", n)
		}
		w.valType()
	case localIndex:
		i := int(w.index("local", w.locals))
		if c != codeLocalGet {
			w.e.set(i)
		} else {
			w.e.get(i)
		}
	case globalIndex:
		i := int(w.index("global", w.globals))
		if c != codeGlobalGet {
			w.e.set(w.locals + i)
		} else {
			w.e.get(w.locals + i)
		}
	case tableIndex:
		w.index("table", len(w.tables))
		w.e.heavy()
	case memArg:
		w.memory(at)
		if at, align := w.at, w.u32(); align > 3 {
			w.malformed(at, "alignment 2^%d, want at most 2^3", align)
		}
		w.u32()
	case memZero:
		w.memory(at)
		w.zero("memory index")
	case memGrow:
		w.memory(at)
		w.zero("memory index")
		w.operandCharge(at, chargeUnits, PageCharge)
	case varI32:
		w.signed(32)
	case varI64:
		w.signed(64)
	case fixed4:
		w.skip(4)
	case fixed8:
		w.skip(8)
	case refNull:
		w.refType()
	case prefixFC:
		w.prefixed(at)
	default:
		w.refuse(at, "opcode 0x%02x is not one of WebAssembly 2.0 without vectors", c)
	}
}

// blockType reads the type of a block: how many values it takes and gives, and what that costs.
func (w *walk) blockType() (params, results int, cost int64) {
	at := w.at
	switch c := w.b[min(at, w.end-1)]; {
	case at >= w.end:
		w.byte()
	case c == emptyBlock:
		w.at++
	case c&0xc0 == 0x40: // one byte, negative: a type
		w.valType()
		results = 1
	default:
		t := w.signed(33)
		if t < 0 || t >= int64(len(w.types)) {
			w.malformed(at, "block type %d, want less than %d", t, len(w.types))
		}
		params, results = len(w.types[t].Params), len(w.types[t].Results)
		cost = int64(params + results)
	}
	return params, results, cost
}

func (w *walk) memory(at int) {
	if w.memories == 0 {
		w.malformed(at, "an instruction for memory, want a memory")
	}
	w.e.access()
}

func (w *walk) data() {
	if w.datacount < 0 {
		w.malformed(w.at, "data segment used, want a data count section")
	}
	w.index("data segment", w.datacount)
}

func (w *walk) prefixed(at int) {
	switch op := w.u32(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
		w.e.heavy()
	case memoryInit:
		w.memory(at)
		w.data()
		w.zero("memory index")
		w.operandCharge(at, chargeBulk, 0)
	case dataDrop:
		w.data()
	case memoryCopy:
		w.memory(at)
		w.zero("memory index")
		w.zero("memory index")
		w.operandCharge(at, chargeBulk, 0)
	case memoryFill:
		w.memory(at)
		w.zero("memory index")
		w.operandCharge(at, chargeBulk, 0)
	case tableInit:
		w.index("element segment", w.elements)
		w.index("table", len(w.tables))
		w.operandCharge(at, chargeBulk, 0)
	case elemDrop:
		w.index("element segment", w.elements)
	case tableCopy:
		w.index("table", len(w.tables))
		w.index("table", len(w.tables))
		w.operandCharge(at, chargeBulk, 0)
	case tableGrow:
		w.index("table", len(w.tables))
		w.operandCharge(at, chargeUnits, TableSlotCharge)
	case tableSize:
		w.index("table", len(w.tables))
	case tableFill:
		w.index("table", len(w.tables))
		w.operandCharge(at, chargeBulk, 0)
	default:
		w.refuse(at, "opcode 0xfc %d is not one of WebAssembly 2.0", op)
	}
}
