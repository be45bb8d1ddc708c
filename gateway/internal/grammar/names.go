package grammar

// MaxName is the length of the longest name that Names may have.
const MaxName = 32

// Names tells what fields are, by their names in any case.
type Names[T any] struct{ byLength [MaxName + 1][]named[T] }

type named[T any] struct {
	name string // in small letters
	is   T
}

// NewNames returns the names of a table. They are of small letters, one at least and 32 at most.
func NewNames[T any](table map[string]T) *Names[T] {
	n := new(Names[T])
	for name, is := range table {
		n.byLength[len(name)] = append(n.byLength[len(name)], named[T]{name, is})
	}
	return n
}

// Find returns what the field of that name is, the zero value if it is not in the table.
func (n *Names[T]) Find(name []byte) (is T) {
	if len(name) == 0 || len(name) > MaxName {
		return is
	}
	first := Lower(name[0])
	for i := range n.byLength[len(name)] {
		if c := &n.byLength[len(name)][i]; c.name[0] == first && EqualFold(name, c.name) {
			return c.is
		}
	}
	return is
}
