package proxyproto_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

var (
	_ proxyproto.Conn = (*net.TCPConn)(nil)

	soon = time.Minute // far more than a test takes
)

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (client, accepted *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

func TestAHeaderIsReadAndWhatCameBehindItIsKept(t *testing.T) {
	for _, text := range []string{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", string(header(1, attribute(2, "example.com")))} {
		client, accepted := connected(t)
		if _, err := io.WriteString(client, text+after); err != nil {
			t.Fatal(err)
		}
		h, rest, err := proxyproto.Read(accepted, time.Now().Add(soon), make([]byte, proxyproto.MaxHeader))
		if err != nil || !h.Source.IsValid() {
			t.Fatalf("%q: %+v, %v", text, h, err)
		}
		behind := make([]byte, len(after)-len(rest))
		if _, err := io.ReadFull(accepted, behind); err != nil || string(rest)+string(behind) != after {
			t.Errorf("%q: got %q and %q behind it, %v", text, rest, behind, err)
		}
	}
}

func TestAHeaderThatComesByteByByteIsRead(t *testing.T) {
	client, accepted := connected(t)
	text := header(1, attribute(2, "example.com"))
	sent := make(chan error, 1)
	go func() {
		for i := range text {
			if _, err := client.Write(text[i : i+1]); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	h, rest, err := proxyproto.Read(accepted, time.Now().Add(soon), make([]byte, proxyproto.MaxHeader))
	if err != nil || len(rest) != 0 || string(h.Authority) != "example.com" {
		t.Errorf("got %+v, %q, %v", h, rest, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// pieces is a connection that hands out one piece a read, the error with the last.
type pieces struct {
	left []string
	err  error
	by   time.Time
}

func (p *pieces) SetReadDeadline(by time.Time) error { p.by = by; return nil }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, p.err
	}
	n := copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; p.left[0] == "" {
		p.left = p.left[1:]
	}
	if len(p.left) == 0 {
		return n, p.err
	}
	return n, nil
}

func TestRead(t *testing.T) {
	line, broken := "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", errors.New("broken")
	for name, c := range map[string]struct {
		pieces  []string
		with    error // comes with the last piece
		version int
		rest    string
		err     error // nil: one of Parse's if there is a text
		text    string
	}{
		"a header with the end of the stream":  {[]string{line}, io.EOF, 1, "", nil, ""},
		"no header":                            {[]string{"G", "ET"}, nil, 0, "G", proxyproto.ErrNone, ""},
		"no header, after a first byte of one": {[]string{"P", "UT /"}, nil, 0, "PUT /", proxyproto.ErrNone, ""},
		"nothing":                              {nil, io.EOF, 0, "", io.EOF, "EOF"},
		"the end within":                       {[]string{line[:9]}, io.EOF, 0, "", io.ErrUnexpectedEOF, "PROXY header: got 9 bytes of it, want the whole: unexpected EOF"},
		"an error within":                      {[]string{line[:9], line[9:20]}, broken, 0, "", broken, "PROXY header: got 20 bytes of it, want the whole: broken"},
		"a bad one":                            {[]string{"PROXY TCP5\r\n"}, nil, 0, "", nil, `PROXY header: got the family "TCP5", want TCP4, TCP6 or UNKNOWN`},
		"the largest, and more":                {[]string{string(header(1, attribute(0xe0, strings.Repeat("x", 4081)))) + after}, io.EOF, 2, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pieces{left: c.pieces, err: c.with}
			by := time.Unix(1, 0)
			h, rest, err := proxyproto.Read(p, by, make([]byte, proxyproto.MaxHeader+100))
			if h.Version != c.version || string(rest) != c.rest || c.err != nil && !errors.Is(err, c.err) || c.text != "" && (err == nil || err.Error() != c.text) || c.err == nil && c.text == "" && err != nil {
				t.Errorf("got %+v, %q, %v", h, rest, err)
			}
			if !p.by.Equal(by) {
				t.Errorf("the deadline is %s, want %s", p.by, by)
			}
		})
	}
}

func TestAHeaderThatDoesNotComeInTimeIsTold(t *testing.T) {
	client, accepted := connected(t)
	if _, err := io.WriteString(client, "PROXY "); err != nil {
		t.Fatal(err)
	}
	_, _, err := proxyproto.Read(accepted, time.Now().Add(50*time.Millisecond), make([]byte, proxyproto.MaxHeader))
	if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "PROXY header: got 6 bytes of it") {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	accepted.Close()
	if _, _, err := proxyproto.Read(accepted, time.Now(), make([]byte, proxyproto.MaxHeader)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
}
