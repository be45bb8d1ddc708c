package certs

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// Listener is the TLS of a listener. It stays the same as long as the listener has TLS, whatever else changes.
type Listener struct {
	current atomic.Pointer[tls.Config]

	tickets tickets   // guarded by Store.mu, as ca
	ca      *material // that tickets were given under
}

// Config returns a configuration for tls.NewListener or tls.Server. Each handshake finds what serves as it begins; the
// configuration may be kept for good, and cloned.
func (l *Listener) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.current.Load(), nil },
	}
}

func (l *Listener) publish(spec ListenerSpec, pairs []*material, ca *material, clock func() time.Time) {
	config := &tls.Config{
		Time: clock, GetCertificate: newChoice(pairs).pick, MinVersion: spec.MinVersion, CipherSuites: suites(spec.Ciphers), NextProtos: spec.ALPN,
		ClientCAs: poolOf(ca),
	}
	switch {
	case ca == nil:
	case spec.Optional:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if l.ca != ca {
		l.tickets.forget() // a client that the old authorities vouched for has to show its certificate again
	}
	l.ca = ca
	l.tickets.rotate(clock())
	config.SetSessionTicketKeys(l.tickets.keys())
	l.current.Store(config)
}

// rotate changes the keys of tickets if it is time to.
func (l *Listener) rotate(now time.Time) {
	if l.tickets.rotate(now) {
		l.current.Load().SetSessionTicketKeys(l.tickets.keys())
	}
}
