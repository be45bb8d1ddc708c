package fuel

import "bytes"

// Section numbers.
const (
	secCustom = iota
	secType
	secImport
	secFunc
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

// order is the place that each section has in a module.
var order = [...]int{
	secType: 1, secImport: 2, secFunc: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7, secStart: 8,
	secElement: 9, secDataCount: 10, secCode: 11, secData: 12,
}

// span is a part of the module that is copied as it is; nil if the section is absent.
type span []byte

// parser is a module in reading. Index spaces hold imports first.
type parser struct {
	reader
	limits Limits

	types    []FuncType
	imports  []Import
	funcs    []uint32 // type of each function, imported and own
	tables   []table
	memories int
	minPages uint32
	globals  int
	mutable  int // of the globals
	exports  []Export
	entries  []entry
	elements int
	segments int // data segments
	bodies   []body
	work     int // see effort
	kept     int
	e        effort
	names    map[uint32]string

	datacount int // -1 if absent
	// Sections that are copied, without their headers.
	typeSec, importSec, funcSec, startSec, elementSec, dataSec span
	globalItems, exportItems                                   span // without the count
}

type table struct {
	elem     ValType
	min, max uint32
}

func (p *parser) module() {
	head := p.b[:min(8, len(p.b))]
	switch {
	case len(head) < 8 || !bytes.Equal(head[:4], []byte("\x00asm")):
		p.malformed(0, "not a WebAssembly module: it begins %q, want \"\\x00asm\"", head)
	case head[6] == 1:
		p.refuse(4, "a WebAssembly component, want a core module")
	case !bytes.Equal(head[4:], []byte{1, 0, 0, 0}):
		p.refuse(4, "version % x, want 01 00 00 00", head[4:])
	}
	p.at = 8
	last := 0
	for p.left() > 0 {
		at := p.at
		id := int(p.byte())
		n := p.count("bytes of section", 1, p.left())
		end := p.at + n
		if id != secCustom {
			if id >= len(order) {
				p.refuse(at, "unknown section %d", id)
			}
			if order[id] <= last {
				p.malformed(at, "section %d is out of order, or there twice", id)
			}
			last = order[id]
		}
		p.section(id, end)
		if p.at != end {
			p.malformed(p.at, "section %d has %d bytes beyond its items", id, end-p.at)
		}
	}
	if own := len(p.funcs) - len(p.imports); own != len(p.bodies) {
		p.malformed(p.at, "%d functions declared, %d bodies", own, len(p.bodies))
	}
	if p.datacount >= 0 && p.datacount != p.segments {
		p.malformed(p.at, "%d data segments announced, %d found", p.datacount, p.segments)
	}
}

// section reads what is in section id, which ends at end.
func (p *parser) section(id, end int) {
	outer := p.end
	p.end = end
	defer func() { p.end = outer }()
	body := span(p.b[p.at:end])
	switch id {
	case secCustom:
		p.custom()
	case secType:
		p.typeSection()
		p.typeSec = body
	case secImport:
		p.importSection()
		p.importSec = body
	case secFunc:
		for range p.count("functions", 1, MaxFuncs-len(p.imports)) {
			p.funcs = append(p.funcs, p.index("type", len(p.types)))
		}
		p.funcSec = body
	case secTable:
		p.tableSection()
	case secMemory:
		p.memorySection()
	case secGlobal:
		p.globalSection()
	case secExport:
		p.exportSection()
	case secStart:
		at := p.at
		if t := p.types[p.funcs[p.index("function", len(p.funcs))]]; t != (FuncType{}) {
			p.malformed(at, "the start function has type %v, want () -> ()", t)
		}
		p.startSec = body
	case secElement:
		p.elementSection()
		p.elementSec = body
	case secDataCount:
		p.datacount = p.count("data segments announced", 0, MaxSegments)
	case secCode:
		p.codeSection()
	case secData:
		p.dataSection()
		p.dataSec = body
	}
}

func (p *parser) typeSection() {
	for range p.count("types", 3, MaxTypes) {
		at := p.at
		if c := p.byte(); c != 0x60 {
			p.refuse(at, "type form 0x%02x, want 0x60 (function)", c)
		}
		params := p.valTypes("parameters")
		t := FuncType{params, p.valTypes("results")}
		p.types = append(p.types, t)
		p.work += (len(t.Params) + len(t.Results)) * typeWork
		p.kept += (len(t.Params) + len(t.Results)) * typeSpace
	}
}

func (p *parser) importSection() {
	for range p.count("imports", 4, MaxFuncs) {
		module, name := p.name("module name"), p.name("import name")
		at := p.at
		kind := Kind(p.byte())
		if kind != Func {
			p.refuse(at, "import %q %q is a %v, want functions only", module, name, kind)
		}
		t := p.index("type", len(p.types))
		p.funcs = append(p.funcs, t)
		p.imports = append(p.imports, Import{module, name, p.types[t]})
	}
}

// limit reads the limits of a table or memory, of which flags names what is meant by bits above the first.
func (p *parser) limit(what string) (lo, hi uint32, bounded bool) {
	at := p.at
	flags := p.byte()
	if flags > 1 {
		p.refuse(at, "%s with flags 0x%02x (shared or 64-bit), want a plain one", what, flags)
	}
	lo = p.u32()
	if bounded = flags == 1; bounded {
		if hi = p.u32(); hi < lo {
			p.malformed(at, "%s has maximum %d below its minimum %d", what, hi, lo)
		}
	}
	return lo, hi, bounded
}

func (p *parser) tableSection() {
	sum := uint64(0)
	for range p.count("tables", 3, MaxTables) {
		elem, at := p.refType(), p.at
		lo, hi, bounded := p.limit("table")
		if sum += uint64(lo); sum > MaxTableSize {
			p.refuse(at, "tables of %d entries at start, want at most %d", sum, MaxTableSize)
		}
		if !bounded {
			hi = MaxTableSize
		}
		p.tables = append(p.tables, table{elem, lo, min(hi, MaxTableSize)})
	}
}

func (p *parser) memorySection() {
	at := p.at
	p.memories = p.count("memories", 2, 1)
	if p.memories == 0 {
		return
	}
	lo, hi, bounded := p.limit("memory")
	if lo > p.limits.MemoryPages {
		p.refuse(at, "memory of %d pages at start, want at most %d", lo, p.limits.MemoryPages)
	}
	if bounded && hi < p.limits.MemoryPages {
		p.limits.MemoryPages = hi
	}
	p.minPages = lo
}

func (p *parser) globalSection() {
	n := p.count("globals", 4, MaxGlobals)
	begin := p.at
	for range n {
		p.valType()
		at := p.at
		if c := p.byte(); c > 1 {
			p.malformed(at, "mutability 0x%02x, want 0 or 1", c)
		} else if c == 1 {
			if p.mutable++; p.mutable > MaxMutable {
				p.refuse(at, "more than %d mutable globals", MaxMutable)
			}
		}
		p.constant()
	}
	p.globals = n
	p.globalItems = span(p.b[begin:p.at])
}

// constant reads an initialiser. There are no imported globals, and it could read no other.
func (p *parser) constant() {
	at := p.at
	switch c := p.byte(); c {
	case codeI32Const:
		p.signed(32)
	case codeI64Const:
		p.signed(64)
	case codeF32Const:
		p.skip(4)
	case codeF64Const:
		p.skip(8)
	case codeRefNull:
		p.refType()
	case codeRefFunc:
		p.index("function", len(p.funcs))
	default:
		p.refuse(at, "instruction 0x%02x in an initialiser, want a constant", c)
	}
	at = p.at
	if c := p.byte(); c != codeEnd {
		p.refuse(at, "instruction 0x%02x in an initialiser, want its end", c)
	}
}

func (p *parser) exportSection() {
	n := p.count("exports", 3, MaxExports)
	begin := p.at
	seen := make(map[string]bool, n)
	for range n {
		at := p.at
		name := p.name("export name")
		if len(name) >= len(Reserved) && name[:len(Reserved)] == Reserved {
			p.refuse(at, "export %q: names that begin %q are the host's", name, Reserved)
		}
		if seen[name] {
			p.malformed(at, "export %q is there twice", name)
		}
		seen[name] = true
		at = p.at
		e := Export{Name: name, Kind: Kind(p.byte())}
		switch e.Kind {
		case Func:
			f := p.index("function", len(p.funcs))
			e.Type = p.types[p.funcs[f]]
			if t, ok := p.limits.Entries[name]; ok && t == e.Type {
				p.entries = append(p.entries, entry{name, int(f), e.Type})
			}
		case Table:
			p.index("table", len(p.tables))
		case Memory:
			p.index("memory", p.memories)
		case GlobalVar:
			p.index("global", p.globals)
		default:
			p.refuse(at, "export %q is of kind %d, want 0..3", name, e.Kind)
		}
		p.exports = append(p.exports, e)
	}
	p.exportItems = span(p.b[begin:p.at])
}

func (p *parser) elementSection() {
	n := p.count("element segments", 3, MaxSegments)
	p.elements = n
	total := 0
	for range n {
		at := p.at
		flags := p.u32()
		if flags > 7 {
			p.refuse(at, "element segment with flags %d, want 0..7", flags)
		}
		passive, explicit, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
		if !passive {
			if explicit {
				p.index("table", len(p.tables))
			} else if len(p.tables) == 0 {
				p.malformed(at, "element segment for table 0, want a table")
			}
			p.constant()
		}
		if passive || explicit {
			if exprs {
				p.refType()
			} else {
				p.zero("element kind")
			}
		}
		count := p.count("elements", 1, MaxElements-total)
		total += count
		for range count {
			if exprs {
				p.constant()
			} else {
				p.index("function", len(p.funcs))
			}
		}
	}
}

func (p *parser) dataSection() {
	p.segments = p.count("data segments", 2, MaxSegments)
	total := 0
	for range p.segments {
		at := p.at
		flags := p.u32()
		if flags > 2 {
			p.refuse(at, "data segment with flags %d, want 0..2", flags)
		}
		if flags == 2 {
			p.index("memory", p.memories)
		} else if flags == 0 && p.memories == 0 {
			p.malformed(at, "data segment for memory 0, want a memory")
		}
		if flags != 1 {
			p.constant()
		}
		n := p.count("bytes of data", 1, MaxData-total)
		total += n
		p.skip(n)
	}
}
