package fueltest

import (
	"bytes"
	"strings"
)

// Shape is a way to keep a compiler busy.
type Shape struct {
	Name   string
	Module func(size, funcs int) []byte // size grows each function
}

// rep returns n times b.
func rep(n int, b ...byte) []byte { return bytes.Repeat(b, n) }

func cat(bs ...[]byte) []byte { return bytes.Join(bs, nil) }

// each returns b(0), b(1) ... b(n-1) in a row.
func each(n int, b func(i int) []byte) []byte {
	var out []byte
	for i := range n {
		out = append(out, b(i)...)
	}
	return out
}

func get(i int) []byte { return U([]byte{0x20}, i) }
func set(i int) []byte { return U([]byte{0x21}, i) }

// Numbers of locals.
const (
	many = 200
	some = 30 // as many as are kept in registers
	few  = 10
)

// same is a module of functions that are alike, of type (i32) -> ().
func same(locals int, code func(size int) []byte) func(size, funcs int) []byte {
	return with(Module{}, locals, code)
}

func with(m Module, locals int, code func(size int) []byte) func(size, funcs int) []byte {
	return func(size, funcs int) []byte {
		m := m
		m.Types = append([]Type{{I32, ""}}, m.Types...)
		f := Func{Type: 0, Locals: locals, Kind: I32, Code: code(size)}
		for range funcs {
			m.Funcs = append(m.Funcs, f)
		}
		return m.Bytes()
	}
}

// line is size times b.
func line(b ...byte) func(size int) []byte { return func(size int) []byte { return rep(size, b...) } }

// around puts size times b between depth values that are pushed before and dropped after.
func around(depth int, b ...byte) func(size int) []byte {
	return func(size int) []byte {
		d := depth
		if d == 0 {
			d = size
		}
		return cat(rep(d, 0x20, 0, 0x45), rep(size, b...), rep(d, 0x1a))
	}
}

// wide is the type of so many i32 to as many.
func wide(n int) Type { return Type{strings.Repeat(I32, n), strings.Repeat(I32, n)} }

func branches(locals int) func(n int) []byte {
	return func(n int) []byte {
		b := each(n, func(i int) []byte { return cat(get(0), set(i%locals+1), []byte{0x20, 0, 0x0d, 0}) })
		return cat([]byte{0x02, 0x40}, b, []byte{0x0b}, reads(locals))
	}
}

// tables are br_tables of 16 labels; between them locals change, so that they differ by the way that was taken.
func tables(locals int) func(n int) []byte {
	return func(n int) []byte {
		b := each(n, func(i int) []byte {
			return cat([]byte{0x02, 0x40}, get(i%locals), []byte{0x0e, 16}, rep(16, 1), []byte{0, 0x0b}, get(0), set(i%locals+1))
		})
		return cat([]byte{0x02, 0x40}, b, []byte{0x0b}, reads(locals))
	}
}

func ifs(locals int) func(n int) []byte {
	return func(n int) []byte {
		return cat(each(n, func(i int) []byte { return cat([]byte{0x20, 0, 0x04, 0x40, 0x20, 0}, set(i%locals+1), []byte{0x0b}) }), reads(locals))
	}
}

func reads(locals int) []byte {
	return each(locals, func(i int) []byte { return cat(get(i), []byte{0x1a}) })
}

// states is how Go compiles a function: a loop around a br_table.
func states(locals int) func(n int) []byte {
	return func(n int) []byte {
		k := min(n, 400)
		labels := each(k, func(i int) []byte { return U(nil, i) })
		states := each(k, func(i int) []byte {
			return cat([]byte{0x0b}, get(i%locals), set(i*3%locals), U([]byte{0x20, 0, 0x0d}, k-i-1))
		})
		return bytes.Repeat(cat([]byte{0x03, 0x40}, rep(k, 0x02, 0x40), []byte{0x20, 0, 0x0e}, U(nil, k-1), labels, states, []byte{0x0b}), max(n/k, 1))
	}
}

// Shapes are those that were thought of; each is the worst of its kind that was found.
func Shapes() []Shape {
	table := Module{Table: 8, Pages: 1, Data: true}
	globals := func(n int) Module { return Module{Globals: n, Types: []Type{{}}} }
	return []Shape{
		{"blocks", same(0, line(0x02, 0x40, 0x0b))},
		{"blocks, many locals", same(many, line(0x02, 0x40, 0x0b))},
		{"branches to one block", same(0, func(n int) []byte { return cat([]byte{0x02, 0x40}, rep(n, 0x20, 0, 0x0d, 0), []byte{0x0b}) })},
		{"branches to one block, with locals", same(many, branches(many))},
		{"branches to one block, with few locals", same(few, branches(few))},
		{"branches to one block, with some locals", same(some, branches(some))},
		{"branches out of the function", same(0, line(0x20, 0, 0x0d, 0))},
		{"ifs", same(0, line(0x20, 0, 0x04, 0x40, 0x0b))},
		{"ifs that set", same(many, ifs(many))},
		{"ifs that set few", same(few, ifs(few))},
		{"ifs that set some", same(some, ifs(some))},
		{"ifs that set and read", same(many, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(get(i%many), []byte{0x04, 0x40}, get(i*7%many), set(i%many+1), []byte{0x0b})
			})
		})},
		{"nested ifs and a late read", same(1, func(n int) []byte {
			k := n
			return cat(rep(n/k, cat([]byte{0x41, 1}, set(1), rep(k, 0x20, 0, 0x04, 0x40), []byte{0x20, 1, 0x1a}, rep(k, 0x0b))...))
		})},
		{"a chain of ifs and late reads", same(1, func(n int) []byte {
			return cat([]byte{0x41, 1}, set(1), rep(n, 0x20, 0, 0x04, 0x40, 0x0f, 0x0b), rep(n, 0x20, 1, 0x1a))
		})},
		{"a chain of ifs with a read in each", same(1, func(n int) []byte { return cat([]byte{0x41, 1}, set(1), rep(n, 0x20, 1, 0x04, 0x40, 0x0f, 0x0b)) })},
		{"nested blocks", same(0, func(n int) []byte {
			k := n
			return rep(max(n/k, 1), cat(rep(k, 0x02, 0x40), rep(k, 0x20, 0, 0x0d, 1, 0x0b))...)
		})},
		{"blocks over a stack", same(0, around(0, 0x02, 0x40, 0x0b))},
		{"ifs over a stack", same(0, around(0, 0x20, 0, 0x04, 0x40, 0x0b))},
		{"ifs over a stack of 100", same(0, around(100, 0x20, 0, 0x04, 0x40, 0x0b))},
		{"loops over a stack", same(0, around(0, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b))},
		{"loops over a stack of 100", same(0, around(100, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b))},
		{"calls over a stack", with(Module{Types: []Type{{I32, ""}}}, 0, around(0, 0x20, 0, 0x10, 0))},
		{"calls over a stack of 100", with(Module{}, 0, around(100, 0x20, 0, 0x10, 0))},
		{"loops", same(0, line(0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b))},
		{"loops that set", same(many, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat([]byte{0x03, 0x40}, get(i*7%many), set(i%many+1), []byte{0x20, 0, 0x0d, 0, 0x0b})
			})
		})},
		{"nested loops", same(0, func(n int) []byte {
			k := n
			return rep(max(n/k, 1), cat(rep(k, 0x03, 0x40), rep(k, 0x20, 0, 0x0d, 0, 0x0b))...)
		})},
		{"nested loops that set", same(many, func(n int) []byte {
			k := n
			in := each(k, func(i int) []byte { return cat([]byte{0x03, 0x40}, get(i%many), set(i*3%many)) })
			return bytes.Repeat(cat(in, rep(k, 0x20, 0, 0x0d, 0, 0x0b)), max(n/k, 1))
		})},
		{"one loop around all", same(many, func(n int) []byte {
			return cat([]byte{0x03, 0x40}, each(n, func(i int) []byte {
				return cat(get(i*7%many), []byte{0x04, 0x40}, get(i%many), set(i*3%many), []byte{0x0b})
			}), []byte{0x20, 0, 0x0d, 0, 0x0b})
		})},
		{"a state machine", same(many, states(many))},
		{"a state machine of some locals", same(some, states(some))},
		{"a state machine of few locals", same(few, states(few))},
		{"a state machine like Go's", with(table, few, func(n int) []byte {
			states := each(n, func(i int) []byte {
				return cat([]byte{0x0b}, get(0), get(0), []byte{0x28, 2}, U(nil, 8*i), set(i%few+1), get(i*3%few+1), []byte{0x36, 2}, U(nil, 4*i),
					get(0), []byte{0x10, 0}, U([]byte{0x20, 0, 0x0d}, n-i-1))
			})
			labels := each(n, func(i int) []byte { return U(nil, i) })
			return cat([]byte{0x03, 0x40}, rep(n, 0x02, 0x40), []byte{0x20, 0, 0x0e}, U(nil, n-1), labels, states, []byte{0x0b})
		})},
		{"calls", with(Module{}, 0, line(0x20, 0, 0x10, 0))},
		{"calls, 200 globals", with(globals(200), 0, func(n int) []byte { return rep(n, 0x20, 0, 0x10, 0) })},
		{"calls, 1000 globals", with(globals(1000), 0, func(n int) []byte { return rep(n, 0x20, 0, 0x10, 0) })},
		{"loops, 1000 globals", with(globals(1000), 0, line(0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b))},
		{"globals in ifs", with(globals(1000), 0, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(U([]byte{0x23}, i%1000), []byte{0x04, 0x40, 0x41, 1}, U([]byte{0x24}, i*7%1000), []byte{0x0b})
			})
		})},
		{"calls of 200 values", func(size, funcs int) []byte {
			m := Module{Types: []Type{wide(200)}}
			f := Func{Code: cat(each(200, get), rep(size, 0x10, 0))}
			for range funcs {
				m.Funcs = append(m.Funcs, f)
			}
			return m.Bytes()
		}},
		{"blocks of 200 values", with(Module{Types: []Type{wide(200)}}, 0, func(n int) []byte {
			return cat(rep(200, 0x41, 0), rep(n, 0x02, 1, 0x20, 0, 0x0d, 0, 0x0b), rep(200, 0x1a))
		})},
		{"loops of 200 values", with(Module{Types: []Type{wide(200)}}, 0, func(n int) []byte {
			return cat(rep(200, 0x41, 0), rep(n, 0x03, 1, 0x20, 0, 0x0d, 0, 0x0b), rep(200, 0x1a))
		})},
		{"branches of 200 values", with(Module{Types: []Type{wide(200)}}, 0, func(n int) []byte {
			return cat(rep(200, 0x41, 0), []byte{0x02, 1}, rep(n, 0x20, 0, 0x0d, 0), []byte{0x0b}, rep(200, 0x1a))
		})},
		{"ifs of 200 values", with(Module{Types: []Type{wide(200)}}, 0, func(n int) []byte {
			return cat(rep(200, 0x41, 0), rep(n, 0x20, 0, 0x04, 1, 0x05, 0x0b), rep(200, 0x1a))
		})},
		{"a br_table", same(0, func(n int) []byte {
			return cat([]byte{0x02, 0x40, 0x20, 0, 0x0e}, U(nil, n), rep(n+1, 0), []byte{0x0b})
		})},
		{"a br_table of 200 values", with(Module{Types: []Type{wide(200)}}, 0, func(n int) []byte {
			return cat(rep(200, 0x41, 0), []byte{0x02, 1, 0x20, 0, 0x0e}, U(nil, n), rep(n+1, 0), []byte{0x0b}, rep(200, 0x1a))
		})},
		{"br_tables", same(0, func(n int) []byte { return rep(n, 0x02, 0x40, 0x20, 0, 0x0e, 2, 0, 0, 0, 0x0b) })},
		{"br_tables, many locals", same(many, func(n int) []byte { return rep(n, 0x02, 0x40, 0x20, 0, 0x0e, 2, 0, 0, 0, 0x0b) })},
		{"br_tables, many locals that change", same(many, tables(many))},
		{"br_tables, some locals that change", same(some, tables(some))},
		{"br_tables, few locals that change", same(few, tables(few))},
		{"loads", with(table, 0, line(0x20, 0, 0x28, 2, 0, 0x1a))},
		{"loads far apart", with(table, 0, line(0x20, 0, 0x28, 2, 0xff, 0xff, 0xff, 0x7f, 0x21, 0))},
		{"loads far apart, of many", with(table, many, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(get(i*7%many), []byte{0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x0f}, set(i%many))
			})
		})},
		{"loads between ifs", with(table, few, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(get(i*7%few), []byte{0x28, 2, 0xff, 0xff, 0xff, 0x7f}, set(i%few), []byte{0x20, 0, 0x04, 0x40, 0x0f, 0x0b})
			})
		})},
		{"stores far apart", with(table, few, func(n int) []byte {
			return each(n, func(i int) []byte { return cat(get(i%few), get(i*3%few), []byte{0x36, 2}, U(nil, 1<<31-8*i)) })
		})},
		{"stores", with(table, 0, line(0x20, 0, 0x20, 0, 0x36, 2, 0))},
		{"memory.fill", with(table, 0, line(0x20, 0, 0x20, 0, 0x20, 0, 0xfc, 11, 0))},
		{"memory.copy", with(table, 0, line(0x20, 0, 0x20, 0, 0x20, 0, 0xfc, 10, 0, 0))},
		{"memory.init", with(table, 0, line(0x20, 0, 0x20, 0, 0x20, 0, 0xfc, 8, 0, 0))},
		{"memory.fill, many locals", with(table, many, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(get(i%many), get(0), get(i*7%many), []byte{0xfc, 11, 0, 0x41, 1}, set(i%many))
			})
		})},
		{"memory.grow", with(table, 0, line(0x20, 0, 0x40, 0, 0x1a))},
		{"table.fill", with(table, 0, line(0x20, 0, 0xd0, 0x70, 0x20, 0, 0xfc, 17, 0))},
		{"table.fill, many locals", with(table, many, func(n int) []byte {
			return each(n, func(i int) []byte {
				return cat(get(i%many), []byte{0xd0, 0x70}, get(i*7%many), []byte{0xfc, 17, 0, 0x41, 1}, set(i%many))
			})
		})},
		{"table.copy", with(table, 0, line(0x20, 0, 0x20, 0, 0x20, 0, 0xfc, 14, 0, 0))},
		{"table.grow", with(table, 0, line(0xd0, 0x70, 0x20, 0, 0xfc, 15, 0, 0x1a))},
		{"table.get", with(table, 0, line(0x20, 0, 0x25, 0, 0x1a))},
		{"table.set", with(table, 0, line(0x20, 0, 0xd2, 0, 0x26, 0))},
		{"call_indirect", with(table, 0, line(0x20, 0, 0x20, 0, 0x11, 0, 0))},
		{"divisions", same(0, line(0x20, 0, 0x20, 0, 0x6d, 0x21, 0))},
		{"conversions", same(0, line(0x20, 0, 0xb7, 0xaa, 0x21, 0))},
		{"conversions to u64", same(0, line(0x20, 0, 0xb7, 0xb1, 0xba, 0xab, 0x21, 0))},
		{"saturating conversions", same(0, line(0x20, 0, 0xb7, 0xfc, 7, 0xb9, 0xfc, 3, 0x21, 0))},
		{"selects", same(0, line(0x20, 0, 0x20, 0, 0x20, 0, 0x1b, 0x21, 0))},
		{"eqz", same(0, func(n int) []byte { return cat(get(0), rep(n, 0x45), set(0)) })},
		{"min of floats", same(0, func(n int) []byte { return cat([]byte{0x20, 0, 0xb7}, rep(n, 0x20, 0, 0xb7, 0xa4), []byte{0x1a}) })},
		{"constants", same(0, line(0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x1a))},
		{"constants that live", same(0, func(n int) []byte {
			return cat(each(n, func(i int) []byte { return S([]byte{0x41}, int64(i)) }), rep(n-1, 0x6a), set(0))
		})},
		{"a deep expression", same(0, func(n int) []byte { return cat(rep(n, 0x20, 0, 0x45), rep(n-1, 0x6a), set(0)) })},
		{"locals that live", same(many, func(n int) []byte {
			return cat(each(many, func(i int) []byte { return cat(get(0), set(i)) }), each(n, func(i int) []byte { return cat(get(i%many), get(i*7%many), []byte{0x6a}, set(i*3%many)) }))
		})},
		{"nops", same(0, line(0x01))},
		{"unreached code", same(0, func(n int) []byte { return cat([]byte{0}, rep(n, 0x02, 0x40, 0x0b)) })},
		{"returns of 200 values", func(size, funcs int) []byte {
			m := Module{Types: []Type{wide(200)}}
			f := Func{Code: cat(each(200, get), rep(size, 0x20, 0, 0x0d, 0))}
			for range funcs {
				m.Funcs = append(m.Funcs, f)
			}
			return m.Bytes()
		}},
		{"types of 200 values", func(size, funcs int) []byte {
			m := Module{Funcs: []Func{{}}, Types: []Type{{}}}
			for i := range size {
				t := wide(200)
				m.Types = append(m.Types, Type{t.Params, t.Results[:i%200] + I64 + t.Results[i%200:]})
			}
			return m.Bytes()
		}},
		{"functions of 200 values", func(size, funcs int) []byte {
			m := Module{Types: []Type{{strings.Repeat(I32, 200), ""}, {"", strings.Repeat(I32, 200)}}}
			for range funcs * size {
				m.Funcs = append(m.Funcs, Func{Type: 0}, Func{Type: 1, Code: []byte{0}})
			}
			return m.Bytes()
		}},
		{"functions", func(size, funcs int) []byte {
			return (&Module{Types: []Type{{}}, Funcs: make([]Func, size*funcs)}).Bytes()
		}},
	}
}
