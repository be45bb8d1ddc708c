package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"unsafe"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// isMisdirected reports whether a request is for an origin that its connection does not vouch for (RFC 9110, sections 7.4
// and 15.5.20): an https URL without TLS, or a host that is neither the name that the client asked for in TLS nor one that
// the certificate it was shown is good for. The latter are allowed since clients of HTTP/2 use a connection for all of them
// (RFC 9113, section 9.1.1). Who asked for no name is not held to one.
func (x *exchange) isMisdirected() bool {
	c := x.conn
	switch {
	case c.tls == nil:
		return x.https
	case len(c.sni) == 0 || len(x.host) == 0:
		return false
	}
	var buf [maxHost]byte
	host := canonicalHost(buf[:0], x.host)
	return !bytes.EqualFold(host, c.sni) && (c.shown == nil || !isFor(c.shown, host) && !isForAddress(c.shown, withoutPort(x.host)))
}

// isFor reports whether a certificate names host, or has a wildcard for its first label (RFC 6125, section 6.4.3).
func isFor(leaf *x509.Certificate, host []byte) bool {
	label := max(bytes.IndexByte(host, '.'), 0)
	for _, name := range leaf.DNSNames {
		if grammar.EqualFold(host, name) || label > 0 && len(name) > 1 && name[0] == '*' && grammar.EqualFold(host[label:], name[1:]) {
			return true
		}
	}
	return false
}

// isForAddress reports whether a certificate names host, an IP address.
func isForAddress(leaf *x509.Certificate, host []byte) bool {
	switch {
	case len(leaf.IPAddresses) == 0:
		return false
	case host[0] == '[':
		host = host[1 : len(host)-1]
	case bytes.ContainsFunc(host, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }):
		return false // a name
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(host), len(host))) // not kept
	if err != nil {
		return false
	}
	for _, ip := range leaf.IPAddresses {
		if b, ok := netip.AddrFromSlice(ip); ok && b.Unmap() == a.Unmap() {
			return true
		}
	}
	return false
}

// noting returns config that also lets each connection remember the certificate that its client sees. A session that is
// resumed shows none: then it is the one that would be shown.
func noting(config *tls.Config) *tls.Config {
	noted := config.Clone()
	noted.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		serves := config
		if config.GetConfigForClient != nil {
			c, err := config.GetConfigForClient(hello)
			if err != nil {
				return nil, err
			}
			if c != nil {
				serves = c
			}
		}
		hello.Conn.(followed).shown = shownBy(serves, hello)
		return serves, nil
	}
	return noted
}

// shownBy returns the certificate that config has for who says hello, or nil.
func shownBy(config *tls.Config, hello *tls.ClientHelloInfo) *x509.Certificate {
	if config.GetCertificate != nil {
		if cert, err := config.GetCertificate(hello); err == nil && cert != nil {
			return cert.Leaf
		}
	}
	for i := range config.Certificates {
		if c := &config.Certificates[i]; len(config.Certificates) == 1 || hello.SupportsCertificate(c) == nil {
			return c.Leaf
		}
	}
	return nil
}
