package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func verify(d *desk) x509.VerifyOptions { return x509.VerifyOptions{Roots: d.Pool} }

// card is a certificate for a client.
func card(t testing.TB, a *gatewaytest.Authority, name string) []tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(a.Issue(t, gatewaytest.Leaf{Common: name}))
	must(t, err)
	return []tls.Certificate{pair}
}

func TestClientsShowCertificates(t *testing.T) {
	d := newDesk(t)
	pair := d.issue("a", named("a.example"))
	required := of(pair)
	required.ClientCA = d.file("ca.pem")
	optional := required
	optional.Optional = true
	s := New(new(clock).now)
	commit(t, s, Spec{Listeners: map[string]ListenerSpec{"required": required, "optional": optional}})
	good, foreign := card(t, d.Authority, "ann"), card(t, gatewaytest.NewAuthority(t, "test authority"), "eve")
	for name, tc := range map[string]struct {
		listener string
		card     []tls.Certificate
		identity string
		want     string // of the error
	}{
		"required_and_good":    {"required", good, "ann", ""},
		"required_and_none":    {"required", nil, "", "certificate required"},
		"required_and_foreign": {"required", foreign, "", "unknown certificate authority"},
		"optional_and_good":    {"optional", good, "ann", ""},
		"optional_and_none":    {"optional", nil, "", ""},
		"optional_and_foreign": {"optional", foreign, "", "unknown certificate authority"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 1)
			config := s.Listener(tc.listener).Config()
			inner := config.GetConfigForClient
			config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				c, err := inner(h)
				c = c.Clone()
				c.VerifyConnection = func(st tls.ConnectionState) error {
					who := ""
					if len(st.VerifiedChains) > 0 {
						who = st.VerifiedChains[0][0].Subject.CommonName
					}
					seen <- who
					return nil
				}
				return c, err
			}
			_, err := dial(listen(t, config), &tls.Config{ServerName: "a.example", RootCAs: d.Pool, Certificates: tc.card})
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v, want %s", err, tc.want)
				}
				return
			}
			must(t, err)
			if who := <-seen; who != tc.identity {
				t.Errorf("identity %q, want %q", who, tc.identity)
			}
		})
	}
}
