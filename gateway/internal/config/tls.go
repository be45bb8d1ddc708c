package config

import (
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/weir-lb/weir/internal/form"
)

// ListenerTLS makes a listener speak TLS, and nothing else.
type ListenerTLS struct {
	Certificates []KeyPair `yaml:"certificates"`                                           // the first is for clients that name no host, or one that is not known
	ClientCA     string    `yaml:"client_ca" as:"file"`                                    // absolute; "" asks clients for no certificate
	ClientAuth   string    `yaml:"client_auth" default:"require" oneof:"require optional"` // of no meaning without ClientCA
	MinVersion   string    `yaml:"min_version" default:"1.2" oneof:"1.2 1.3"`
	Ciphers      []string  `yaml:"ciphers" as:"cipher"` // of TLS 1.2, by IANA name; none stands for all that are safe
}

// ClusterTLS makes the endpoints of a cluster be spoken to in TLS. Their certificates are always verified.
type ClusterTLS struct {
	CA          string   `yaml:"ca" as:"file"`            // absolute; "" stands for the authorities that the system trusts
	ServerName  string   `yaml:"server_name" as:"server"` // "" is the host of each endpoint's address, then a name
	Certificate *KeyPair `yaml:"certificate"`             // what endpoints are shown; nil is nothing
	MinVersion  string   `yaml:"min_version" default:"1.2" oneof:"1.2 1.3"`
}

// KeyPair is a certificate with its chain, and its key, in files in PEM.
type KeyPair struct {
	Cert string `yaml:"cert" as:"file"` // absolute
	Key  string `yaml:"key" as:"file"`  // absolute
}

// Version returns what crypto/tls calls a min_version.
func Version(minVersion string) uint16 {
	if minVersion == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func (c *checker) listenerTLS(t *ListenerTLS, path string) {
	if t == nil || c.paths[path] {
		return
	}
	if len(t.Certificates) == 0 {
		c.fail(path+".certificates", "none", "at least one")
	}
	for i := range t.Certificates {
		c.pair(&t.Certificates[i], form.Item(path+".certificates", i))
	}
	if len(t.Ciphers) > 0 && t.MinVersion == "1.3" {
		c.fail(path+".ciphers", "ciphers of TLS 1.2, and min_version 1.3", "one of them")
	}
	if _, named := c.places[path+".client_auth"]; named && t.ClientCA == "" && !c.paths[path+".client_ca"] {
		c.fail(path+".client_auth", t.ClientAuth+" without client_ca", "both or neither: nothing else says whose certificates are good")
	}
}

// clusterTLS demands that it is clear what name certificates of endpoints must have.
func (c *checker) clusterTLS(k *Cluster, path string) {
	t := k.TLS
	if t == nil || c.paths[path] {
		return
	}
	if t.Certificate != nil {
		c.pair(t.Certificate, path+".certificate")
	}
	if t.ServerName != "" {
		return
	}
	const want = "the name that certificates of the endpoints are for"
	if k.Consul != nil {
		c.fail(path+".server_name", "nothing, and endpoints of Consul, whose addresses say no name", want)
		return
	}
	for _, e := range k.Endpoints {
		host, _, _ := net.SplitHostPort(e.Address)
		if _, err := netip.ParseAddr(host); err == nil {
			c.fail(path+".server_name", "nothing, and the endpoint "+e.Address+", whose address says no name", want)
			return
		}
	}
}

func (c *checker) pair(p *KeyPair, path string) {
	if !c.paths[path] {
		c.require(p.Cert, path+".cert", texts["file"].Want)
		c.require(p.Key, path+".key", texts["file"].Want)
	}
}
