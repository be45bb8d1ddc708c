package torture

import "strings"

// framings counts the fields of a raw head that say how long a body is, as the most careless reader would find them: one
// that skips whatever is no letter, but for the underscore, which makes another name.
func framings(raw string) int {
	n := 0
	for name := range names(raw) {
		letters := strings.Map(func(r rune) rune {
			if r == '_' || 'a' <= r && r <= 'z' {
				return r
			}
			return -1
		}, name)
		if letters == "contentlength" || letters == "transferencoding" {
			n++
		}
	}
	return n
}

// plain reports whether raw bytes are free of what parsers read in different ways: LF without CR, CR without LF, NUL, and
// lines that go on.
func plain(raw string) bool {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	rest := strings.ReplaceAll(head, "\r\n", "")
	return !strings.ContainsAny(rest, "\r\n\x00") && !strings.Contains(head, "\r\n ") && !strings.Contains(head, "\r\n\t")
}

// hasLine reports whether a raw head has a field of that name whose value holds part.
func hasLine(raw, name, part string) bool {
	for n, v := range names(raw) {
		if strings.TrimSpace(n) == name && strings.Contains(v, part) {
			return true
		}
	}
	return false
}

// names yields the names, in lower case, and values of a raw head's lines after the first, whatever ends a line.
func names(raw string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		split := strings.FieldsFunc(head, func(r rune) bool { return r == '\r' || r == '\n' })
		for _, line := range split[min(1, len(split)):] {
			if name, value, ok := strings.Cut(line, ":"); ok && !yield(strings.ToLower(name), value) {
				return
			}
		}
	}
}
