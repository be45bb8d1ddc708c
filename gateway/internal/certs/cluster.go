package certs

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// Cluster is the TLS of a cluster's endpoints. It stays the same as long as they have TLS, whatever else changes.
type Cluster struct {
	base atomic.Pointer[tls.Config]
	of   madeOf // what base is made of; guarded by Store.mu
}

type madeOf struct {
	serverName string
	minVersion uint16
	pair, ca   *material
}

func (c *Cluster) publish(spec ClusterSpec, pairs []*material, ca *material, clock func() time.Time) {
	of := madeOf{serverName: spec.ServerName, minVersion: spec.MinVersion, ca: ca}
	if len(pairs) > 0 {
		of.pair = pairs[0]
	}
	if c.of == of {
		return // connections that are open may be used on
	}
	c.of = of
	config := &tls.Config{
		Time: clock, RootCAs: poolOf(ca), ServerName: spec.ServerName, MinVersion: spec.MinVersion, CipherSuites: suites(nil),
	}
	if of.pair != nil {
		cert := of.pair.cert
		// It is shown whatever authorities the endpoint names: an endpoint that refuses it says why, one that is shown
		// nothing does not.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	c.base.Store(config)
}

// Config returns what gives the configuration for connections to an endpoint at host:port. It gives the same pointer
// until something changes, and then another: a connection that was made with an earlier one is better not used again. It
// allocates nothing while nothing changes. Sessions are resumed with this endpoint alone, since others need not share
// its keys.
func (c *Cluster) Config(address string) func() *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	e := &endpoint{cluster: c, host: host}
	return e.config
}

// endpoint is what connections to one endpoint have in common.
type endpoint struct {
	cluster *Cluster
	host    string
	made    atomic.Pointer[made]
}

// made is a configuration and what it was made from.
type made struct{ base, config *tls.Config }

func (e *endpoint) config() *tls.Config {
	for {
		base, was := e.cluster.base.Load(), e.made.Load()
		if was != nil && was.base == base {
			return was.config
		}
		config := base.Clone()
		if config.ServerName == "" {
			config.ServerName = e.host
		}
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // it has a key for each name, and there is one
		e.made.CompareAndSwap(was, &made{base, config})
	}
}
