package response

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// sent reads text, a head, and returns what is passed on of it.
func sent(t *testing.T, text string) (*Head, string) {
	t.Helper()
	h := new(Head)
	br := bufio.NewReader(iotest.OneByteReader(strings.NewReader(text + "rest")))
	if err := h.Read(br); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if rest, _ := io.ReadAll(br); string(rest) != "rest" {
		t.Errorf("%q: %q is left", text, rest)
	}
	h.RemoveHops(false)
	b, _ := h.Append(nil)
	return h, string(b)
}

func TestHeadsPassAsTheyCame(t *testing.T) {
	for _, c := range []struct{ came, want string }{
		{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"HTTP/1.1 404 Not  Here \r\nETag: \"x\"\r\nx-a:1\r\nWWW-Authenticate:  Basic\r\nX-Empty:\r\n\r\n", "HTTP/1.1 404 Not  Here \r\nETag: \"x\"\r\nx-a:1\r\nWWW-Authenticate:  Basic\r\nX-Empty:\r\n"},
		{"HTTP/1.0 204 \r\nA: \x80\t\xff\r\n\r\n", "HTTP/1.1 204 No Content\r\nA: \x80\t\xff\r\n"},
		{"HTTP/1.1 299\r\nA: 1\r\nContent-Length: 3\r\nB: 2\r\nC: 3\r\nTransfer-Encoding: chunked\r\nD: 4\r\n\r\n", "HTTP/1.1 299 \r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"},
		{"HTTP/1.1 200 OK\r\nA: 1\r\nconnection: close, b,content-length\r\nB: 2\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nC: 3\r\nTrailer: X\r\nUpgrade: h2c\r\nb: 3\r\n\r\n", "HTTP/1.1 200 OK\r\nA: 1\r\nC: 3\r\n"},
		// Mended, from the line on that needs it.
		{"HTTP/1.1 200 OK\nA: 1\nB : 2 \r\nC:3\r\n\r\n", "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n"},
		{"HTTP/1.1 200 OK\r\nA:1\r\nB:2\t\r\nC:3\r\n\n", "HTTP/1.1 200 OK\r\nA:1\r\nB: 2\r\nC: 3\r\n"},
	} {
		if _, got := sent(t, c.came); got != c.want {
			t.Errorf("%q: got %q; want %q", c.came, got, c.want)
		}
	}
}

func TestFraming(t *testing.T) {
	for _, c := range []struct{ came, want string }{
		{"HTTP/1.1 200 OK\r\n", "-1 false true"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 007\r\nConnection: a, CLOSE\r\n", "7 false false"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n", "5 true true"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", "0 false false"},
		{"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", "-1 false true"},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n", "-1 false false"},
		{"HTTP/1.7 200 OK\r\n", "-1 false true"},
	} {
		h, _ := sent(t, c.came+"\r\n")
		if got := fmt.Sprint(h.Length, h.Chunked, h.KeepAlive); got != c.want {
			t.Errorf("%q: got %s; want %s", c.came, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n"
	for came, want := range map[string]error{
		"SSH-2.0-OpenSSH": errVersion, "HTTP/2.0 200 OK\r\n\r\n": errVersion, "\r\n" + ok + "\r\n": errVersion, "HTTP/1.1\r\n\r\n": errVersion,
		"HTTP/1.x 200 OK\r\n\r\n": errVersion, "http/1.1 200 OK\r\n\r\n": errVersion, "HTTP/1.10 200 OK\r\n\r\n": errVersion,
		"HTTP/1.1  200 OK\r\n\r\n": errStatus, "HTTP/1.1 20 OK\r\n\r\n": errStatus, "HTTP/1.1 2000 OK\r\n\r\n": errStatus, "HTTP/1.1 099 OK\r\n\r\n": errStatus,
		"HTTP/1.1 +20 OK\r\n\r\n": errStatus, "HTTP/1.1 2\r\n\r\n": errStatus, "HTTP/1.1 200\tOK\r\n\r\n": errStatus, "HTTP/1.1 200 O\x00K\r\n\r\n": errValue,
		ok + " A: 1\r\n\r\n": errFolded, ok + "A: 1\r\n\t2\r\n\r\n": errFolded, ok + "A\r\n\r\n": errName, ok + ": 1\r\n\r\n": errName, ok + "A B: 1\r\n\r\n": errName,
		ok + "A\x80: 1\r\n\r\n": errName, ok + "A: b\rc\r\n\r\n": errValue, ok + "A: b\x00\r\n\r\n": errValue, ok + "A: b\r\r\n\r\n": errValue,
		ok + strings.Repeat("A: 1\r\n", maxFields+1) + "\r\n": errFields,
		ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n": errLength, ok + "Content-Length: 1, 1\r\n\r\n": errLength, ok + "Content-Length: -1\r\n\r\n": errLength,
		ok + "Content-Length:\r\n\r\n": errLength, ok + "Content-Length: 9999999999999999999\r\n\r\n": errLength, ok + "content-length : 1x\r\n\r\n": errLength,
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n": errCoding, ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n": errCoding,
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n": errOldCoding,
		ok + "A: " + strings.Repeat("a", 4096) + "\r\n\r\n":     bufio.ErrBufferFull, ok: io.EOF, "": io.EOF, "HTTP/1": io.EOF, ok + "A: 1\r\n\r": io.EOF,
	} {
		var h Head
		if err := h.Read(bufio.NewReader(strings.NewReader(came))); !errors.Is(err, want) {
			t.Errorf("%.60q: got %v; want %v", came, err, want)
		}
	}
}

func TestFields(t *testing.T) {
	h, _ := sent(t, "HTTP/1.1 200 OK\r\nA: 1\r\nVia: x\r\na: 2\r\nDate: now\r\n\r\n")
	if string(h.Value("a")) != "1" || h.Value("b") != nil {
		t.Errorf("got %q, %q", h.Value("a"), h.Value("b"))
	}
	h.Set("A", []byte("3"))
	h.Add("Via", []byte("y"))
	var got strings.Builder
	for name, value := range h.Fields() {
		fmt.Fprintf(&got, "%s=%s ", name, value)
	}
	if b, dated := h.Append(nil); got.String() != "Via=x Date=now A=3 Via=y " || !dated || string(b) != "HTTP/1.1 200 OK\r\nVia: x\r\nDate: now\r\nA: 3\r\nVia: y\r\n" {
		t.Errorf("got %q, %q, %v", got.String(), b, dated)
	}
	h.Remove("date")
	if _, dated := h.Append(nil); dated {
		t.Error("a Date that was removed is there")
	}
	h.Reset(503)
	h.Add("Retry-After", []byte("1"))
	if b, _ := h.Append(nil); string(b) != "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n" || h.Length != -1 {
		t.Errorf("got %q", b)
	}
	if h.Trim(1); h.raw != nil || h.Value("Retry-After") != nil {
		t.Error("memory is kept")
	}
}

// FuzzRead holds that what is passed on of a head is one head to net/http, with the fields that were kept, and to Read.
func FuzzRead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nA: 1\r\nConnection: b\r\nB : 2 \nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.0 404 \nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again Head
		if h.Read(bufio.NewReader(bytes.NewReader(b))) != nil {
			return
		}
		h.RemoveHops(true)
		h.Add("Via", []byte("1.1 weir"))
		want := http.Header{}
		for name, value := range h.Fields() {
			want.Add(string(name), string(value))
		}
		out, _ := h.Append(nil)
		out = append(out, "\r\n"...)
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil || r.StatusCode != h.Status || fmt.Sprint(r.Header) != fmt.Sprint(want) {
			t.Fatalf("%q became %q: %v, %v; want %v", b, out, err, r, want)
		}
		if err := again.Read(bufio.NewReader(bytes.NewReader(out))); err != nil || again.Status != h.Status {
			t.Fatalf("%q became %q, which is refused: %v", b, out, err)
		}
		if twice, _ := again.Append(nil); string(twice)+"\r\n" != string(out) {
			t.Fatalf("%q became %q and then %q", b, out, twice)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	text := "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json; charset=utf-8\r\n" +
		"ETag: \"5f3-5d2\"\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\nConnection: keep-alive\r\nContent-Length: 1024\r\n\r\n"
	var h Head
	var out []byte
	source := strings.NewReader("")
	br := bufio.NewReader(source)
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(text)
		br.Reset(source)
		if err := h.Read(br); err != nil {
			b.Fatal(err)
		}
		h.RemoveHops(false)
		h.Add("Via", []byte("1.1 weir"))
		out, _ = h.Append(out[:0])
	}
}
