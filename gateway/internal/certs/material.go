package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// material is what files hold: a certificate with its key, or authorities. It is not changed.
type material struct {
	cert  *tls.Certificate // nil of authorities
	pool  *x509.CertPool   // nil of a certificate
	names []string         // of hosts, in lower case, wildcards among them; of authorities what they call themselves
	key   string           // rsa, ecdsa, ed25519; of authorities that of the one that lasts longest

	notBefore, notAfter time.Time // of a certificate its own, of authorities of the one that lasts longest
	leaf                string    // SHA-256 of that certificate, in hexadecimal digits
	digest              [sha256.Size]byte
}

// readPair reads a certificate with its chain, and its key.
func readPair(cert, key file) (*material, *Problem) {
	certPEM, p := cert.read()
	if p != nil {
		return nil, p
	}
	if _, p = certificates(cert, certPEM); p != nil {
		return nil, p
	}
	keyPEM, p := key.read()
	if p != nil {
		return nil, p
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "does not match"):
		return nil, key.problem(key.name + ", the key of another certificate than " + cert.name)
	default: // certificates has read the other file
		return nil, key.problem(fmt.Sprintf("%s (%s)", key.name, strings.TrimPrefix(err.Error(), "tls: ")))
	}
	m := &material{cert: &pair, names: hosts(pair.Leaf), digest: sha256.Sum256(slices.Concat(certPEM, []byte{0}, keyPEM))}
	m.describe(pair.Leaf)
	return m, nil
}

// readAuthorities reads what other certificates must lead to.
func readAuthorities(ca file) (*material, *Problem) {
	data, p := ca.read()
	if p != nil {
		return nil, p
	}
	all, p := certificates(ca, data)
	if p != nil {
		return nil, p
	}
	m := &material{pool: x509.NewCertPool(), digest: sha256.Sum256(data)}
	for _, c := range all {
		m.pool.AddCert(c)
		m.names = append(m.names, strings.ToValidUTF8(c.Subject.String(), "?")) // old ones have text in other encodings
		if c.NotAfter.After(m.notAfter) {
			m.describe(c)
		}
	}
	return m, nil
}

func (m *material) describe(c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	m.leaf, m.notBefore, m.notAfter = hex.EncodeToString(sum[:]), c.NotBefore, c.NotAfter
	m.key = strings.ToLower(c.PublicKeyAlgorithm.String())
}

// certificates returns those of a file in PEM, at least one. Other blocks are passed over.
func certificates(f file, data []byte) (all []*x509.Certificate, p *Problem) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, f.problem(fmt.Sprintf("a certificate in %s that cannot be read (%s)", f.name, strings.TrimPrefix(err.Error(), "x509: ")))
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, f.problem("no certificate in " + f.name)
	}
	return all, nil
}

// hosts returns the names of hosts that a certificate is for. The common name counts if there is no other (RFC 6125,
// section 6.4.4), as clients that are not browsers still have it.
func hosts(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	if cn := c.Subject.CommonName; len(names) == 0 && len(c.IPAddresses) == 0 && cn != "" && !strings.ContainsAny(cn, " /:@") {
		names = append(names, cn)
	}
	for i, n := range names {
		names[i] = strings.ToLower(strings.TrimSuffix(strings.ToValidUTF8(n, "?"), "."))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// title is what m is called in messages and series.
func (m *material) title() string {
	switch {
	case len(m.names) > 0:
		return m.names[0]
	case m.cert != nil && len(m.cert.Leaf.IPAddresses) > 0:
		return m.cert.Leaf.IPAddresses[0].String()
	}
	return m.leaf[:16]
}
