package clients

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestEverythingAtOnce: a client that a balancer names in a PROXY header, with a certificate, over TLS by the name it asks for and
// HTTP/2, reaches an endpoint over TLS and HTTP/2 that probes found to be up. That hears who it is, and from the gateway alone.
func TestEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := &site{dir: dir}
	ca := gatewaytest.NewAuthority(t, "edge")
	s.put(t, "ca.pem", ca.PEM)
	pairs := map[string]tls.Certificate{}
	for name, host := range map[string]string{"shop": "shop.example", "blog": "blog.example", "endpoint": "endpoint.internal", "ann": "ann.example"} {
		cert, key := ca.Issue(t, gatewaytest.Leaf{Common: name, Names: []string{host}})
		s.put(t, name+".pem", cert)
		s.put(t, name+".key", key)
		var err error
		pairs[name], err = tls.X509KeyPair(cert, key)
		must(t, err)
	}
	var probes atomic.Int64
	e := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			probes.Add(1)
			return
		}
		_, _ = io.WriteString(w, strings.Join([]string{
			r.Proto, r.Host, r.RequestURI, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"),
			r.Header.Get("Forwarded"), r.Header.Get("Via"), r.Header.Get("Client-Cert"),
		}, "\n"))
	}))
	e.EnableHTTP2 = true
	e.TLS = &tls.Config{Certificates: []tls.Certificate{pairs["endpoint"]}}
	e.StartTLS()
	t.Cleanup(e.Close)
	g, err := StartGateway(t.Context(), weirProgram, dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - name: edge
    address: "127.0.0.1:0"
    proxy_protocol: {trusted: [127.0.0.0/8]}
    tls:
      certificates: [{cert: shop.pem, key: shop.key}, {cert: blog.pem, key: blog.key}]
      client_ca: ca.pem
wasm: {cache_dir: ""}
clusters:
  web:
    endpoints: [{address: %q}]
    http2: true
    tls: {ca: ca.pem, server_name: endpoint.internal}
    probe: {http: {path: /healthz}, interval: 100ms, timeout: 100ms}
routes: [{cluster: web}]
`, e.Listener.Addr()))
	must(t, err)
	t.Cleanup(g.Kill)

	// ask makes a request on a connection of its own, and tells which certificate the gateway showed.
	ask := func(name string, identity ...tls.Certificate) (answer, shown string, err error) {
		transport := &http.Transport{Protocols: new(http.Protocols), DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", g.Addresses["edge"])
			if err != nil {
				return nil, err
			}
			_, _ = io.WriteString(c, "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n")
			config := &tls.Config{RootCAs: ca.Pool, ServerName: name, Certificates: identity, NextProtos: []string{"h2"}}
			secured := tls.Client(c, config)
			if err := secured.HandshakeContext(ctx); err != nil {
				return nil, err
			}
			shown = secured.ConnectionState().PeerCertificates[0].Subject.CommonName
			return secured, nil
		}}
		transport.Protocols.SetHTTP2(true)
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name+"/a//b?c=%2F", nil)
		must(t, err)
		for _, field := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Client-Cert"} {
			r.Header.Set(field, "forged")
		}
		resp, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return "", shown, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return fmt.Sprintf("%s %d\n%s", resp.Proto, resp.StatusCode, b), shown, err
	}
	check := func(t *testing.T) {
		t.Helper()
		for _, name := range []string{"shop", "blog"} {
			host := name + ".example"
			want := strings.Join([]string{
				"HTTP/2.0 200", "HTTP/2.0", host, "/a//b?c=%2F", "203.0.113.9", "https", host,
				`for=203.0.113.9;proto=https;host="` + host + `"`, "2 weir", ":" + base64.StdEncoding.EncodeToString(pairs["ann"].Certificate[0]) + ":",
			}, "\n")
			if got, shown, err := ask(host, pairs["ann"]); got != want || shown != name || err != nil {
				t.Errorf("%s: the certificate of %q, %v, and\n%s\nwant\n%s", host, shown, err, got, want)
			}
		}
	}
	check(t)
	if _, _, err := ask("shop.example"); err == nil {
		t.Error("a client without a certificate was served")
	}
	gatewaytest.Eventually(t, "the endpoint is probed", func() bool { return probes.Load() > 2 })

	s.put(t, "shop.pem", []byte("not a certificate\n"))
	metric := func(name string) float64 {
		v, err := g.Metric(name)
		must(t, err)
		return v
	}
	gatewaytest.Eventually(t, "the bad certificate is refused", func() bool { return metric("weir_certificate_refused") == 1 })
	check(t)
	before := metric("weir_reloads_total")
	must(t, g.cmd.Process.Signal(syscall.SIGHUP))
	gatewaytest.Eventually(t, "the reload is over", func() bool { return metric("weir_reloads_total") > before })
	check(t)
}
