package gateway

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

// introduced is an endpoint whose connections begin with a PROXY header.
type introduced struct {
	net.Listener
	mu    sync.Mutex
	local int      // connections whose sender spoke for itself
	of    []string // clients, request by request
	wrong []error
}

func newIntroduced(t *testing.T) *introduced {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &introduced{Listener: ln}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { e.serve(c) })
		}
	})
	t.Cleanup(func() {
		must(t, ln.Close())
		all.Wait()
	})
	return e
}

func (e *introduced) serve(c net.Conn) {
	defer c.Close()
	h, rest, err := proxyproto.Read(c, time.Now().Add(10*time.Second), make([]byte, proxyproto.MaxHeader))
	e.mu.Lock()
	if err != nil {
		e.wrong = append(e.wrong, err)
	}
	if h.Local {
		e.local++
	}
	e.mu.Unlock()
	if err != nil || h.Local {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(io.MultiReader(&once{rest}, c))
	for {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		e.mu.Lock()
		e.of = append(e.of, h.Source.String()+" to "+h.Destination.String())
		e.mu.Unlock()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// once gives its bytes, then its end.
type once struct{ b []byte }

func (o *once) Read(p []byte) (int, error) {
	n := copy(p, o.b)
	if o.b = o.b[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestPROXYFromClientToEndpoint(t *testing.T) {
	e := newIntroduced(t)
	config := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, config, []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: http, address: 127.0.0.1:0, proxy_protocol: {trusted: [127.0.0.0/8]}}]
clusters: {web: {endpoints: [{address: "`+e.Addr().String()+`"}], proxy_protocol: v2, probe: {tcp: true, interval: 100ms}}}
routes: [{path: /, cluster: web}]
`))
	g, err := Start(Options{Path: config, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = g.Shutdown(t.Context()) })
	for _, client := range []string{"192.0.2.1:4711", "[2001:db8::1]:4711"} {
		c := gatewaytest.Dial(t, g.Address("http"))
		source := netip.MustParseAddrPort(client)
		c.Send(string(proxyproto.Append(nil, 1, source, netip.MustParseAddrPort("198.51.100.9:80"))))
		for range 2 {
			if r := c.Get("/"); r.StatusCode != 200 {
				t.Fatal(r)
			}
		}
	}
	gatewaytest.Eventually(t, "a probe that speaks for itself", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.local > 0
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.wrong) > 0 || len(e.of) != 4 || e.of[0] != "192.0.2.1:4711 to 198.51.100.9:80" || e.of[3] != "[2001:db8::1]:4711 to 198.51.100.9:80" {
		t.Errorf("wrong %v, requests of %q", e.wrong, e.of)
	}
}
