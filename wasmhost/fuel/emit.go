package fuel

import (
	"encoding/binary"
	"maps"
	"slices"
)

// emit writes the module with fuel.
func (p *parser) emit() *Metered {
	out := make([]byte, 0, len(p.b)+len(p.b)/2+64)
	out = append(out, "\x00asm\x01\x00\x00\x00"...)
	refill := len(p.funcs)
	out = section(out, secType, p.typesAndOurs())
	out = section(out, secImport, p.importSec)
	out = section(out, secFunc, p.funcsAndOurs())
	if len(p.tables) > 0 {
		b := unsigned(nil, len(p.tables))
		for _, t := range p.tables {
			b = append(b, byte(t.elem), 1)
			b = unsigned(unsigned(b, int(t.min)), int(t.max))
		}
		out = section(out, secTable, b)
	}
	if p.memories > 0 {
		out = section(out, secMemory, unsigned(unsigned([]byte{1, 1}, int(p.minPages)), int(p.limits.MemoryPages)))
	}
	b := append(unsigned(nil, p.globals+2), p.globalItems...)
	start := min(p.limits.Start, Slice)
	b = append(signed(append(b, byte(I64), 1, codeI64Const), start), codeEnd)
	b = append(signed(append(b, byte(I64), 1, codeI64Const), p.limits.Start-start), codeEnd)
	out = section(out, secGlobal, b)
	b = append(unsigned(nil, len(p.exports)+2+len(p.entries)), p.exportItems...)
	for i, name := range []string{Global, Reserve} {
		b = append(unsigned(b, len(name)), name...)
		b = unsigned(append(b, byte(GlobalVar)), p.globals+i)
	}
	for i, e := range p.entries {
		name := Entry(e.name)
		b = append(unsigned(b, len(name)), name...)
		b = unsigned(append(b, byte(Func)), refill+1+i)
	}
	out = section(out, secExport, b)
	out = section(out, secStart, p.startSec)
	out = section(out, secElement, p.elementSec)
	if p.datacount >= 0 {
		out = section(out, secDataCount, unsigned(nil, p.datacount))
	}
	out = p.code(out, refill)
	out = section(out, secData, p.dataSec)
	f := unsigned(nil, len(p.names)+1+len(p.entries))
	for _, i := range slices.Sorted(maps.Keys(p.names)) {
		f = append(unsigned(unsigned(f, int(i)), len(p.names[i])), p.names[i]...)
	}
	f = append(unsigned(unsigned(f, refill), len(Refill)), Refill...)
	for i, e := range p.entries {
		name := Entry(e.name)
		f = append(unsigned(unsigned(f, refill+1+i), len(name)), name...)
	}
	out = section(out, secCustom, append(unsigned([]byte("\x04name\x01"), len(f)), f...))
	return &Metered{Bytes: out, Imports: p.imports, Exports: p.exports, MemoryPages: p.minPages}
}

// code writes the code section. It is most of the module: its size comes last, in five bytes, instead of a copy.
func (p *parser) code(out []byte, refill int) []byte {
	out = append(out, secCode, 0x80, 0x80, 0x80, 0x80, 0)
	begin := len(out)
	out = unsigned(out, len(p.bodies)+1+len(p.entries))
	var f []byte
	for i := range p.bodies {
		f = p.bodies[i].emit(f[:0], p.globals, refill)
		out = append(unsigned(out, len(f)), f...)
	}
	f = refillBody(f[:0], p.globals, p.memories > 0)
	out = append(unsigned(out, len(f)), f...)
	for _, e := range p.entries {
		f = e.body(f[:0], p.globals)
		out = append(unsigned(out, len(f)), f...)
	}
	for i, size := begin-5, len(out)-begin; size > 0; i, size = i+1, size>>7 {
		out[i] |= byte(size & 0x7f)
	}
	return out
}

func section(out []byte, id byte, body []byte) []byte {
	if body == nil {
		return out
	}
	return append(unsigned(append(out, id), len(body)), body...)
}

func unsigned(out []byte, n int) []byte { return binary.AppendUvarint(out, uint64(n)) }

func signed(out []byte, n int64) []byte {
	for n < -64 || n > 63 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n)&0x7f)
}

// typesAndOurs returns the type section with those of what is added at its end: () -> (), and one an entry.
func (p *parser) typesAndOurs() []byte {
	r := reader{b: p.typeSec, end: len(p.typeSec)}
	if r.end > 0 {
		r.u32()
	}
	b := append(append(unsigned(nil, len(p.types)+1+len(p.entries)), p.typeSec[r.at:]...), formFunc, 0, 0)
	for _, e := range p.entries {
		t := entryType(e.typ)
		b = append(unsigned(append(b, formFunc), len(t.Params)), t.Params...)
		b = append(unsigned(b, len(t.Results)), t.Results...)
	}
	return b
}

// funcsAndOurs returns the function section with the function that refills and the entries at its end.
func (p *parser) funcsAndOurs() []byte {
	own := p.funcs[len(p.imports):]
	b := unsigned(nil, len(own)+1+len(p.entries))
	for _, t := range own {
		b = unsigned(b, int(t))
	}
	for i := range len(p.entries) + 1 {
		b = unsigned(b, len(p.types)+i)
	}
	return b
}

// wrappers are the blocks around a loop.
const wrappers = 3

// emit writes the body with its charges. The fuel is global fuel, and function refill is called where there is none.
//
// A call within a loop, even one that is never reached, makes wazero's compiler keep the loop's values in memory: it
// took up to 1.7 times as long. So a loop that takes no values is left to refill, and entered again:
//
//	block (result ...)
//	  loop
//	    block
//	      loop (result ...)
//	        charge, br_if 1 if fuel < 0
//	        ... the loop as it came
//	      end
//	      br 2
//	    end
//	    call refill
//	    br 0
//	  end
//	  unreachable
//	end
func (f *body) emit(out []byte, fuel, refill int) []byte {
	if f.scratch < 0 {
		out = append(unsigned(out, f.groups), f.locals...)
	} else {
		out = append(unsigned(out, f.groups+1), f.locals...)
		out = append(out, 1, byte(I32))
	}
	done := 0
	for _, e := range f.edits {
		at := int(e.at)
		out = append(out, f.code[done:at]...)
		done = at
		switch e.kind {
		case openLoop:
			out = append(append(out, codeBlock), f.code[at+1:at+1+int(e.n)]...)
			out = append(out, codeLoop, emptyBlock, codeBlock, emptyBlock)
		case closeLoop:
			out = append(out, codeBr, 2, codeEnd)
			out = unsigned(append(out, codeCall), refill)
			out = append(out, codeBr, 0, codeEnd, codeUnreachable, codeEnd)
		case relabel:
			out = unsigned(out, int(e.n))
			done += int(e.size)
		case chargeRound:
			out = append(f.take(out, e, fuel), codeBrIf, 1)
		default:
			out = append(f.take(out, e, fuel), codeIf, emptyBlock)
			out = append(unsigned(append(out, codeCall), refill), codeEnd)
		}
	}
	return append(out, f.code[done:]...)
}

// take writes: fuel -= cost; fuel < 0. An operand on the stack stays there. It is taken as unsigned: as a signed number,
// memory.grow(-1) would refuel.
func (f *body) take(out []byte, e edit, fuel int) []byte {
	operand := e.kind == chargeUnits || e.kind == chargeBulk
	if operand {
		out = unsigned(append(out, codeLocalTee), f.scratch)
	}
	out = unsigned(append(out, codeGlobalGet), fuel)
	if operand {
		out = append(unsigned(append(out, codeLocalGet), f.scratch), codeExtendU)
	}
	switch e.kind {
	case chargeUnits:
		out = append(signed(append(out, codeI64Const), e.n), codeI64Mul)
	case chargeBulk:
		out = append(out, codeI64Const, BulkShift, codeI64ShrU)
	default:
		out = signed(append(out, codeI64Const), e.n)
	}
	out = unsigned(append(out, codeI64Sub, codeGlobalSet), fuel)
	out = unsigned(append(out, codeGlobalGet), fuel)
	return append(out, codeI64Const, 0, codeI64LtS)
}

// refillBody writes the function that is called with fuel below 0: it takes slices from the reserve, which is the global
// behind that of the fuel, until there is fuel, and traps if the reserve is empty. To grow the memory by nothing leads out of the guest's
// code for a moment, in which the host's threads can stop for a collection of garbage.
func refillBody(out []byte, fuel int, memory bool) []byte {
	reserve := fuel + 1
	get := func(global int) { out = unsigned(append(out, codeGlobalGet), global) }
	set := func(global int) { out = unsigned(append(out, codeGlobalSet), global) }
	slice := func() { out = signed(append(out, codeI64Const), Slice) }
	out = append(out, 1, 1, byte(I64)) // local 0: what is taken
	if memory {
		out = append(out, codeI32Const, 0, codeMemoryGrow, 0, codeDrop)
	}
	out = append(out, codeLoop, emptyBlock)
	get(reserve)
	out = append(out, codeI64Eqz, codeIf, emptyBlock, codeUnreachable, codeEnd)
	get(reserve)
	slice()
	get(reserve)
	slice()
	out = append(out, codeI64LtS, codeSelect, codeLocalTee, 0)
	get(fuel)
	out = append(out, codeI64Add)
	set(fuel)
	get(reserve)
	out = append(out, codeLocalGet, 0, codeI64Sub)
	set(reserve)
	get(fuel)
	return append(out, codeI64Const, 0, codeI64LtS, codeBrIf, 0, codeEnd, codeEnd)
}
