package fuel_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/wasmhost/fuel"
	"github.com/weir-lb/weir/wasmhost/fuel/fueltest"
)

var limits = fuel.Limits{MemoryPages: 64, Start: 1000}

// mod builds a module out of sections: an id and the bytes after it.
func mod(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

func sec(id byte, body ...byte) []byte { return append([]byte{id, byte(len(body))}, body...) }

// code is a module of one function () -> () with one memory, one table and one global, whose body is b without its end.
func code(b ...byte) []byte {
	f := append(append([]byte{0}, b...), 0x0b)
	return mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(4, 1, 0x70, 0, 1), sec(5, 1, 0, 1), sec(6, 1, 0x7f, 1, 0x41, 0, 0x0b),
		sec(10, append([]byte{1, byte(len(f))}, f...)...))
}

func TestMeter(t *testing.T) {
	for name, c := range map[string]struct {
		module  []byte
		want    string // in the error; "" if the module is accepted
		refused bool
	}{
		"an empty module is accepted":              {mod(), "", false},
		"a module with everything is accepted":     {code(), "", false},
		"no bytes":                                 {nil, "not a WebAssembly module", false},
		"text":                                     {[]byte("(module)"), "not a WebAssembly module", false},
		"a component":                              {[]byte("\x00asm\x0d\x00\x01\x00"), "component", true},
		"version 2":                                {[]byte("\x00asm\x02\x00\x00\x00"), "version", true},
		"an unknown section":                       {mod(sec(13)), "unknown section 13", true},
		"a custom section without a name":          {mod(sec(0)), "too soon", false},
		"a section twice":                          {mod(sec(1, 0), sec(1, 0)), "twice", false},
		"sections out of order":                    {mod(sec(3, 0), sec(1, 0)), "out of order", false},
		"a section longer than the file":           {mod([]byte{1, 9, 0}), "9 bytes of section claimed", false},
		"bytes left in a section":                  {mod(sec(1, 0, 0)), "1 bytes beyond", false},
		"a global that the host appends, read":     {code(0x23, 1, 0x1a), "global index 1", false},
		"a global that the host appends, written":  {code(0x42, 0, 0x24, 1), "global index 1", false},
		"its own global, written":                  {code(0x41, 0, 0x24, 0), "", false},
		"the scratch local, read":                  {code(0x41, 0, 0x40, 0, 0x1a, 0x20, 0, 0x1a), "local index 0", false},
		"an export of the appended global":         {mod(sec(7, 1, 1, 'g', 3, 0)), "global index 0", false},
		"an export with the reserved name":         {mod(sec(5, 1, 0, 1), sec(7, 1, 9, '_', '_', 'l', 'b', '_', 'f', 'u', 'e', 'l', 2, 0)), "host's", true},
		"an export twice":                          {mod(sec(5, 1, 0, 1), sec(7, 2, 1, 'm', 2, 0, 1, 'm', 2, 0)), "twice", false},
		"an initialiser that reads a global":       {mod(sec(6, 1, 0x7f, 0, 0x23, 0, 0x0b)), "want a constant", true},
		"a call of a function that is not there":   {code(0x10, 1), "function index 1", false},
		"the function that refills, in a table":    {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(4, 1, 0x70, 0, 1), sec(9, 1, 0, 0x41, 0, 0x0b, 1, 1), sec(10, 1, 2, 0, 0x0b)), "function index 1", false},
		"the function that refills, referred to":   {code(0xd2, 1, 0x1a), "function index 1", false},
		"the function that refills, in a global":   {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(6, 1, 0x70, 0, 0xd2, 1, 0x0b), sec(10, 1, 2, 0, 0x0b)), "function index 1", false},
		"the function that refills, exported":      {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(7, 1, 1, 'f', 0, 1), sec(10, 1, 2, 0, 0x0b)), "function index 1", false},
		"the function that refills, at the start":  {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(8, 1), sec(10, 1, 2, 0, 0x0b)), "function index 1", false},
		"the type that is appended, of a block":    {code(0x02, 1, 0x0b), "block type 1", false},
		"the type that is appended, of a call":     {code(0x41, 0, 0x11, 1, 0), "type index 1", false},
		"the type that is appended, of a function": {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 1), sec(10, 1, 2, 0, 0x0b)), "type index 1", false},
		"the reserve, written":                     {code(0x42, 0, 0x24, 2), "global index 2", false},
		"an initialiser that computes":             {mod(sec(6, 1, 0x7f, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b)), "want its end", true},
		"a data segment without a memory":          {mod(sec(11, 1, 0, 0x41, 0, 0x0b, 0)), "want a memory", false},
		"an element segment without a table":       {mod(sec(9, 1, 0, 0x41, 0, 0x0b, 0)), "want a table", false},
		"a 64-bit memory":                          {mod(sec(5, 1, 4, 1)), "64-bit", true},
		"a maximum below the minimum":              {mod(sec(5, 1, 1, 2, 1)), "below its minimum", false},
		"an export with the name of the reserve":   {mod(sec(5, 1, 0, 1), sec(7, 1, 12, '_', '_', 'l', 'b', '_', 'r', 'e', 's', 'e', 'r', 'v', 'e', 2, 0)), "host's", true},
		"a name that is not UTF-8":                 {mod(sec(7, 1, 1, 0xff, 2, 0)), "not UTF-8", false},
		"a number type that is not known":          {mod(sec(1, 1, 0x60, 1, 0x7b, 0)), "value type 0x7b", true},
		"a label that is not there":                {code(0x0c, 1), "label index 1", false},
		"a br_table that claims too much":          {code(0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f), "4294967295 labels claimed", false},
		"an else without an if":                    {code(0x05), "else without if", false},
		"two elses":                                {code(0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b), "else without if", false},
		"code after the end":                       {code(0x0b, 0x01), "after the end", false},
		"a body without an end":                    {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(10, 1, 2, 0, 0x01)), "too soon", false},
		"a vector instruction":                     {code(0xfd, 0x0c), "opcode 0xfd", true},
		"an atomic instruction":                    {code(0xfe, 0x03, 0), "opcode 0xfe", true},
		"a tail call":                              {code(0x12, 0), "opcode 0x12", true},
		"the smallest 32-bit number":               {code(0x41, 0x80, 0x80, 0x80, 0x80, 0x78, 0x1a), "", false},
		"a constant with bits above the 32nd":      {code(0x41, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a), "does not fit 32 bits", false},
		"an index with bits above the 32nd":        {code(0x10, 0x80, 0x80, 0x80, 0x80, 0x10), "does not fit 32 bits", false},
		"a 64-bit constant with bits above":        {code(0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x1a), "does not fit 64 bits", false},
		"an imported memory":                       {mod(sec(2, 1, 1, 'e', 1, 'm', 2, 0, 1)), "is a memory, want functions only", true},
		"an imported global":                       {mod(sec(2, 1, 1, 'e', 1, 'g', 3, 0x7e, 1)), "is a global, want functions only", true},
		"an imported table":                        {mod(sec(2, 1, 1, 'e', 1, 't', 1, 0x70, 0, 1)), "is a table, want functions only", true},
		"a shared memory":                          {mod(sec(5, 1, 3, 1, 1)), "shared", true},
		"two memories":                             {mod(sec(5, 2, 0, 1, 0, 1)), "2 memories", true},
		"a memory above the limit":                 {mod(sec(5, 1, 0, 65)), "memory of 65 pages", true},
		"a memory without a maximum":               {mod(sec(5, 1, 0, 64)), "", false},
		"tables above the limit":                   {mod(sec(4, 2, 0x70, 0, 0x80, 0x80, 2, 0x70, 0, 0x80, 0x80, 3)), "tables of", true},
		"a memory instruction without memory":      {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(10, 1, 6, 0, 0x3f, 0, 0x1a, 0x0b, 0)), "want a memory", false},
		"functions without bodies":                 {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0)), "1 functions declared, 0 bodies", false},
		"a start function of the wrong type":       {mod(sec(1, 1, 0x60, 1, 0x7f, 0), sec(3, 1, 0), sec(8, 0), sec(10, 1, 2, 0, 0x0b)), "start function", false},
		"data without a count":                     {code(0xfc, 9, 0), "want a data count", false},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := fuel.Meter(c.module, limits)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				validate(t, m.Bytes)
				return
			}
			var e *fuel.Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, c.want) || e.Refused != c.refused {
				t.Fatalf("Meter: %v (%+v), want %q with refused %t", err, e, c.want, c.refused)
			}
			if e.Offset < 0 || e.Offset > len(c.module) {
				t.Errorf("offset %d, want one in the module of %d bytes", e.Offset, len(c.module))
			}
		})
	}
}

// Each module of the test claims 4 G of something in a few bytes, which would exhaust the memory of a decoder that trusts it.
func TestMeterChecksCountsBeforeItAllocates(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	with := func(id byte, before ...byte) []byte { return sec(id, append(before, huge...)...) }
	typ, fn := sec(1, 1, 0x60, 0, 0), sec(3, 1, 0)
	for name, m := range map[string][]byte{
		"types": mod(with(1)), "parameters": mod(with(1, 1, 0x60)), "results": mod(with(1, 1, 0x60, 0)),
		"imports": mod(with(2)), "import name": mod(with(2, 1)), "functions": mod(typ, with(3)), "tables": mod(with(4)),
		"memories": mod(with(5)), "globals": mod(with(6)), "exports": mod(with(7)), "elements": mod(with(9)),
		"element items": mod(with(9, 1, 1, 0)), "bodies": mod(typ, fn, with(10)), "body size": mod(typ, fn, with(10, 1)),
		"groups of locals": mod(typ, fn, sec(10, append([]byte{1, 6}, huge...)...)),
		"locals":           mod(typ, fn, sec(10, append(append([]byte{1, 8, 1}, huge...), 0x7f, 0x0b)...)),
		"data":             mod(with(11)), "data bytes": mod(sec(5, 1, 0, 1), with(11, 1, 1)), "data count": mod(with(12)),
		"table size": mod(with(4, 1, 0x70, 0)), "memory size": mod(with(5, 1, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			allocated := testing.AllocsPerRun(1, func() {
				if _, err := fuel.Meter(m, limits); err == nil {
					t.Error("Meter accepted it")
				}
			})
			if allocated > 100 {
				t.Errorf("%v allocations, want few", allocated)
			}
		})
	}
	t.Run("names are left out, not fatal", func(t *testing.T) {
		m, err := fuel.Meter(mod(sec(0, append([]byte("\x04name\x01\x06"), huge...)...)), limits)
		if err != nil || !bytes.HasSuffix(m.Bytes, []byte("\x04name\x01\x0e\x01\x00\x0b"+fuel.Refill)) {
			t.Fatalf("Meter: %v, % x", err, m.Bytes)
		}
	})
}

func TestMeterBoundsWhatTheCompilerWouldSuffer(t *testing.T) {
	nested := func(n int) []byte {
		b := append(bytes.Repeat([]byte{0x02, 0x40}, n), bytes.Repeat([]byte{0x0b}, n+1)...)
		return body(b, 0)
	}
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"512 blocks deep":      {nested(512), ""},
		"513 blocks deep":      {nested(513), "nested"},
		"256 locals":           {body([]byte{0x0b}, 256), ""},
		"257 locals":           {body([]byte{0x0b}, 257), "locals"},
		"20,000 blocks":        {body(append(bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 20_000), 0x0b), 250), "too long to compile"},
		"a body of 65 KiB":     {body(append(bytes.Repeat([]byte{0x01}, 65<<10), 0x0b), 0), "body of"},
		"a module of 9 MiB":    {make([]byte, 9<<20), "want at most"},
		"20,001 functions":     {mod(sec(1, 1, 0x60, 0, 0), long(3, append([]byte{0xa1, 0x9c, 1}, make([]byte, 20_001)...))), "functions"},
		"5 MiB of data":        {mod(sec(5, 1, 0, 1), long(11, append([]byte{1, 1, 0x80, 0x80, 0xc0, 2}, make([]byte, 5<<20)...))), "bytes of data"},
		"65 tables":            {mod(long(4, append([]byte{65}, bytes.Repeat([]byte{0x70, 0, 0}, 65)...))), "tables"},
		"4097 mutable globals": {mod(long(6, append([]byte{0x81, 0x20}, bytes.Repeat([]byte{0x7f, 1, 0x41, 0, 0x0b}, 4097)...))), "more than 1000 mutable globals"},
		"20,001 globals":       {mod(long(6, append([]byte{0xa1, 0x9c, 1}, bytes.Repeat([]byte{0x7f, 0, 0x41, 0, 0x0b}, 20_001)...))), "20001 globals"},
		"20,001 types":         {mod(long(1, append([]byte{0xa1, 0x9c, 1}, bytes.Repeat([]byte{0x60, 0, 0}, 20_001)...))), "20001 types"},
		"256 Ki + 1 elements":  {mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), sec(4, 1, 0x70, 0, 1), long(9, append([]byte{1, 0, 0x41, 0, 0x0b, 0x81, 0x80, 0x10}, make([]byte, 256<<10+1)...))), "262145 elements"},
		"64 Ki + 1 segments":   {mod(sec(5, 1, 0, 1), long(11, append([]byte{0x81, 0x80, 4}, bytes.Repeat([]byte{1, 0}, 64<<10+1)...))), "65537 data segments"},
		"a parameter of 257":   {mod(long(1, append([]byte{1, 0x60, 0x81, 2}, append(bytes.Repeat([]byte{0x7f}, 257), 0)...))), "parameters"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := fuel.Meter(c.module, limits)
			if c.want == "" && err == nil {
				validate(t, m.Bytes)
			} else if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Meter: %v, want %q", err, c.want)
			}
		})
	}
}

func TestLargeLiftsWhatGoGuestsNeed(t *testing.T) {
	l := limits
	l.Large = true
	nested := func(n int) []byte {
		return body(append(bytes.Repeat([]byte{0x02, 0x40}, n), bytes.Repeat([]byte{0x0b}, n+1)...), 0)
	}
	nops := func(size, funcs int) []byte {
		m := fueltest.Module{Types: []fueltest.Type{{}}}
		for range funcs {
			m.Funcs = append(m.Funcs, fueltest.Func{Code: bytes.Repeat([]byte{0x01}, size)})
		}
		return m.Bytes()
	}
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"4096 blocks deep":  {nested(4096), ""},
		"4097 blocks deep":  {nested(4097), "nested more than 4096 deep"},
		"a body of 65 KiB":  {nops(65<<10, 1), ""},
		"a body of 129 KiB": {nops(129<<10, 1), "body of 132098 bytes, want at most 65536, or 131072 with large: true"},
		"code of 1.1 MiB":   {nops(100<<10, 11), ""},
		"257 locals":        {body([]byte{0x0b}, 257), "locals"},
	} {
		if _, err := fuel.Meter(c.module, l); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestErrorsNameTheByte(t *testing.T) {
	for _, c := range []struct {
		module []byte
		want   string
	}{
		{mod(sec(1, 0), sec(13)), "byte 11: unknown section 13"},
		{mod(sec(1, 1, 0x61)), "byte 10: 1 types claimed"},
		{mod(sec(1, 1, 0x61, 0, 0)), "byte 11: type form 0x61"},
		{code(0x01, 0x01, 0xfe, 0x03, 0), "byte 44: opcode 0xfe"},
		{code(0x01, 0x10, 0x09), "byte 44: function index 9"},
	} {
		if _, err := fuel.Meter(c.module, limits); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("Meter(% x): %v, want %q", c.module, err, c.want)
		}
	}
}

func TestCustomSectionsAreDropped(t *testing.T) {
	m, err := fuel.Meter(mod(sec(0, append([]byte("\x04prod"), "secret"...)...), sec(1, 0), sec(0, append([]byte("\x05debug"), "secret"...)...)), limits)
	if err != nil || bytes.Contains(m.Bytes, []byte("secret")) {
		t.Errorf("Meter: %v, % x", err, m.Bytes)
	}
}

func uleb(n int) (b []byte) {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func long(id byte, body []byte) []byte {
	return append(append([]byte{id}, uleb(len(body))...), body...)
}

func body(b []byte, locals int) []byte {
	head := []byte{0}
	if locals > 0 {
		head = append(append([]byte{1}, uleb(locals)...), 0x7f)
	}
	b = append(head, b...)
	return mod(sec(1, 1, 0x60, 0, 0), sec(3, 1, 0), long(10, append(append([]byte{1}, uleb(len(b))...), b...)))
}

// TestMeterRefusesWhatKeepsTheCompilerBusy: of each shape there is a size that is refused before it is compiled.
func TestMeterRefusesWhatKeepsTheCompilerBusy(t *testing.T) {
	for _, s := range fueltest.Shapes() {
		size, err := 64, error(nil)
		for ; err == nil && size < 32<<20; size *= 8 {
			_, err = fuel.Meter(s.Module(size, 1), fuel.Limits{MemoryPages: 64, Start: 1000, Large: true})
		}
		if e := (*fuel.Error)(nil); !errors.As(err, &e) || !e.Refused {
			t.Errorf("%s of size %d: %v, want it refused", s.Name, size, err)
		}
	}
}

// TestMeterCountsWhatTheCompilerKeeps: what one function of a kind does not take, many do, and so do types.
func TestMeterCountsWhatTheCompilerKeeps(t *testing.T) {
	shapes := map[string]fueltest.Shape{}
	for _, s := range fueltest.Shapes() {
		shapes[s.Name] = s
	}
	large := fuel.Limits{MemoryPages: 64, Start: 1000, Large: true}
	for name, c := range map[string]struct{ size, few, many int }{
		"conversions to u64":  {8500, 1, 4},
		"types of 200 values": {9000, 0, 1},
	} {
		s := shapes[name]
		if _, err := fuel.Meter(s.Module(c.size*min(c.few, 1), c.few), large); err != nil {
			t.Errorf("%s, %d: %v", name, c.few, err)
		}
		if _, err := fuel.Meter(s.Module(c.size, c.many), large); err == nil || !strings.Contains(err.Error(), "too much memory to compile") {
			t.Errorf("%s, %d: %v, want it refused for memory", name, c.many, err)
		}
	}
}

func TestMeteredSaysWhatTheModuleHas(t *testing.T) {
	m, err := fuel.Meter(mod(
		sec(1, 2, 0x60, 2, 0x7f, 0x7e, 1, 0x7d, 0x60, 0, 0), sec(2, 1, 2, 'l', 'b', 3, 'l', 'o', 'g', 0, 0), sec(3, 1, 1),
		sec(5, 1, 0, 3), sec(7, 2, 3, 'r', 'u', 'n', 0, 1, 1, 'm', 2, 0), sec(10, 1, 2, 0, 0x0b),
		sec(0, append([]byte("\x04name\x01\x06\x01\x01"), "\x03abc"...)...)), limits)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Imports) != 1 || m.Imports[0].Type.String() != "(i32 i64) -> f32" || m.Imports[0].Name != "log" {
		t.Errorf("imports %+v", m.Imports)
	}
	if len(m.Exports) != 2 || m.Exports[0].Type.String() != "() -> ()" || m.Exports[1].Kind != fuel.Memory || m.MemoryPages != 3 {
		t.Errorf("exports %+v, %d pages", m.Exports, m.MemoryPages)
	}
	if !bytes.Contains(m.Bytes, []byte("\x04name\x01\x13\x02\x01\x03abc\x02\x0b"+fuel.Refill)) {
		t.Errorf("the function's name is lost: % x", m.Bytes)
	}
	validate(t, m.Bytes)
}

// validate asks wabt, where it is present, whether the module is valid.
func validate(t *testing.T, module []byte) {
	t.Helper()
	tool, err := exec.LookPath("wasm-validate")
	if err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, file).CombinedOutput(); err != nil {
		t.Errorf("wasm-validate: %v\n%s% x", err, out, module)
	}
}

func FuzzMeter(f *testing.F) {
	f.Add(mod())
	f.Add(code(0x03, 0x40, 0x41, 1, 0x40, 0, 0x0d, 0, 0x0b))
	f.Add(code(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 0))
	f.Add(body(append(bytes.Repeat([]byte{0x02, 0x40}, 5), bytes.Repeat([]byte{0x0b}, 6)...), 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := fuel.Meter(b, limits)
		var e *fuel.Error
		if (m == nil) != (err != nil) || err != nil && !errors.As(err, &e) {
			t.Fatalf("Meter: %v, %v", m, err)
		}
	})
}
