// Package grammar has the parts of HTTP's grammar that heads, bodies and trailers share (RFC 9110, section 5.6). Nothing here allocates.
package grammar

import (
	"bufio"
	"bytes"
	"encoding/binary"
)

// InToken holds the characters of tokens: names of fields and methods are made of them (RFC 9110, section 5.6.2).
var InToken = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		set[c] = true
	}
	return set
}()

// IsValue reports whether b has no control characters but tabs (RFC 9110, section 5.5).
func IsValue(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		// Whether any of eight bytes is below 0x20 or is 0x7f: S. E. Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n".
		const each, high = 0x0101010101010101, 0x8080808080808080
		w := binary.LittleEndian.Uint64(b)
		del := w ^ each*0x7f
		if ((w-each*0x20)&^w|(del-each)&^del)&high != 0 && !isValue(b[:8]) {
			return false
		}
	}
	return isValue(b)
}

func isValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Lower makes a letter of ASCII a small one.
func Lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b | 0x20
	}
	return b
}

// EqualFold compares ASCII without regard to case.
func EqualFold[T string | []byte](b []byte, s T) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		if b[i] != s[i] && Lower(b[i]) != Lower(s[i]) {
			return false
		}
	}
	return true
}

// Trim takes blanks off both ends (OWS of RFC 9110, section 5.6.3).
func Trim(b []byte) []byte { return TrimRight(TrimLeft(b)) }

// TrimLeft takes blanks off the beginning.
func TrimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// TrimRight takes blanks off the end.
func TrimRight(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// NextElement cuts the first element off a comma-separated list (RFC 9110, section 5.6.1).
func NextElement(list []byte) (element, rest []byte) {
	element, rest, _ = bytes.Cut(list, []byte{','})
	return Trim(element), rest
}

// Number reads a number of bytes, as Content-Length has it (RFC 9110, section 8.6). Over 18 digits are none.
func Number(b []byte) (n int64, ok bool) {
	const most = 18 // digits that fit for sure
	for _, d := range b {
		if d < '0' || d > '9' || len(b) > most {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, len(b) > 0
}

// More returns what br holds when at least one byte beyond seen has come. It takes nothing out of br.
func More(br *bufio.Reader, seen []byte) ([]byte, error) {
	if _, err := br.Peek(len(seen) + 1); err != nil {
		return nil, err
	}
	return br.Peek(br.Buffered())
}
