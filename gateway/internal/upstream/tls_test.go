package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

func always(c *tls.Config) func() *tls.Config { return func() *tls.Config { return c } }

// TestTLS speaks to an endpoint over TLS: the connection is used again, and one that nobody vouches for is not used at all.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.ServerName)
	}))
	s.EnableHTTP2 = false
	s.StartTLS()
	defer s.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	p := New(Config{Address: s.Listener.Addr().String(), TLS: always(&tls.Config{RootCAs: trusted, ServerName: "example.com"})})
	defer p.Close()
	for range 3 {
		c, err := p.Take(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		c.Written()
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); string(b) != "example.com" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		c.Release()
	}
	if st := p.Stats(); st.Dials != 1 || st.Reuses != 2 || st.Idle != 1 {
		t.Errorf("got %+v; want one connection, used three times", st)
	}
	for name, config := range map[string]*tls.Config{
		"nobody vouches for it": {RootCAs: x509.NewCertPool(), ServerName: "example.com"},
		"another name":          {RootCAs: trusted, ServerName: "example.org"},
		"no common version":     {RootCAs: trusted, ServerName: "example.com", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS11},
	} {
		p.Configure(Config{TLS: always(config)})
		if c, err := p.TakeFresh(5 * time.Second); ClassOf(err) != policies.TLSFailed {
			t.Errorf("%s: got %v, %v; want a failure of TLS", name, c, err)
		}
	}
	if st := p.Stats(); st.Open != 1 || st.Failed != 3 {
		t.Errorf("got %+v; want the one connection open, and three that failed", st)
	}
}
