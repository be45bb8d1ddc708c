package form

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file.
type Error struct {
	File         string // or the name of an environment variable
	Line, Column int    // from 1; 0 if the mistake has no place in the file
	Path         string // such as clusters.web.timeout; "" is the whole file
	Got, Want    string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	fmt.Fprintf(&b, ": got %s, want %s", e.Got, e.Want)
	return b.String()
}

// Errors are all mistakes of a file, by their place. It prints one a line.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders the mistakes by their place in the file.
func (e Errors) Sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Place is where something stands. Line is 0 in the environment.
type Place struct {
	File         string
	Line, Column int
}

// Places holds where each value stands, by path: of a list or mapping the place of its key.
type Places map[string]Place

// Of returns the place of path, or of the nearest that holds it.
func (p Places) Of(path string) Place {
	for {
		if at, ok := p[path]; ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// Error returns a mistake at the place of path. Paths look like listeners[0].address and clusters.web.policy; a name
// that holds other characters than letters, digits, "-" and "_" is written clusters["a.b"].
func (p Places) Error(path, got, want string) *Error {
	at := p.Of(path)
	return &Error{File: at.File, Line: at.Line, Column: at.Column, Path: path, Got: got, Want: want}
}

// Child returns the path of what is called name in the mapping at path.
func Child(path, name string) string {
	plain := name != "" && strings.IndexFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
	switch {
	case !plain:
		return fmt.Sprintf("%s[%q]", path, name)
	case path == "":
		return name
	}
	return path + "." + name
}

// Item returns the path of element i of the list at path.
func Item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Nearest returns " (did you mean ...)" for the candidate closest to name, or "" if none is close.
func Nearest(name string, candidates []string) string {
	best, least := "", len(name)/3+2
	for _, c := range candidates {
		if d := distance(name, c); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Quote shows a value that was got, cut to a length that fits a message.
func Quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return fmt.Sprintf("%q", s)
}
