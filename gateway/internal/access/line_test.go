package access

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var instant = time.Date(2026, 11, 23, 22, 34, 47, 5_999_999, time.UTC)

// object reads a line as whoever gets it would.
func object(tb testing.TB, line []byte) map[string]any {
	tb.Helper()
	if n := bytes.Count(line, lineFeed); n != 1 || line[len(line)-1] != '\n' {
		tb.Fatalf("%q has %d line feeds, want one, at its end", line, n)
	}
	for _, c := range line[:len(line)-1] {
		if c < ' ' || c > '~' {
			tb.Fatalf("%q has the byte %#x, want printable ASCII", line, c)
		}
	}
	m := map[string]any{}
	if err := json.Unmarshal(line, &m); err != nil {
		tb.Fatalf("%q: %v", line, err)
	}
	return m
}

func TestALineIsOneObject(t *testing.T) {
	l := Begin(nil, instant).Text("path", "/a").Int("status", 200).Int("less", -3).Millis("ms", 1234567*time.Nanosecond).Hex("id", 0xabc)
	l = l.Raw(Line(nil).Text("route", "r").Text("cluster", "c").Fields())
	const want = `{"time":"2026-11-23T22:34:47.005Z","path":"/a","status":200,"less":-3,"ms":1.234,"id":"0000000000000abc","route":"r","cluster":"c"}` + "\n"
	if got := string(l.End()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTextsAreEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"/a?b=%20":                "/a?b=%20",
		"a\"b\\c/d":               "a\"b\\c/d",
		"\x00\x1f\r\n\t\x7f":      "\x00\x1f\r\n\t\x7f",
		"é\u2028\u009b𝄞":          "é\u2028\u009b𝄞",
		"\xff\xc3":                "\ufffd\ufffd",
		"\xed\xa0\x80":            "\ufffd\ufffd\ufffd", // half of a pair
		strings.Repeat("x", 1024): strings.Repeat("x", 1024),
		strings.Repeat("x", 1025): strings.Repeat("x", 1024) + "…",
	} {
		for name, l := range map[string]Line{"text": Begin(nil, instant).Text("t", text), "bytes": Begin(nil, instant).Bytes("t", []byte(text))} {
			if got := object(t, l.End())["t"]; got != want {
				t.Errorf("%s %q reads %q, want %q", name, text, got, want)
			}
		}
	}
}

// TestEveryByteIsEscapedWhereverItIs puts each byte at each place of the eight that are looked at together.
func TestEveryByteIsEscapedWhereverItIs(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			text := []byte(strings.Repeat("~ z!", 5))
			text[at] = byte(c)
			want := string(text)
			if c >= utf8.RuneSelf {
				want = strings.ToValidUTF8(want, "\ufffd")
			}
			if got := object(t, Begin(nil, instant).Bytes("t", text).End())["t"]; got != want {
				t.Fatalf("%q reads %q, want %q", text, got, want)
			}
		}
	}
}

func TestTimesAreInUTC(t *testing.T) {
	east := time.FixedZone("east", 3*3600)
	for _, at := range []time.Time{instant, instant.Add(time.Second).In(east), instant.Add(-time.Hour), instant} { // one that took long has an old one
		got := object(t, Begin(nil, at).End())["time"]
		if want := at.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%v is %v, want %v", at, got, want)
		}
	}
}

func TestALineAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 4096)
	hostile := []byte("/\"\xff\n𝄞" + strings.Repeat("x", 2000))
	if n := testing.AllocsPerRun(100, func() {
		b = Begin(b[:0], instant).Bytes("path", hostile).Text("é", "é").Int("n", 1<<60).Millis("ms", time.Hour).Hex("id", 1).End()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzText holds any text to one line of ASCII that reads as what encoding/json makes of the same text.
func FuzzText(f *testing.F) {
	f.Add("/a\"\\\x00\xff𝄞")
	f.Fuzz(func(t *testing.T, text string) {
		got := object(t, Begin(nil, instant).Text("t", text).End())["t"].(string)
		if len(text) > MaxText {
			if !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
				t.Errorf("%d bytes became %q", len(text), got)
			}
			return
		}
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%q reads %q, want %q", text, got, want)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	buf := make([]byte, 0, 4096)
	path, agent := []byte("/shop/articles/1234567/reviews"), []byte("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		buf = Begin(buf[:0], at).Text("listener", "http").Text("client", "203.0.113.9").Text("method", "GET").Bytes("path", path).
			Text("protocol", "HTTP/1.1").Int("status", 200).Int("bytes_in", 0).Int("bytes_out", 1024).Millis("ms", time.Millisecond).
			Text("endpoint", "web-1").Text("policy", "p2c").Hex("request_id", 12345).Bytes("user_agent", agent).End()
	}
	b.SetBytes(int64(len(buf)))
}
