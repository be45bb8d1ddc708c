package grammar

import (
	"strings"
	"testing"
)

func TestGrammar(t *testing.T) {
	for c, want := range map[byte]bool{'a': true, 'Z': true, '0': true, '-': true, '_': true, '~': true, ' ': false, ':': false, '"': false, '@': false, 0x80: false, 0: false} {
		if InToken[c] != want {
			t.Errorf("InToken[%q] is %v", c, !want)
		}
	}
	for b, want := range map[string]bool{"": true, "a\tb c": true, "\x80\xff": true, "a\rb": false, "\n": false, "\x00": false, "\x7f": false} {
		if got := IsValue([]byte(b)); got != want {
			t.Errorf("IsValue(%q) is %v", b, got)
		}
	}
	for c := range 256 { // at each place, also among eight
		for at := range 19 {
			b := []byte("a value with blanks")
			b[at] = byte(c)
			if got, want := IsValue(b), c >= ' ' && c != 0x7f || c == '\t'; got != want {
				t.Errorf("IsValue(%q) is %v", b, got)
			}
		}
	}
	for _, c := range []struct {
		b, s string
		want bool
	}{{"Via", "vIA", true}, {"Via", "vi", false}, {"a-b", "a_b", false}, {"@", "`", false}, {"\xc1", "\xe1", false}, {"", "", true}} {
		if got := EqualFold([]byte(c.b), c.s); got != c.want {
			t.Errorf("EqualFold(%q, %q) is %v", c.b, c.s, got)
		}
	}
	var got []string
	for rest := []byte(" a, b\t,, c d "); len(rest) > 0; {
		var e []byte
		e, rest = NextElement(rest)
		got = append(got, string(e))
	}
	if want := []string{"a", "b", "", "c d"}; len(got) != len(want) || got[0] != "a" || got[1] != "b" || got[2] != "" || got[3] != "c d" {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	longest := strings.Repeat("x", MaxName)
	n := NewNames(map[string]int{"host": 1, "http": 2, "te": 3, longest: 4})
	for name, want := range map[string]int{
		"host": 1, "HOST": 1, "hTTp": 2, "Te": 3, strings.ToUpper(longest): 4, "": 0, "t": 0, "hosts": 0, "hos\x14": 0, "xost": 0, longest + "x": 0,
	} {
		if got := n.Find([]byte(name)); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "007": 7, "999999999999999999": 999999999999999999, "9999999999999999999": -1, "": -1, "+1": -1, "-1": -1, "1 ": -1, "0x1": -1, "1,1": -1,
	} {
		if got, ok := Number([]byte(text)); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, ok, want)
		}
	}
}
