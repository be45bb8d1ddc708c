package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

// chunkedConn is a connection that has read the head of a chunked response, with what follows in r.
func chunkedConn(r io.Reader) *Conn {
	return &Conn{br: bufio.NewReader(r), framing: chunked}
}

func TestChunked(t *testing.T) {
	for _, c := range []struct {
		name, wire, body string
		whole            bool
	}{
		{"two chunks", "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", "onetwo", true},
		{"upper-case size, zeros before it", "000A\r\n0123456789\r\n00\r\n\r\n", "0123456789", true},
		{"extensions are dropped", "3;a=\"b\";c\r\none\r\n0;d\r\n\r\n", "one", true},
		{"blanks after the size", "3 \t\r\none\r\n0 \r\n\r\n", "one", true},
		{"trailers are dropped", "3\r\none\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", "one", true},
		{"nothing", "0\r\n\r\n", "", true},
		{"no size", "\r\none\r\n0\r\n\r\n", "", false},
		{"size with 0x", "0x3\r\none\r\n0\r\n\r\n", "", false},
		{"size negative", "-3\r\none\r\n0\r\n\r\n", "", false},
		{"size beyond int64", "fffffffffffffffff\r\none\r\n0\r\n\r\n", "", false},
		{"size of 15 f", "fffffffffffffff\r\none", "one", false},
		{"bare LF after the size", "3\none\r\n0\r\n\r\n", "", false},
		{"bare LF after the content", "3\r\none\n0\r\n\r\n", "one", false},
		{"something before the LF after the content", "3\r\nonex\n0\r\n\r\n", "one", false},
		{"extension too long", "3;" + strings.Repeat("a", 300) + "\r\none\r\n0\r\n\r\n", "", false},
		{"trailers without end", "0\r\n" + strings.Repeat("A: b\r\n", 5000) + "\r\n", "", false},
		{"cut at the end of a chunk", "3\r\none\r\n", "one", false},
		{"cut before the last CRLF", "3\r\none\r\n0\r\n", "one", false},
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(c.wire), "by the byte": iotest.OneByteReader(strings.NewReader(c.wire))} {
			b, err := io.ReadAll(chunkedConn(r))
			if string(b) != c.body || (err == nil) != c.whole {
				t.Errorf("%s, %s: got %q, %v; want %q, whole %v", c.name, how, b, err, c.body, c.whole)
			}
		}
	}
}

// What is accepted here as a whole body, net/http reads as the same bytes.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"3\r\none\r\n0\r\n\r\n", "3;x\r\none\r\n0\r\nA: b\r\n\r\n", "a \r\n0123456789\r\n0\r\n\r\n", "0\r\n\r\nrest"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := chunkedConn(bytes.NewReader(wire))
		got, err := io.ReadAll(c)
		if err != nil {
			return
		}
		if !c.Done() {
			t.Fatalf("%q: a clean end before the end", wire)
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: read %q; net/http reads %q, %v", wire, got, want, err)
		}
	})
}
