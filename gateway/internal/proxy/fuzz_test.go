package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// forwarded is a request as net/http reads it at the endpoint.
type forwarded struct{ method, target, host, body string }

// witnessed is a request with its fields, and those of its trailer section.
type witnessed struct {
	forwarded
	header, trailer http.Header
}

// witness is an endpoint that keeps what it gets, and what net/http makes of it.
type witness struct {
	ln net.Listener

	mu   sync.Mutex
	seen []witnessed
	odd  []string // what net/http cannot read, though a whole head is there
}

func newWitness(tb testing.TB) *witness {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &witness{ln: ln}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return w
}

func (w *witness) serve(c net.Conn) {
	defer c.Close()
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			if bytes.Contains(raw.Bytes(), []byte("\r\n\r\n")) {
				w.mu.Lock()
				w.odd = append(w.odd, raw.String())
				w.mu.Unlock()
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client did not send all of it, and the endpoint can tell
		}
		w.mu.Lock()
		w.seen = append(w.seen, witnessed{forwarded{r.Method, r.RequestURI, r.Host, string(body)}, r.Header, r.Trailer})
		if br.Buffered() > 0 {
			w.odd = append(w.odd, raw.String())
		}
		w.mu.Unlock()
		raw.Reset()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

// FuzzRequest sends bytes to a gateway. What net/http reads at the endpoint must be what it reads in the bytes: the same
// requests in the same order, with nothing left over; and each is answered, or the connection closed.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: b:80\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n2\r\nab\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc",
		"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
		"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "GET /a%2f//b/./ HTTP/1.1\r\nHost: a%2d\r\nTE: trailers\r\nUpgrade: x\r\n\r\n",
		"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(s))
	}
	w := newWitness(f)
	g := startAt(f, options{}, w.ln.Addr().String())
	run := uint32(0)
	f.Fuzz(func(t *testing.T, sent []byte) {
		w.mu.Lock()
		w.seen, w.odd = nil, nil
		w.mu.Unlock()
		// Each run has an address of its own: what an earlier one has sent may come late, for its client is gone.
		run++
		from := net.IPv4(127, 1+byte(run>>16)%254, byte(run>>8), 1+byte(run)%254)
		nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := nc.(*net.TCPConn)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
		got, err := io.ReadAll(c)
		if isTimeout(err) {
			t.Fatalf("neither an answer nor the end: %q", got)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.odd) > 0 {
			t.Fatalf("net/http cannot read what the endpoint got, or finds more behind it: %q", w.odd)
		}
		br := bufio.NewReader(bytes.NewReader(sent))
		for _, s := range w.seen {
			if s.header.Get("X-Forwarded-For") != from.String() {
				continue
			}
			var want forwarded
			for want.method == "" {
				skipEmptyLines(br) // which net/http does not
				r, err := http.ReadRequest(br)
				if err != nil {
					t.Fatalf("the endpoint got %+v; net/http finds no such request in what was sent: %v", s, err)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatalf("the endpoint got %+v; net/http finds its body broken: %v", s, err)
				}
				if r.Method == http.MethodOptions && r.Header.Get("Max-Forwards") != "" || strings.EqualFold(r.URL.Scheme, "https") {
					continue // may have been answered here, and leaves the connection open
				}
				want = forwarded{r.Method, r.RequestURI, r.Host, string(body)}
			}
			if i := strings.Index(want.target, "://"); i >= 0 && want.target[0] != '/' {
				rest := want.target[i+3:]
				want.target = "/"
				if slash := strings.IndexByte(rest, '/'); slash >= 0 {
					want.target = rest[slash:]
				}
			}
			if want.host == "" {
				want.host = g.address // HTTP/1.0
			}
			if s.forwarded != want {
				t.Fatalf("the endpoint got %+v, want %+v", s, want)
			}
		}
	})
}

// skipEmptyLines reads the empty lines that may come before a request (RFC 9112, section 2.2).
func skipEmptyLines(br *bufio.Reader) {
	for {
		b, _ := br.Peek(1)
		if len(b) == 0 || b[0] != '\r' && b[0] != '\n' {
			return
		}
		_, _ = br.Discard(1)
	}
}
