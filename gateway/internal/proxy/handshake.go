package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"slices"
	"strings"
	"time"
)

// Protocols that connections speak, as fasthttp's NextProto has them: it asks a connection for a handshake, then what came of
// it, and gives the connection to the handler for that.
const (
	speaksHTTP1   = "http/1.1"
	speaksHTTP2   = "h2"
	speaksNothing = "" // it is only to be closed
)

// preface is what a connection that speaks HTTP/2 begins with (RFC 9113, section 3.4), as far as no request of HTTP/1 does.
const preface = "PRI * HTTP/2.0\r\n"

// Handshake takes the steps that come before the first request. It returns no error, for fasthttp takes a connection with
// one for its own.
func (c *conn) Handshake() error {
	if p := c.server.table.Load().ProxyProtocol[c.listener]; p != nil && p.trusts(c.addr) && !c.introduced(p) {
		return nil
	}
	if !c.server.admit(c) {
		c.server.stats.turnedAway.Add(1)
		c.aborted = true
		return nil
	}
	c.protocol = speaksHTTP1
	if config := c.server.table.Load().tls[c.listener]; config != nil {
		c.secure(config)
		return nil
	}
	if c.server.table.Load().H2C && c.beginsWith(preface) {
		c.protocol = speaksHTTP2
	}
	return nil
}

// secure ends TLS here. Without it the connection is only to be closed.
func (c *conn) secure(config *tls.Config) {
	c.protocol = speaksNothing
	t := tls.Server(followed{wire{c}}, config)
	_ = c.TCPConn.SetDeadline(time.Now().Add(c.server.table.Load().HeaderTimeout))
	if err := t.Handshake(); err != nil {
		c.server.stats.handshakes.Add(1)
		return
	}
	if t.ConnectionState().Version == tls.VersionTLS13 {
		c.records.read() // the client's Finished, at least
	}
	_ = c.TCPConn.SetDeadline(time.Time{})
	c.tls, c.scheme = t, "https"
	if c.protocol = speaksHTTP1; t.ConnectionState().NegotiatedProtocol == speaksHTTP2 {
		c.protocol = speaksHTTP2
	}
	c.version = tls.VersionName(t.ConnectionState().Version)
	c.sni = []byte(t.ConnectionState().ServerName)
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		leaf := chains[0][0]
		c.identity = identityOf(leaf)
		c.clientCert = append(base64.StdEncoding.AppendEncode([]byte{':'}, leaf.Raw), ':')
	}
	c.describe()
}

// identityOf returns whom a certificate is for, as policies are told.
func identityOf(leaf *x509.Certificate) []byte {
	switch {
	case len(leaf.URIs) > 0:
		return []byte("URI:" + leaf.URIs[0].String())
	case len(leaf.DNSNames) > 0:
		return []byte("DNS:" + leaf.DNSNames[0])
	}
	return []byte(leaf.Subject.String())
}

// beginsWith waits until it is clear whether what comes begins with text. It is still to be read.
func (c *conn) beginsWith(text string) bool {
	_ = c.TCPConn.SetReadDeadline(time.Now().Add(c.server.table.Load().HeaderTimeout))
	for len(c.early) < len(text) && strings.HasPrefix(text, string(c.early)) {
		buf := slices.Grow(c.early, len(text)-len(c.early))
		n, err := c.TCPConn.Read(buf[len(buf):len(text)])
		if c.early = buf[:len(buf)+n]; err != nil {
			break
		}
	}
	return strings.HasPrefix(string(c.early), text)
}

// ConnectionState says which protocol the connection speaks.
func (c *conn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: c.protocol}
}

func closeAtOnce(net.Conn) error { return nil }
