package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestMisdirected: a connection with TLS is for the name that the client asked for, and for all that the certificate is
// good for.
func TestMisdirected(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, gatewaytest.Echo())
	plain, _ := secured(t, options{}, e)
	trusting, _ := secured(t, options{config: Config{Trusted: map[string][]netip.Prefix{"http": {netip.MustParsePrefix("127.0.0.0/8")}}}}, e)
	for _, c := range []struct {
		name, sni, host string
		trusted         bool
		status          int
	}{
		{"the name that was asked for", "shop.example.com", "shop.example.com", false, 200},
		{"in other letters, with a port and the root's dot", "shop.example.com", "SHOP.example.com.:8443", false, 200},
		{"another name of the certificate", "shop.example.com", "a", false, 200},
		{"by a wildcard", "shop.example.com", "b.wild.example", false, 200},
		{"a wildcard is one label", "shop.example.com", "c.b.wild.example", false, 421},
		{"a wildcard is not its parent", "shop.example.com", "wild.example", false, 421},
		{"an address of the certificate", "shop.example.com", "127.0.0.1:8443", false, 200},
		{"another address", "shop.example.com", "127.0.0.2", false, 421},
		{"a stranger", "shop.example.com", "shop.example.org", false, 421},
		{"asked for, though the certificate is for others", "shop.example.org", "shop.example.org", false, 200},
		{"no name was asked for", "", "shop.example.org", false, 200},
		{"by a trusted peer", "shop.example.com", "shop.example.org", true, 200},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			t.Run(c.name+"/"+protocol, func(t *testing.T) {
				g := plain
				if c.trusted {
					g = trusting
				}
				var config tls.Config
				config.ServerName, config.InsecureSkipVerify, config.NextProtos = c.sni, true, []string{protocol}
				transport := &http.Transport{TLSClientConfig: &config, ForceAttemptHTTP2: protocol == "h2"}
				defer transport.CloseIdleConnections()
				r := request2(t, g, "GET", "/", nil)
				r.URL.Scheme, r.Host = "https", c.host
				resp, _ := g.ask2(&http.Client{Transport: transport}, r)
				if resp.StatusCode != c.status || (resp.ProtoMajor == 2) != (protocol == "h2") {
					t.Errorf("got %s %d; want %d", resp.Proto, resp.StatusCode, c.status)
				}
			})
		}
	}
	t.Run("an https URL without TLS", func(t *testing.T) {
		for _, trusted := range []bool{false, true} {
			var o options
			want := 421
			if trusted {
				o.config.Trusted, want = map[string][]netip.Prefix{"http": {netip.MustParsePrefix("127.0.0.0/8")}}, 200
			}
			g := start(t, o, e)
			c, err := net.Dial("tcp", g.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "GET HTTPS://b/ HTTP/1.1\r\nHost: b\r\n\r\n")
			if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != want {
				t.Errorf("trusted %v: got %v, %v; want %d", trusted, r, err, want)
			}
		}
	})
	t.Run("a session that was resumed is for the same names", func(t *testing.T) {
		config := &tls.Config{ServerName: "shop.example.com", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for _, resumed := range []bool{false, true} {
			for host, status := range map[string]int{"a": 200, "evil": 421} {
				c := plain.dialTLS(config)
				_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
				r, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || r.StatusCode != status || resumed && !c.ConnectionState().DidResume {
					t.Errorf("resumed %v, %s: got %v, %v; want %d", c.ConnectionState().DidResume, host, r, err, status)
				}
			}
		}
	})
}

// TestJudgingTheHostAllocatesNothing, whether it is good or bad.
func TestJudgingTheHostAllocatesNothing(t *testing.T) {
	certificate, _ := identity(t)
	x := &exchange{}
	x.conn = &conn{tls: new(tls.Conn), sni: []byte("shop.example.com"), shown: certificate.Leaf}
	for host, bad := range map[string]bool{"b.wild.example:443": false, "127.0.0.1": false, "shop.example.org": true} {
		x.host = []byte(host)
		if n := testing.AllocsPerRun(100, func() {
			if !validHost(x.host) || x.isMisdirected() != bad {
				t.Error(host)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations; want 0", host, n)
		}
	}
	ip := []byte("[2001:db8::1]:443")
	if n := testing.AllocsPerRun(100, func() { _ = validHost(ip) }); n != 0 {
		t.Errorf("IPv6: %v allocations; want 0", n)
	}
}
