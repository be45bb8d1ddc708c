package fuel

// entry is an exported function that the host calls often. It is exported once more, as [Reserved] and its name, with the
// fuel at hand as one parameter more and what is left of that as one result more: to set and to read a global from
// outside costs as much as a small function.
type entry struct {
	name string
	fn   int      // that is called
	typ  FuncType // of that
}

// Entry returns the name under which the export name, one of [Limits].Entries, is called with its fuel.
func Entry(name string) string { return Reserved + name }

// entryType returns the type of a function of type f as an entry.
func entryType(f FuncType) FuncType {
	return FuncType{f.Params + string(rune(I64)), f.Results + string(rune(I64))}
}

// body calls the function with the fuel that is handed over.
func (e entry) body(out []byte, fuel int) []byte {
	n := len(e.typ.Params) // the index of the fuel among the parameters
	out = unsigned(append(out, 0, codeLocalGet), n)
	out = unsigned(append(out, codeGlobalSet), fuel)
	for i := range n {
		out = unsigned(append(out, codeLocalGet), i)
	}
	out = unsigned(append(out, codeCall), e.fn)
	return append(unsigned(append(out, codeGlobalGet), fuel), codeEnd)
}
