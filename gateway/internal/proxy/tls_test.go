package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// identity is a certificate for shop.example.com and those names that the tests put into Host, and what trusts it.
func identity(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"shop.example.com", "a", "test", "*.wild.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// secured is a gateway whose listener ends TLS, and what a client needs to talk to it.
func secured(t *testing.T, o options, endpoints ...*gatewaytest.Endpoint) (*gateway, *tls.Config) {
	t.Helper()
	certificate, pool := identity(t)
	o.config.TLS = map[string]*tls.Config{"http": {Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}}
	return start(t, o, endpoints...), &tls.Config{RootCAs: pool, ServerName: "shop.example.com"}
}

func (g *gateway) dialTLS(config *tls.Config) *tls.Conn {
	g.tb.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", g.address, config)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestPoliciesSeeTLS(t *testing.T) {
	var got []string
	see := picker(func(r *policies.Request, _ *policies.View) int {
		got = []string{string(r.Attrs.Attr(policies.AttrSNI)), string(r.Attrs.Attr(policies.AttrClientIdentity))}
		if r.Flags&policies.TLS != 0 {
			got = append(got, "TLS")
		}
		if r.Flags&policies.HasKey != 0 && r.KeyHash == xxhash.Sum64String(got[1]) {
			got = append(got, "keyed")
		}
		return 0
	})
	authority := gatewaytest.NewAuthority(t, "clients")
	for _, c := range []struct {
		name string
		leaf gatewaytest.Leaf
		want []string
	}{
		{"no certificate", gatewaytest.Leaf{}, []string{"shop.example.com", "", "TLS"}},
		{"URIs come first", gatewaytest.Leaf{Names: []string{"a", "spiffe://example.com/web"}}, []string{"shop.example.com", "URI:spiffe://example.com/web", "TLS", "keyed"}},
		{"then DNS names", gatewaytest.Leaf{Common: "c", Names: []string{"a", "b"}}, []string{"shop.example.com", "DNS:a", "TLS", "keyed"}},
		{"then the subject", gatewaytest.Leaf{Common: "c"}, []string{"shop.example.com", "CN=c", "TLS", "keyed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, config := secured(t, options{policy: see, route: Route{Affinity: Affinity{Source: ClientIdentityKey}}}, gatewaytest.NewEndpoint(t))
			server := g.config.TLS["http"]
			server.ClientCAs, server.ClientAuth = authority.Pool, tls.VerifyClientCertIfGiven
			if c.leaf.Common+strings.Join(c.leaf.Names, "") != "" {
				certificate, err := tls.X509KeyPair(authority.Issue(t, c.leaf))
				if err != nil {
					t.Fatal(err)
				}
				config.Certificates = []tls.Certificate{certificate}
			}
			conn := g.dialTLS(config)
			if _, err := io.WriteString(conn, gatewaytest.Head("GET", "/")); err != nil {
				t.Fatal(err)
			}
			if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != 200 || !slices.Equal(got, c.want) {
				t.Errorf("%v, %v: the policy sees %q, want %q", r, err, got, c.want)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Run("HTTP/1.1 and HTTP/2 come through, and endpoints hear of it", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
		g, config := secured(t, options{}, e)
		for _, two := range []bool{false, true} {
			transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: two}
			c := &http.Client{Transport: transport}
			for range 3 {
				r := request2(t, g, "POST", "/", strings.NewReader(strings.Repeat("x", 100_000)))
				r.URL.Scheme = "https"
				resp, body := g.ask2(c, r)
				if (resp.ProtoMajor == 2) != two || resp.StatusCode != 200 || len(body) != 100_000 {
					t.Errorf("HTTP/%d: got %d, %d bytes", resp.ProtoMajor, resp.StatusCode, len(body))
				}
			}
			transport.CloseIdleConnections()
		}
		for _, r := range e.Requests() {
			if r.Header.Get("X-Forwarded-Proto") != "https" || !strings.Contains(r.Header.Get("Forwarded"), "proto=https") {
				t.Errorf("the endpoint got %v", r.Header)
			}
		}
		if n := e.Open(); n > 2 {
			t.Errorf("%d connections to the endpoint", n)
		}
	})
	t.Run("the end of a body that only the end tells is said, and a cut is none", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.RawClose("HTTP/1.1 200 OK\r\n\r\nabc"), gatewaytest.RawReset("HTTP/1.1 200 OK\r\n\r\nabc"))
		g, config := secured(t, options{}, e)
		for _, whole := range []bool{true, false} {
			c := g.dialTLS(config)
			if _, err := io.WriteString(c, "GET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c)
			if (err == nil) != whole || whole && !strings.HasSuffix(string(b), "\r\n\r\nabc") {
				t.Errorf("whole %v: got %q, %v", whole, b, err)
			}
		}
	})
	t.Run("an answer to a body that is still being sent reaches the client", func(t *testing.T) {
		g, config := secured(t, options{config: Config{MaxBody: 10}}, gatewaytest.NewEndpoint(t, ok))
		c := g.dialTLS(config)
		go func() {
			_, _ = io.WriteString(c, gatewaytest.Head("POST", "/", "Content-Length: 10000000")+strings.Repeat("x", 1_000_000))
		}()
		if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 413 {
			t.Errorf("got %v, %v", r, err)
		}
	})
	t.Run("WebSocket passes", func(t *testing.T) {
		g, config := secured(t, options{}, gatewaytest.NewEndpoint(t, parrot))
		c := g.dialTLS(config)
		br := bufio.NewReader(c)
		if _, err := io.WriteString(c, websocket()+"early "); err != nil {
			t.Fatal(err)
		}
		if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		_, _ = io.WriteString(c, "late")
		_ = c.CloseWrite()
		if b, err := io.ReadAll(br); string(b) != "hello early late" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("what is no TLS, comes too slowly or trusts nobody gets nothing", func(t *testing.T) {
		g, config := secured(t, options{config: Config{HeaderTimeout: 200 * time.Millisecond}}, gatewaytest.NewEndpoint(t, ok))
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		if b, err := io.ReadAll(c.Reader()); strings.Contains(string(b), "HTTP/") {
			t.Errorf("no TLS: got %q, %v", b, err)
		}
		slow := g.dial()
		slow.Send("\x16\x03\x01")
		if err := slow.Ended(); err != nil {
			t.Error(err)
		}
		stranger := config.Clone()
		stranger.RootCAs = x509.NewCertPool()
		if _, err := tls.Dial("tcp", g.address, stranger); err == nil {
			t.Error("a certificate that nobody vouches for was taken")
		}
		gatewaytest.Eventually(t, "three failed", func() bool { return g.Stats().Handshakes == 3 })
		if g.dialTLS(config).ConnectionState().Version != tls.VersionTLS13 {
			t.Error("not TLS 1.3")
		}
	})
	t.Run("a client that goes away ends its attempt", func(t *testing.T) {
		began, ended := make(chan struct{}), make(chan struct{})
		g, config := secured(t, options{}, gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
			close(began)
			_ = x.ReadRaw(1)
			close(ended)
			x.Close()
		}))
		c := g.dialTLS(config)
		_, _ = io.WriteString(c, gatewaytest.Head("GET", "/"))
		<-began
		_ = c.Close()
		<-ended
	})
}
