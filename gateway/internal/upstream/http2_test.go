package upstream

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// endpoint2 speaks HTTP/2 without TLS.
func endpoint2(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-over
	})
	return ln.Addr().String()
}

// heard writes down interim responses.
type heard []string

func (h *heard) Interim(r *response.Head) {
	*h = append(*h, fmt.Sprint(r.Status, " ", string(r.Value("Link"))))
}

func TestHTTP2(t *testing.T) {
	seen := make(chan string, 10)
	address := endpoint2(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		seen <- fmt.Sprintf("%s %s %s %s %q %v %v %v", r.Proto, r.Method, r.RequestURI, r.Host, b, err, r.Header, r.Trailer)
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(b)
		w.Header().Set("X-Sum", "6")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	p := New(Config{Address: address, HTTP2: true})
	defer p.Close()
	for _, q := range []struct {
		pieces            []string
		want, body        string
		interim, trailers string
	}{
		{[]string{"GET /a//%2e?q HTTP/1.1\r\nHost: shop\r\nTe: trailers\r\nConnection: TE\r\n\r\n"}, `HTTP/2.0 GET /a//%2e?q shop "" <nil> map[Te:[trailers]] map[]`, "", "[103 </x>]", ""},
		{[]string{"GET //a//b?q HTTP/1.1\r\nHost: shop\r\n\r\n"}, `HTTP/2.0 GET //a//b?q shop "" <nil> map[] map[]`, "", "[103 </x>]", ""},
		{[]string{"POST / HTTP/1.1\r\nHost: shop\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc"}, `HTTP/2.0 POST / shop "abc" <nil> map[Content-Length:[3] X-A:[1]] map[]`, "abc", "[103 </x>]", ""},
		{[]string{"POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\nabc", "def"}, `HTTP/2.0 POST / shop "abcdef" <nil> map[Content-Length:[6]] map[]`, "abcdef", "[100  103 </x>]", ""},
		{[]string{"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n", "1\r\nd\r\n0\r\nX-T: u\r\n\r\n"}, `HTTP/2.0 POST / shop "abcd" <nil> map[] map[X-T:[u]]`, "abcd", "[103 </x>]", ""},
	} {
		c, err := p.Take(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range q.pieces {
			if n, err := c.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		c.Written()
		var h response.Head
		var interim heard
		if err := c.ReadHead(&h, Asked{Interim: &interim}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != q.want {
			t.Errorf("the endpoint got %s\nwant %s", got, q.want)
		}
		b, err := io.ReadAll(c)
		if string(b) != q.body || err != nil || h.Status != 200 || fmt.Sprint(interim) != q.interim || !c.Done() || !c.Sent() {
			t.Errorf("got %d %q, %v, interim %v; want %q, %s", h.Status, b, err, interim, q.body, q.interim)
		}
		if got := string(c.Trailer()); !strings.Contains(got, "X-Sum: 6\r\n") || !strings.Contains(got, "Grpc-Status: 0\r\n") {
			t.Errorf("trailer %q", got)
		}
		c.Release()
	}
	if st := p.Stats(); st.Dials != 1 || st.Open != 0 || st.Reuses != 4 {
		t.Errorf("got %+v; want one connection for all, and no request on it", st)
	}
}

func TestHTTP2Failures(t *testing.T) {
	address := endpoint2(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/cut":
			_, _ = io.WriteString(w, "abc")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/early":
			w.WriteHeader(http.StatusForbidden)
		case "/hang":
			<-r.Context().Done()
		}
	})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			_ = c.Close()
		}
	}()
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	_ = gone.Close()
	for _, q := range []struct {
		address, path string
		class         policies.Class
		body, sent    bool // it fails in the body; a part of the request may have been seen
	}{
		{address, "/abort", policies.Reset, false, true},
		{address, "/cut", policies.Reset, true, true},
		{address, "/hang", policies.HeaderTimeout, false, true},
		{gone.Addr().String(), "/", policies.Refused, false, false},
		{plain.Addr().String(), "/", policies.Malformed, false, false},
	} {
		p := New(Config{Address: q.address, HTTP2: true})
		c, err := p.Take(200 * time.Millisecond)
		if c == nil {
			if ClassOf(err) != q.class {
				t.Errorf("%s: got %v; want %v", q.path, err, q.class)
			}
			continue
		}
		_, err = c.Write([]byte("GET " + q.path + " HTTP/1.1\r\nHost: a\r\n\r\n"))
		var h response.Head
		if err == nil {
			err = c.ReadHead(&h, Asked{})
		}
		if q.body && err == nil {
			c.ArmRead(5 * time.Second)
			_, err = io.ReadAll(c)
		}
		if ClassOf(err) != q.class || err == nil || c.Sent() != q.sent {
			t.Errorf("%s: got %v, sent %v; want %v, %v", q.path, err, c.Sent(), q.class, q.sent)
		}
		c.Abort()
		if st := p.Stats(); st.Open != 0 {
			t.Errorf("%s: %d requests are left", q.path, st.Open)
		}
		p.Close()
	}
	t.Run("an answer that comes before the body is heard", func(t *testing.T) {
		p := New(Config{Address: address, HTTP2: true})
		defer p.Close()
		c, err := p.Take(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		block := strings.Repeat("x", 1<<20)
		if _, err := c.Write([]byte("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := c.Write([]byte(block)); err != nil {
				t.Fatal(err)
			}
		}
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); err != nil || h.Status != 403 {
			t.Errorf("got %v, %d", err, h.Status)
		}
	})
	t.Run("an interrupt ends what waits", func(t *testing.T) {
		p := New(Config{Address: address, HTTP2: true})
		defer p.Close()
		c, err := p.Take(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		if _, err := c.Write([]byte("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		go c.Interrupt()
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); ClassOf(err) != policies.Reset || err == nil {
			t.Errorf("got %v", err)
		}
	})
}
