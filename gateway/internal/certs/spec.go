package certs

import "fmt"

// Spec is what a configuration says about TLS. Its files have absolute names.
type Spec struct {
	Listeners map[string]ListenerSpec // by name; those that speak TLS
	Clusters  map[string]ClusterSpec  // by name; those whose endpoints do
}

// ListenerSpec is the TLS of a listener.
type ListenerSpec struct {
	Path       string   // in the configuration: listeners[0].tls
	Pairs      []Pair   // at least one; the first is for clients that name no host, or one that is not known
	ClientCA   string   // a file of certificates that those of clients must lead to; "" asks clients for none
	Optional   bool     // with ClientCA: clients may have no certificate, but not a wrong one
	MinVersion uint16   // tls.VersionTLS12 or tls.VersionTLS13
	Ciphers    []string // of TLS 1.2, in [CipherSuites]; all if empty
	ALPN       []string // protocols, the preferred first
}

// ClusterSpec is the TLS of a cluster's endpoints.
type ClusterSpec struct {
	Path       string // in the configuration: clusters.web.tls
	CA         string // a file of certificates that those of endpoints must lead to; "" stands for the system's
	ServerName string // what certificates of endpoints must be for; "" is the host of each endpoint's address
	Pair       Pair   // what endpoints are shown; the zero Pair is nothing
	MinVersion uint16
}

// Pair is a certificate with its chain, and its key.
type Pair struct {
	Path      string // in the configuration: listeners[0].tls.certificates[0]
	Cert, Key string // files in PEM
}

// Files lists the files that s names.
func (s Spec) Files() (files []string) {
	add := func(names ...string) {
		for _, n := range names {
			if n != "" {
				files = append(files, n)
			}
		}
	}
	for _, l := range s.Listeners {
		for _, p := range l.Pairs {
			add(p.Cert, p.Key)
		}
		add(l.ClientCA)
	}
	for _, c := range s.Clusters {
		add(c.Pair.Cert, c.Pair.Key, c.CA)
	}
	return files
}

// Grade says how bad a problem is.
type Grade uint8

// Grades of problems.
const (
	Mistake  Grade = iota // nothing can be made of it
	Untimely              // expired, or not yet valid; it could be served nevertheless
	Warning               // it is served, and needs a look
)

// Problem is what is wrong with a file, at the place of the configuration that names it.
type Problem struct {
	Grade     Grade
	Path      string // listeners[0].tls.certificates[0].key
	Got, Want string
}

// Error returns the problem in the words of mistakes in a configuration.
func (p *Problem) Error() string { return fmt.Sprintf("%s: got %s, want %s", p.Path, p.Got, p.Want) }
