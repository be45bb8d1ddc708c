package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// newEcho starts an endpoint that agrees to every upgrade, and then sends back what comes, byte for byte.
func newEcho(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				br := bufio.NewReaderSize(c, 512)
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				early, _ := br.Peek(br.Buffered())
				_, _ = c.Write(early)
				_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 512)) // splice would take two files more
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return ln
}

// tunnelled starts a gateway before such endpoints.
func tunnelled(t testing.TB, endpoints int, args ...string) (*Gateway, *tls.Config) {
	t.Helper()
	s := &site{dir: t.TempDir()}
	ca := gatewaytest.NewAuthority(t, "tunnels")
	cert, key := ca.Issue(t, gatewaytest.Leaf{Names: []string{"localhost"}})
	s.put(t, "site.pem", cert)
	s.put(t, "site.key", key)
	var list []string
	for range endpoints {
		list = append(list, fmt.Sprintf("{address: %q}", newEcho(t).Addr()))
	}
	g, err := StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}]}}
wasm: {cache_dir: ""}
clusters: {web: {policy: least_request, endpoints: [%s], limits: {connections: 10000}}}
routes: [{cluster: web}]
`, strings.Join(list, ", ")), args...)
	must(t, err)
	t.Cleanup(g.Kill)
	return g, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
}

// upgrade asks for a WebSocket on c.
func upgrade(c net.Conn) (net.Conn, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return c, err
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if _, err := io.ReadFull(c, one); err != nil {
			return c, err
		}
		head = append(head, one[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return c, fmt.Errorf("got %q, want 101", head)
	}
	return c, nil
}

// vectors are frames of RFC 6455, section 5.7, and others that an intermediary has no opinion on.
var vectors = map[string]string{
	"unmasked text":                  "\x81\x05\x48\x65\x6c\x6c\x6f",
	"masked text":                    "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
	"fragments":                      "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f",
	"ping":                           "\x89\x05\x48\x65\x6c\x6c\x6f",
	"pong, masked":                   "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
	"256 bytes in a frame":           "\x82\x7e\x01\x00" + strings.Repeat("\x00", 256),
	"64 KiB in a frame":              "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("\xff", 65536),
	"a ping between fragments":       "\x01\x01\x61\x89\x00\x80\x01\x62",
	"close, 1000":                    "\x88\x02\x03\xe8",
	"close with a reason":            "\x88\x06\x03\xe9away",
	"an opcode that means nothing":   "\x83\x00\x8b\x00",
	"reserved bits":                  "\xf1\x01\x61",
	"text that is no UTF-8":          "\x81\x04\xc3\x28\xed\xa0",
	"a ping that is too long":        "\x89\x7e\x00\x7e" + strings.Repeat("p", 126),
	"a length that is not shortest":  "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01a",
	"what looks like HTTP":           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"what looks like the end":        "0\r\n\r\n",
	"the beginning of another frame": "\x81",
}

func TestTunnelsPassEveryByte(t *testing.T) {
	g, config := tunnelled(t, 1)
	for _, secure := range []bool{false, true} {
		dial := func() net.Conn {
			listener := "plain"
			if secure {
				listener = "tls"
			}
			c, err := net.Dial("tcp", g.Addresses[listener])
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
			if secure {
				return tls.Client(c, config)
			}
			return c
		}
		for name, text := range vectors {
			t.Run(fmt.Sprintf("TLS %v, %s", secure, name), func(t *testing.T) {
				c, err := upgrade(dial())
				must(t, err)
				_, err = io.WriteString(c, text)
				must(t, err)
				got := make([]byte, len(text))
				if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
					t.Errorf("%q comes back as %q, %v", short(text), short(string(got[:n])), err)
				}
				must(t, c.(interface{ CloseWrite() error }).CloseWrite())
				if n, err := c.Read(got); n != 0 || err != io.EOF {
					t.Errorf("behind it %q, %v", got[:n], err)
				}
			})
		}
	}
}

func short(s string) string { return s[:min(len(s), 80)] }

// open makes n tunnels.
func open(t testing.TB, address string, n int) []net.Conn {
	t.Helper()
	tunnels, errs := make([]net.Conn, n), make([]error, n)
	var all sync.WaitGroup
	for worker := range 20 {
		all.Go(func() {
			for i := worker; i < n; i += 20 {
				if tunnels[i], errs[i] = net.Dial("tcp", address); errs[i] == nil {
					tunnels[i], errs[i] = upgrade(tunnels[i])
				}
			}
		})
	}
	all.Wait()
	t.Cleanup(func() {
		for _, c := range tunnels {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	must(t, errors.Join(errs...))
	return tunnels
}

// TestIdleTunnelsAreSmall: 5,000 tunnels that have spoken and are silent now take less than 25 KB each, of all that the
// process holds, and are shared among endpoints by what each has.
func TestIdleTunnelsAreSmall(t *testing.T) {
	const n, most = 5000, 25_000
	g, _ := tunnelled(t, 2)
	open(t, g.Addresses["plain"], 50)
	before, err := g.Memory()
	must(t, err)
	for _, c := range open(t, g.Addresses["plain"], n) {
		_, err := io.WriteString(c, vectors["ping"])
		must(t, err)
		_, err = io.ReadFull(c, make([]byte, len(vectors["ping"])))
		must(t, err)
	}
	after, err := g.Memory()
	must(t, err)
	each := (after.Resident - before.Resident) / n
	t.Logf("%d tunnels, %d bytes each, of which %d Go's heap and stacks", n, each, (after.Heap-before.Heap)/n)
	if each > most {
		t.Errorf("an idle tunnel takes %d bytes, want %d at most", each, most)
	}
	if open, err := g.Metric("weir_tunnels"); err != nil || open != n+50 {
		t.Errorf("%v tunnels are counted, %v; want %d", open, err, n+50)
	}
}

func TestDrainsEndTunnels(t *testing.T) {
	g, _ := tunnelled(t, 2, "--drain", "500ms")
	tunnels := open(t, g.Addresses["plain"], 100)
	if _, err := g.Drain(); err != nil {
		t.Fatal(err)
	}
	for _, c := range tunnels {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, net.ErrClosed) {
			t.Fatalf("a tunnel lives on: %d, %v", n, err)
		}
	}
}
