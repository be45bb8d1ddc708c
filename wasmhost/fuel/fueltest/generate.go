package fueltest

// Generate makes a valid module out of bytes: up to three functions of type (i32, i64) -> i32, with a memory, a table, two
// globals, blocks, loops, branches and calls. What a body does may trap, or never end. Equal bytes give equal modules.
func Generate(seed []byte) []byte {
	g := generator{seed: seed}
	m := Module{
		Types: []Type{{I32 + I64, I32}, {I32, I32}, {"", I32}, {I32, ""}},
		Pages: 1, Table: 4, Globals: 2, Data: true, Export: true,
	}
	for range 1 + g.below(3) {
		m.Funcs = append(m.Funcs, Func{Locals: 3, Kind: I32, Code: nil})
	}
	g.funcs = len(m.Funcs)
	for i := range m.Funcs {
		g.code, g.labels = nil, []byte{I32[0]}
		for range 1 + g.below(6) {
			g.statement(4)
		}
		g.value(4)
		m.Funcs[i].Code = g.code
	}
	return m.Bytes()
}

type generator struct {
	seed   []byte
	code   []byte
	funcs  int
	labels []byte // what a branch to each open block hands over: 0 or the type of a value; innermost last
}

func (g *generator) below(n int) int {
	if len(g.seed) == 0 {
		return 0
	}
	b := g.seed[0]
	g.seed = g.seed[1:]
	return int(b) % n
}

func (g *generator) emit(b ...byte) { g.code = append(g.code, b...) }

// inside writes a block: its opcode, type, what is in it, and its end.
func (g *generator) inside(opcode, typ, label byte, body func()) {
	g.emit(opcode, typ)
	g.labels = append(g.labels, label)
	body()
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(0x0b)
}

const void = 0x40

// open returns the labels to which a branch hands over nothing, or an i32.
func (g *generator) open(kind byte) (is []byte) {
	for i := range g.labels {
		if g.labels[len(g.labels)-1-i] == kind {
			is = append(is, byte(i))
		}
	}
	return is
}

// statement writes what leaves the stack as it was, nested at most depth deep.
func (g *generator) statement(depth int) {
	if depth == 0 || len(g.seed) == 0 {
		g.emit(0x01)
		return
	}
	some := func() {
		for range 1 + g.below(3) {
			g.statement(depth - 1)
		}
	}
	value := func() { g.value(depth - 1) }
	switch g.below(22) {
	case 0, 1:
		value()
		g.emit(0x21, g.local())
	case 2:
		value()
		g.emit(0x24, byte(g.below(2)))
	case 3, 4:
		g.inside(0x02, void, 0, some)
	case 5, 6, 7:
		g.inside(0x03, void, 0, some)
	case 8:
		value()
		g.inside(0x04, void, 0, func() {
			some()
			g.emit(0x05)
			some()
		})
	case 9, 10, 11:
		if to := g.open(0); len(to) > 0 {
			value()
			g.emit(0x0d, to[g.below(len(to))])
		}
	case 12:
		if to := g.open(0); len(to) > 0 {
			value()
			g.emit(0x0e, 2, to[g.below(len(to))], to[g.below(len(to))], to[g.below(len(to))])
			g.emit(0x01)
		}
	case 13:
		g.address(depth)
		value()
		g.emit(0x36, 2, byte(g.below(100)))
	case 14:
		g.small()
		value()
		g.small()
		g.emit(0xfc, 11, 0) // memory.fill
	case 15:
		g.small()
		g.small()
		g.small()
		g.emit(0xfc, 10, 0, 0) // memory.copy
	case 16:
		g.small()
		g.small()
		g.small()
		g.emit(0xfc, 8, 0, 0) // memory.init
	case 17:
		value()
		g.emit(0xd2, byte(g.below(g.funcs)), 0x26, 0) // table.set
	case 18:
		g.small()
		g.emit(0xd0, 0x70)
		g.small()
		g.emit(0xfc, 17, 0) // table.fill
	case 19:
		value()
		g.emit(0x0f)
	case 20:
		value()
		g.inside(0x04, void, 0, func() { g.emit(0x00) })
	case 21:
		g.inside(0x02, void, 0, func() {
			if to := g.open(0); len(to) > 0 {
				g.emit(0x0c, to[g.below(len(to))])
			}
			some()
		})
	}
}

func (g *generator) local() byte { return [...]byte{0, 2, 3, 4}[g.below(4)] }

func (g *generator) small() { g.code = S(append(g.code, 0x41), int64(g.below(16))) }

func (g *generator) address(depth int) {
	g.value(depth - 1)
	g.emit(0x41, 0xff, 0x3f, 0x71) // and 8191
}

var (
	unary  = []byte{0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1}
	binary = []byte{0x46, 0x48, 0x49, 0x4a, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78}
	wide64 = []byte{0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0x83, 0x84, 0x85, 0x86, 0x88, 0x89}
)

// value writes what pushes an i32.
func (g *generator) value(depth int) {
	if depth <= 0 || len(g.seed) == 0 {
		g.emit(0x20, g.local())
		return
	}
	value := func() { g.value(depth - 1) }
	switch g.below(20) {
	case 0, 1:
		g.emit(0x20, g.local())
	case 2:
		g.code = S(append(g.code, 0x41), int64(int8(g.below(256))))
	case 3:
		g.emit(0x23, byte(g.below(2)))
	case 4:
		value()
		g.emit(unary[g.below(len(unary))])
	case 5, 6:
		value()
		value()
		g.emit(binary[g.below(len(binary))])
	case 7:
		g.emit(0x20, 1)
		value()
		g.emit(0xac, wide64[g.below(len(wide64))], 0xa7) // with the i64 parameter
	case 8:
		g.address(depth)
		g.emit(0x28, 2, byte(g.below(100)))
	case 9:
		value()
		value()
		value()
		g.emit(0x1b)
	case 10:
		value()
		g.emit(0x22, g.local())
	case 11:
		value()
		g.emit(0x20, 1, 0x10, byte(g.below(g.funcs)))
	case 12:
		value()
		g.emit(0x20, 1)
		g.small()
		g.emit(0x11, 0, 0)
	case 13:
		g.inside(0x02, I32[0], I32[0], func() {
			g.statement(depth - 1)
			value()
		})
	case 14:
		g.inside(0x03, I32[0], 0, func() { // a loop that gives a value
			g.statement(depth - 1)
			value()
		})
	case 15:
		value()
		g.inside(0x03, 1, I32[0], func() { // a loop that takes one: (i32) -> i32
			g.emit(0x22, g.local())
			g.statement(depth - 1)
		})
	case 16:
		value()
		g.inside(0x04, I32[0], I32[0], func() {
			value()
			g.emit(0x05)
			value()
		})
	case 17:
		if to := g.open(I32[0]); len(to) > 0 {
			value()
			value()
			g.emit(0x0d, to[g.below(len(to))])
			return
		}
		g.emit(0x3f, 0)
	case 18:
		g.small()
		g.emit(0x40, 0)
	case 19:
		g.emit(0xd0, 0x70)
		g.small()
		g.emit(0xfc, 15, 0)
	}
}
