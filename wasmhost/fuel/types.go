package fuel

import "strings"

// ValType is the type of a value, as the binary format writes it.
type ValType byte

// Types of values.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

var typeNames = map[ValType]string{I32: "i32", I64: "i64", F32: "f32", F64: "f64", FuncRef: "funcref", ExternRef: "externref"}

// String returns the name that the text format has.
func (t ValType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "unknown type"
}

// FuncType is the type of a function: one byte a value, so that types compare with ==.
type FuncType struct{ Params, Results string }

// Sig returns the type of a function with these parameters and results.
func Sig(params, results []ValType) FuncType {
	s := func(ts []ValType) string {
		b := make([]byte, len(ts))
		for i, t := range ts {
			b[i] = byte(t)
		}
		return string(b)
	}
	return FuncType{s(params), s(results)}
}

// String returns the type in the words of the text format, for example "(i32 i32) -> i64".
func (t FuncType) String() string {
	var b strings.Builder
	write := func(s string) {
		for i := range len(s) {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(ValType(s[i]).String())
		}
	}
	b.WriteByte('(')
	write(t.Params)
	b.WriteString(") -> ")
	if len(t.Results) == 0 {
		b.WriteString("()")
	}
	write(t.Results)
	return b.String()
}

func (r *reader) valType() ValType {
	at := r.at
	t := ValType(r.byte())
	if _, ok := typeNames[t]; !ok {
		r.refuse(at, "value type 0x%02x, want i32, i64, f32, f64, funcref or externref", byte(t))
	}
	return t
}

func (r *reader) refType() ValType {
	at := r.at
	t := r.valType()
	if t != FuncRef && t != ExternRef {
		r.malformed(at, "type %v, want funcref or externref", t)
	}
	return t
}

func (r *reader) valTypes(what string) string {
	n := r.count(what, 1, MaxLocals)
	at := r.at
	for range n {
		r.valType()
	}
	return string(r.b[at:r.at])
}
