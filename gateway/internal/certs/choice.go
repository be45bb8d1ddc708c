package certs

import (
	"crypto/tls"
	"slices"
	"strings"
)

// choice finds a certificate for the name that a client asks for. It is not changed.
type choice struct {
	byName map[string][]*tls.Certificate // by name or wildcard: one for each kind of key, RSA last
	// others are for clients that name no host, or one that is not known: the first, and those that share a name with it.
	others []*tls.Certificate
}

// newChoice takes what a listener has, the first for others. Each name comes once for each kind of key.
func newChoice(pairs []*material) *choice {
	c := &choice{byName: map[string][]*tls.Certificate{}}
	if len(pairs) == 0 {
		return c
	}
	first := pairs[0]
	// A signature with RSA costs ten times one with ECDSA, and who can verify either can verify both.
	ordered := slices.Clone(pairs)
	slices.SortStableFunc(ordered, func(a, b *material) int { return rank(a.key) - rank(b.key) })
	for _, m := range ordered {
		for _, name := range m.names {
			c.byName[name] = append(c.byName[name], m.cert)
		}
		if m == first || slices.ContainsFunc(m.names, func(n string) bool { return slices.Contains(first.names, n) }) {
			c.others = append(c.others, m.cert)
		}
	}
	return c
}

func rank(key string) int {
	if key == "rsa" {
		return 1
	}
	return 0
}

// pick implements tls.Config.GetCertificate: the name itself before a wildcard, which stands for one label (RFC 6125,
// section 6.4.3), and of those for the same name the first that the client can verify.
func (c *choice) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	found := c.byName[name]
	if found == nil {
		if _, parent, ok := strings.Cut(name, "."); ok {
			found = c.byName["*."+parent]
		}
	}
	if found == nil {
		found = c.others
	}
	if len(found) == 1 {
		return found[0], nil
	}
	anyName := *hello
	anyName.ServerName = "" // or those of others would all be refused
	for _, cert := range found {
		if anyName.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return found[0], nil
}
