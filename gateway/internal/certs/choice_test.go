package certs

import (
	"crypto/tls"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestCertificatesAreChosenByName(t *testing.T) {
	d := newDesk(t)
	address := listen(t, serving(t, new(clock), of(
		d.issue("first", named("first.example", "both.example")),
		d.issue("rsa", gatewaytest.Leaf{Names: []string{"two.example", "*.two.example"}, RSA: true}),
		d.issue("ecdsa", named("two.example", "*.two.example")),
		d.issue("exact", named("exact.two.example")),
		d.issue("firstrsa", gatewaytest.Leaf{Names: []string{"first.example"}, RSA: true}),
		d.issue("common", gatewaytest.Leaf{Common: "Common.Example"}),
	)).Listener("web").Config())
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for name, tc := range map[string]struct {
		asked  string
		suites []uint16
		leaf   string // the first name, or the common one
		key    string
	}{
		"the_name_itself":                      {"first.example", nil, "first.example", "ECDSA"},
		"a_further_name":                       {"both.example", nil, "first.example", "ECDSA"},
		"in_whatever_case":                     {"EXACT.two.Example", nil, "exact.two.example", "ECDSA"},
		"exact_before_wildcard":                {"exact.two.example", nil, "exact.two.example", "ECDSA"},
		"by_wildcard":                          {"a.two.example", nil, "two.example", "ECDSA"},
		"a_wildcard_is_one_label":              {"a.b.two.example", nil, "first.example", "ECDSA"},
		"ECDSA_before_RSA":                     {"two.example", nil, "two.example", "ECDSA"},
		"RSA_for_who_has_no_other":             {"two.example", onlyRSA, "two.example", "RSA"},
		"RSA_by_wildcard":                      {"a.two.example", onlyRSA, "two.example", "RSA"},
		"no_name_is_the_first":                 {"", nil, "first.example", "ECDSA"},
		"no_name_and_no_ECDSA":                 {"", onlyRSA, "first.example", "RSA"},
		"an_unknown_name_is_the_first":         {"unknown.example", nil, "first.example", "ECDSA"},
		"an_unknown_name_and_no_ECDSA":         {"unknown.example", onlyRSA, "first.example", "RSA"},
		"the_common_name_if_there_is_no_other": {"common.example", nil, "Common.Example", "ECDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{ServerName: tc.asked, InsecureSkipVerify: true}
			if tc.suites != nil {
				config.CipherSuites, config.MaxVersion = tc.suites, tls.VersionTLS12
			}
			state, err := dial(address, config)
			must(t, err)
			leaf := state.PeerCertificates[0]
			if _, err := leaf.Verify(verify(d)); err != nil {
				t.Error(err)
			}
			got := append(leaf.DNSNames, leaf.Subject.CommonName)[0]
			if got != tc.leaf || leaf.PublicKeyAlgorithm.String() != tc.key {
				t.Errorf("%s with %s, want %s with %s", got, leaf.PublicKeyAlgorithm, tc.leaf, tc.key)
			}
		})
	}
}

func TestWhatIsSpoken(t *testing.T) {
	d := newDesk(t)
	pair := d.issue("a", named("a.example"))
	strict := of(pair)
	strict.MinVersion, strict.ALPN = tls.VersionTLS13, []string{"h2", "http/1.1"}
	narrow := of(pair)
	narrow.Ciphers = []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}
	s := New(new(clock).now)
	commit(t, s, Spec{Listeners: map[string]ListenerSpec{"web": of(pair), "strict": strict, "narrow": narrow}})
	web, only13, only384 := listen(t, s.Listener("web").Config()), listen(t, s.Listener("strict").Config()), listen(t, s.Listener("narrow").Config())
	for name, tc := range map[string]struct {
		address string
		config  *tls.Config
		want    string // the protocol, "" if nothing is agreed on
	}{
		"1.2_with_AEAD_and_ECDHE":  {web, &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, "http/1.1"},
		"1.2_with_CBC_alone":       {web, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, ""},
		"1.2_with_what_is_named":   {only384, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, NextProtos: []string{"http/1.1"}}, "http/1.1"},
		"1.2_with_another":         {only384, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, ""},
		"1.1":                      {web, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ""},
		"1.2_where_1.3_is_wanted":  {only13, &tls.Config{MaxVersion: tls.VersionTLS12}, ""},
		"the_first_of_the_gateway": {only13, &tls.Config{NextProtos: []string{"http/1.1", "h2"}}, "h2"},
		"h2_where_it_is_not":       {web, &tls.Config{NextProtos: []string{"h2"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.ServerName, tc.config.RootCAs = "a.example", d.Pool
			state, err := dial(tc.address, tc.config)
			if state.NegotiatedProtocol != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%q, %v, want %q", state.NegotiatedProtocol, err, tc.want)
			}
		})
	}
}
