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
	out = section(out, secType, p.typeSec)
	out = section(out, secImport, p.importSec)
	out = section(out, secFunc, p.funcSec)
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
	b := append(unsigned(nil, p.globals+1), p.globalItems...)
	b = append(signed(append(b, byte(I64), 1, codeI64Const), p.limits.Start), codeEnd)
	out = section(out, secGlobal, b)
	b = append(unsigned(nil, len(p.exports)+1), p.exportItems...)
	b = append(unsigned(b, len(Global)), Global...)
	out = section(out, secExport, unsigned(append(b, byte(GlobalVar)), p.globals))
	out = section(out, secStart, p.startSec)
	out = section(out, secElement, p.elementSec)
	if p.datacount >= 0 {
		out = section(out, secDataCount, unsigned(nil, p.datacount))
	}
	if len(p.bodies) > 0 {
		b = unsigned(make([]byte, 0, len(p.b)), len(p.bodies))
		var f []byte
		for i := range p.bodies {
			f = p.bodies[i].emit(f[:0], p.globals)
			b = append(unsigned(b, len(f)), f...)
		}
		out = section(out, secCode, b)
	}
	out = section(out, secData, p.dataSec)
	if len(p.names) > 0 {
		f := unsigned(nil, len(p.names))
		for _, i := range slices.Sorted(maps.Keys(p.names)) {
			name := p.names[i]
			f = append(unsigned(unsigned(f, int(i)), len(name)), name...)
		}
		b = append([]byte("\x04name"), 1)
		out = section(out, secCustom, append(unsigned(b, len(f)), f...))
	}
	return &Metered{Bytes: out, Imports: p.imports, Exports: p.exports, MemoryPages: p.minPages}
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

// emit writes the body with its charges. The fuel is global fuel.
func (f *body) emit(out []byte, fuel int) []byte {
	if f.scratch < 0 {
		out = append(unsigned(out, f.groups), f.locals...)
	} else {
		out = append(unsigned(out, f.groups+1), f.locals...)
		out = append(out, 1, byte(I32))
	}
	done := 0
	for _, c := range f.charges {
		out = append(out, f.code[done:c.at]...)
		done = c.at
		out = f.charge(out, c, fuel)
	}
	return append(out, f.code[done:]...)
}

// charge writes: fuel -= cost; if fuel < 0 { trap }. The stack is the same before and after. An operand is taken as
// unsigned: as a signed number, memory.grow(-1) would refuel.
func (f *body) charge(out []byte, c charge, fuel int) []byte {
	if c.fixed == 0 {
		out = unsigned(append(out, codeLocalTee), f.scratch)
	}
	out = unsigned(append(out, codeGlobalGet), fuel)
	switch {
	case c.fixed != 0:
		out = signed(append(out, codeI64Const), c.fixed)
	case c.factor != 0:
		out = append(unsigned(append(out, codeLocalGet), f.scratch), codeExtendU, codeI64Const)
		out = append(signed(out, c.factor), codeI64Mul)
	default:
		out = append(unsigned(append(out, codeLocalGet), f.scratch), codeExtendU, codeI64Const)
		out = append(signed(out, BulkShift), codeI64ShrU)
	}
	out = unsigned(append(out, codeI64Sub, codeGlobalSet), fuel)
	out = unsigned(append(out, codeGlobalGet), fuel)
	return append(out, codeI64Const, 0, codeI64LtS, codeIf, emptyBlock, codeUnreachable, codeEnd)
}
