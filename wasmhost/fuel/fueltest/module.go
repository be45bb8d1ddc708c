// Package fueltest builds modules for tests: shapes that strain compilers, and well-typed programs out of random bytes.
package fueltest

import "bytes"

// Value types, as the binary format writes them.
const (
	I32 = "\x7f"
	I64 = "\x7e"
	F64 = "\x7c"
)

// Type is the type of a function: a byte a value.
type Type struct{ Params, Results string }

// Func is a function of a module. Code has no end at its end.
type Func struct {
	Type   int
	Locals int // of Kind
	Kind   string
	Code   []byte
}

// Module is a module in building. All functions are exported, as f0, f1 and so on, if Export is set.
type Module struct {
	Types   []Type
	Funcs   []Func
	Pages   int  // of memory; below 0: none
	Table   int  // entries; all hold function 0
	Globals int  // mutable i32
	Data    bool // a passive segment of 8 bytes
	Export  bool
}

// U appends n as an unsigned LEB128 number.
func U(b []byte, n int) []byte {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// S appends n as a signed LEB128 number.
func S(b []byte, n int64) []byte {
	for n < -64 || n > 63 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n)&0x7f)
}

// Section returns section id.
func Section(id byte, body []byte) []byte { return append(U([]byte{id}, len(body)), body...) }

// Wasm returns the module of these sections.
func Wasm(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// Bytes returns the module.
func (m *Module) Bytes() []byte {
	types := U(nil, len(m.Types))
	for _, t := range m.Types {
		types = append(U(append(types, 0x60), len(t.Params)), t.Params...)
		types = append(U(types, len(t.Results)), t.Results...)
	}
	funcs, code, exports := U(nil, len(m.Funcs)), U(nil, len(m.Funcs)), []byte(nil)
	n := 0
	for i, f := range m.Funcs {
		funcs = U(funcs, f.Type)
		body := []byte{0}
		if f.Locals > 0 {
			body = append(U([]byte{1}, f.Locals), f.Kind...)
		}
		body = append(append(body, f.Code...), 0x0b)
		code = append(U(code, len(body)), body...)
		if m.Export {
			name := "f" + string(rune('0'+i))
			exports = U(append(append(U(exports, len(name)), name...), 0), i)
			n++
		}
	}
	s := [][]byte{Section(1, types), Section(3, funcs)}
	if m.Table > 0 {
		s = append(s, Section(4, U([]byte{1, 0x70, 0}, m.Table)))
	}
	if m.Pages >= 0 {
		s = append(s, Section(5, U([]byte{1, 0}, m.Pages)))
		if m.Export {
			exports = append(append(U(exports, 6), "memory"...), 2, 0)
			n++
		}
	}
	if m.Globals > 0 {
		s = append(s, Section(6, append(U(nil, m.Globals), bytes.Repeat([]byte{0x7f, 1, 0x41, 0, 0x0b}, m.Globals)...)))
	}
	if n > 0 {
		s = append(s, Section(7, append(U(nil, n), exports...)))
	}
	if m.Table > 0 {
		items := append([]byte{1, 0, 0x41, 0, 0x0b}, U(nil, m.Table)...)
		s = append(s, Section(9, append(items, make([]byte, m.Table)...)))
	}
	if m.Data {
		s = append(s, Section(12, []byte{1}))
	}
	s = append(s, Section(10, code))
	if m.Data {
		s = append(s, Section(11, append([]byte{1, 1, 8}, "8 bytes."...)))
	}
	return Wasm(s...)
}
