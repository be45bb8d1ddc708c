package fuel

// operands says what follows an opcode in the code.
type operands byte

const (
	unknown operands = iota // not an instruction that is accepted
	none
	heavy
	opBlock
	opLoop
	opIf
	opElse
	opEnd
	opUnreachable
	opReturn
	label
	labelIf
	labels
	funcIndex
	callIndirect
	selectTyped
	localIndex
	globalIndex
	tableIndex
	memArg
	memZero // one zero byte: the memory
	memGrow
	varI32
	varI64
	fixed4
	fixed8
	refNull
	refFunc
	prefixFC
)

// opcodes are those of one byte, from WebAssembly core 2.0, section 5.4, without vectors.
var opcodes = func() (t [256]operands) {
	fill := func(from, to int, o operands) {
		for i := from; i <= to; i++ {
			t[i] = o
		}
	}
	t[0x00], t[0x01] = opUnreachable, none // nop
	t[0x02], t[0x03], t[0x04], t[0x05], t[0x0b] = opBlock, opLoop, opIf, opElse, opEnd
	t[0x0c], t[0x0d] = label, labelIf // br, br_if
	t[0x0e] = labels                  // br_table
	t[0x0f] = opReturn
	t[0x10], t[0x11] = funcIndex, callIndirect
	fill(0x1a, 0x1b, none) // drop, select
	t[0x1c] = selectTyped
	fill(0x20, 0x22, localIndex)
	fill(0x23, 0x24, globalIndex)
	fill(0x25, 0x26, tableIndex)
	fill(0x28, 0x3e, memArg)
	t[0x3f], t[0x40] = memZero, memGrow
	t[0x41], t[0x42], t[0x43], t[0x44] = varI32, varI64, fixed4, fixed8
	fill(0x45, 0xc4, none)  // comparisons, arithmetic, conversions, sign extension
	fill(0x6d, 0x70, heavy) // i32.div_s ... i32.rem_u
	fill(0x7f, 0x82, heavy) // i64.div_s ... i64.rem_u
	fill(0xa8, 0xab, heavy) // i32.trunc_f32_s ...
	fill(0xae, 0xb1, heavy) // ... i64.trunc_f64_u
	fill(0xb2, 0xba, heavy) // f32.convert_i32_s ... f64.convert_i64_u
	t[0xd0], t[0xd1], t[0xd2] = refNull, none, refFunc
	t[0xfc] = prefixFC
	return t
}()

// Opcodes that this package writes or looks for.
const (
	codeUnreachable = 0x00
	codeBlock       = 0x02
	codeLoop        = 0x03
	codeIf          = 0x04
	codeEnd         = 0x0b
	codeBr          = 0x0c
	codeBrIf        = 0x0d
	codeCall        = 0x10
	codeDrop        = 0x1a
	codeSelect      = 0x1b
	codeLocalGet    = 0x20
	codeLocalTee    = 0x22
	codeGlobalGet   = 0x23
	codeGlobalSet   = 0x24
	codeMemoryGrow  = 0x40
	codeI32Const    = 0x41
	codeI64Const    = 0x42
	codeF32Const    = 0x43
	codeF64Const    = 0x44
	codeI64Eqz      = 0x50
	codeI64LtS      = 0x53
	codeI64Add      = 0x7c
	codeI64Sub      = 0x7d
	codeI64Mul      = 0x7e
	codeI64ShrU     = 0x88
	codeExtendU     = 0xad // i64.extend_i32_u
	codeRefNull     = 0xd0
	codeRefFunc     = 0xd2
	formFunc        = 0x60 // of a type
	emptyBlock      = 0x40
)

// Instructions behind the prefix 0xfc.
const (
	memoryInit = 8
	dataDrop   = 9
	memoryCopy = 10
	memoryFill = 11
	tableInit  = 12
	elemDrop   = 13
	tableCopy  = 14
	tableGrow  = 15
	tableSize  = 16
	tableFill  = 17
)
