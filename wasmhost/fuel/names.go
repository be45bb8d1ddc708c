package fuel

import (
	"strings"
	"unicode/utf8"
)

// maxName is how much of a function's name is kept, in bytes.
const maxName = 128

// custom reads a custom section. All are dropped but the functions' names, which say where a guest trapped. As the
// specification has it, a fault behind the section's name does not make a module invalid: what was read until then is kept.
func (p *parser) custom() {
	name, end := p.name("section name"), p.end
	defer func() {
		p.at = end
		if r := recover(); r != nil {
			if _, ok := r.(*Error); !ok {
				panic(r)
			}
		}
	}()
	if name != "name" || p.names != nil {
		return
	}
	p.names = map[uint32]string{}
	for p.left() > 0 {
		id := p.byte()
		n := p.count("bytes of names", 1, p.left())
		if id != 1 {
			p.skip(n)
			continue
		}
		for range p.count("function names", 2, MaxFuncs) {
			i := p.index("function", len(p.funcs))
			name := p.name("function name")
			if len(name) > maxName {
				name = name[:maxName]
				for !utf8.ValidString(name) {
					name = name[:len(name)-1]
				}
			}
			if !strings.HasPrefix(name, Reserved) {
				p.names[i] = name
			}
		}
	}
}
