package access

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"
)

// MaxText is how many bytes of a text a line has at most. One that is longer ends with an ellipsis.
const MaxText = 1024

// Line is a line in the making: a JSON object in ASCII. Whatever its texts hold, it has one line feed, at its end.
type Line []byte

// Begin begins a line in the buffer b with the time of the request.
func Begin(b []byte, at time.Time) Line {
	b = append(b, `{"time":"`...)
	return append(appendTime(b, at), '"')
}

// Text adds a text. Each byte of it that belongs to no character of UTF-8 becomes U+FFFD.
func (l Line) Text(name, text string) Line {
	return l.Bytes(name, unsafe.Slice(unsafe.StringData(text), len(text))) // which is not written
}

// Bytes is Text of bytes.
func (l Line) Bytes(name string, text []byte) Line {
	return append(appendText(l.name(name), text), '"')
}

func (l Line) name(name string) []byte {
	return append(append(append(l, `,"`...), name...), `":"`...)
}

// Int adds a number.
func (l Line) Int(name string, n int64) Line {
	return strconv.AppendInt(append(append(append(l, `,"`...), name...), `":`...), n, 10)
}

// Millis adds a duration in milliseconds, with three decimals.
func (l Line) Millis(name string, d time.Duration) Line {
	us := max(d.Microseconds(), 0)
	l = append(l.Int(name, us/1000), '.')
	return append(l, digit(us/100), digit(us/10), digit(us))
}

// Hex adds a text of sixteen hexadecimal digits.
func (l Line) Hex(name string, v uint64) Line {
	l = l.name(name)
	for shift := 60; shift >= 0; shift -= 4 {
		l = append(l, hexDigits[v>>shift&15])
	}
	return append(l, '"')
}

// Raw adds fields that were made before, as [Line.Fields] has them.
func (l Line) Raw(fields []byte) Line { return append(l, fields...) }

// Fields returns a copy of what was added to an empty Line, for [Line.Raw].
func (l Line) Fields() []byte { return append([]byte(nil), l...) }

// End ends the line.
func (l Line) End() []byte { return append(l, "}\n"...) }

func digit(n int64) byte { return byte('0' + n%10) }

const hexDigits = "0123456789abcdef"

// plain holds the bytes that JSON has as they are.
var plain = func() (set [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		set[c] = c != '"' && c != '\\'
	}
	return set
}()

func appendText(b []byte, text []byte) []byte {
	long := len(text) > MaxText
	if long {
		text = text[:MaxText]
	}
	done := 0
	for i := plainLen(text); i < len(text); i += plainLen(text[i:]) {
		b = append(b, text[done:i]...)
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < utf8.RuneSelf:
			b = appendEscape(b, rune(c))
			i++
		default:
			r, n := utf8.DecodeRune(text[i:])
			if i += n; r > 0xffff {
				r -= 0x10000
				b = appendEscape(b, 0xd800|r>>10)
				r = 0xdc00 | r&0x3ff
			}
			b = appendEscape(b, r)
		}
		done = i
	}
	b = append(b, text[done:]...)
	if long {
		b = appendEscape(b, '…')
	}
	return b
}

// plainLen returns how many bytes at the beginning of text JSON has as they are. It looks at eight at a time.
func plainLen(text []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(text)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(text[n:])
		quote, slash := x^'"'*ones, x^'\\'*ones
		// Of each term the top bit of a byte is set if the byte is below a blank, is a quote, a backslash, or above a tilde.
		if ((x-' '*ones)&^x|(quote-ones)&^quote|(slash-ones)&^slash|(x+ones)|x)&tops != 0 {
			break
		}
	}
	for n < len(text) && plain[text[n]] {
		n++
	}
	return n
}

func appendEscape(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// stamp is a second in text.
type stamp struct {
	second int64
	text   []byte
}

var lastStamp atomic.Pointer[stamp]

// appendTime appends a time in UTC with milliseconds (RFC 3339).
func appendTime(b []byte, t time.Time) []byte {
	const layout = "2006-01-02T15:04:05."
	second := t.Unix()
	s := lastStamp.Load()
	if s == nil || s.second < second {
		s = &stamp{second, t.UTC().AppendFormat(nil, layout)}
		lastStamp.Store(s)
	}
	if s.second == second {
		b = append(b, s.text...)
	} else { // a request that took its time
		b = t.UTC().AppendFormat(b, layout)
	}
	ms := int64(t.Nanosecond()) / 1e6
	return append(b, digit(ms/100), digit(ms/10), digit(ms), 'Z')
}
