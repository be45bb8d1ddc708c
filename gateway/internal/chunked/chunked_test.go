package chunked_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weir-lb/weir/gateway/internal/chunked"
)

// read reads a body in pieces of one byte, and all at once: both must come to the same.
func read(t testing.TB, text string, padded bool) (content, trailer, rest string, err error) {
	t.Helper()
	for i, source := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		br := bufio.NewReaderSize(source, 64<<10)
		var r chunked.Reader
		r.Reset(br, padded)
		b, e := io.ReadAll(&r)
		left, _ := io.ReadAll(br)
		if i > 0 && (string(b) != content || !errors.Is(e, err) || e == nil && string(left) != rest) {
			t.Errorf("%q read at once is %q, %v, and byte by byte %q, %v", text, content, err, b, e)
		}
		content, trailer, rest, err = string(b), string(r.Trailer()), string(left), e
		if r.Done() != (e == nil) {
			t.Errorf("%q: done %v after %v", text, r.Done(), e)
		}
	}
	return content, trailer, rest, err
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		text, content, trailer string
		err                    error
	}{
		"nothing":                          {"0\r\n\r\n", "", "", nil},
		"chunks":                           {"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", "", nil},
		"leading zeros":                    {"0000000000000003\r\nabc\r\n0\r\n\r\n", "abc", "", nil},
		"an extension":                     {"3;a=\"b;c\" ;d\r\nabc\r\n0;x\r\n\r\n", "abc", "", nil},
		"blanks before an extension":       {"3 \t;a\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a trailer":                        {"0\r\nA: b\r\nC:d\r\n\r\n", "", "A: b\r\nC:d\r\n", nil},
		"a blank after the size":           {"3 \r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"no size":                          {"\r\nabc\r\n", "", "", chunked.ErrSize},
		"an extension alone":               {";a\r\n\r\n", "", "", chunked.ErrSize},
		"a sign":                           {"+3\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a prefix":                         {"0x3\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a size beyond 64 bits":            {"fffffffffffffff3\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"17 digits":                        {"00000000000000003\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a bare LF after the size":         {"3\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a bare CR in an extension":        {"3;a\rb\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a bare LF in an extension":        {"3;a\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a NUL in an extension":            {"3;\x00\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"a long extension":                 {"3;" + long + "\r\nabc\r\n0\r\n\r\n", "", "", chunked.ErrSize},
		"many extensions":                  {strings.Repeat("1;"+long[:200]+"\r\na\r\n", 100) + "0\r\n\r\n", strings.Repeat("a", 82), "", chunked.ErrOverhead},
		"no CRLF after the content":        {"3\r\nabcd\r\n0\r\n\r\n", "abc", "", chunked.ErrEnd},
		"a bare LF after the content":      {"3\r\nabc\n0\r\n\r\n", "abc", "", chunked.ErrEnd},
		"a size of 15 f":                   {"fffffffffffffff\r\none", "one", "", io.ErrUnexpectedEOF},
		"the end after a chunk":            {"3\r\nabc\r\n", "abc", "", io.ErrUnexpectedEOF},
		"the end in a size":                {"3", "", "", io.ErrUnexpectedEOF},
		"the end in a chunk":               {"3\r\nab", "ab", "", io.ErrUnexpectedEOF},
		"the end after the last chunk":     {"0\r\n", "", "", io.ErrUnexpectedEOF},
		"the end in the trailer":           {"0\r\nA: b\r\n", "", "A: b\r\n", io.ErrUnexpectedEOF},
		"a trailer that is no field":       {"0\r\nGET / HTTP/1.1\r\n\r\n", "", "", chunked.ErrTrailer},
		"a trailer with a blank in a name": {"0\r\nA : b\r\n\r\n", "", "", chunked.ErrTrailer},
		"a trailer that is folded":         {"0\r\nA: b\r\n c\r\n\r\n", "", "A: b\r\n", chunked.ErrTrailer},
		"a trailer with a bare LF":         {"0\r\nA: b\n\r\n", "", "", chunked.ErrTrailer},
		"a trailer with a bare CR":         {"0\r\nA: b\rc\r\n\r\n", "", "", chunked.ErrTrailer},
		"a trailer without end":            {"0\r\n" + strings.Repeat("A: "+long+"\r\n", 60) + "\r\n", "", strings.Repeat("A: "+long+"\r\n", 53), chunked.ErrTrailer},
	} {
		t.Run(name, func(t *testing.T) {
			const after = "GET / HTTP/1.1\r\n"
			text := c.text
			if c.err == nil {
				text += after
			}
			content, trailer, rest, err := read(t, text, false)
			if content != c.content || trailer != c.trailer || !errors.Is(err, c.err) || c.err == nil && rest != after {
				t.Errorf("got %q, %q, %v, then %q; want %q, %q, %v", content, trailer, err, rest, c.content, c.trailer, c.err)
			}
		})
	}
	if content, _, _, err := read(t, "3   \r\nabc\r\n0 ;x\r\n\r\n", true); content != "abc" || err != nil {
		t.Errorf("padded sizes: got %q, %v", content, err)
	}
}

// FuzzReader holds that what is accepted is what Go's reader reads, that it ends at the same byte, and that what Append
// writes of it reads the same.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3;a\r\nabc\r\n0\r\nA: b\r\n\r\nrest", "a\r\n0123456789\r\n0\r\n\r\n", "1 ;x\r\na\r\n0\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		content, trailer, rest, err := read(t, string(text), false)
		if err != nil {
			return
		}
		theirs, e := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(text)))
		if e != nil || string(theirs) != content {
			t.Fatalf("%q reads %q here, and %q, %v with net/http", text, content, theirs, e)
		}
		wire := chunked.AppendLast(chunked.Append(nil, []byte(content)), []byte(trailer))
		again, same, left, e := read(t, string(wire)+rest, false)
		if e != nil || again != content || same != trailer || left != rest {
			t.Fatalf("%q was written as %q, which reads %q, %q, %v", text, wire, again, same, e)
		}
		r, e := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + string(wire))))
		if e != nil {
			t.Fatal(e)
		}
		if b, e := io.ReadAll(r.Body); e != nil && !strings.Contains(e.Error(), "trailer") || string(b) != content {
			t.Fatalf("%q was written as %q, which net/http reads as %q, %v", text, wire, b, e)
		}
	})
}
