package certs

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// clock is a time that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// desk is a folder of files that an authority fills.
type desk struct {
	*gatewaytest.Authority
	t   testing.TB
	dir string
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{gatewaytest.NewAuthority(t, "test authority"), t, t.TempDir()}
	d.put("ca.pem", d.PEM)
	return d
}

func (d *desk) file(name string) string { return filepath.Join(d.dir, name) }

// put lays a file by rename.
func (d *desk) put(name string, data []byte) string {
	d.t.Helper()
	must(d.t, os.WriteFile(d.file(name+".new"), data, 0o600), os.Rename(d.file(name+".new"), d.file(name)))
	return d.file(name)
}

// issue lays stem.pem and stem.key.
func (d *desk) issue(stem string, l gatewaytest.Leaf) Pair {
	d.t.Helper()
	cert, key := d.Issue(d.t, l)
	return Pair{Path: "at." + stem, Cert: d.put(stem+".pem", cert), Key: d.put(stem+".key", key)}
}

func named(names ...string) gatewaytest.Leaf { return gatewaytest.Leaf{Names: names} }

// of is a spec of one listener.
func of(pairs ...Pair) ListenerSpec {
	return ListenerSpec{Path: "at", Pairs: pairs, MinVersion: tls.VersionTLS12, ALPN: []string{"http/1.1"}}
}

// serving returns a store with one listener, called web.
func serving(t testing.TB, c *clock, l ListenerSpec) *Store {
	t.Helper()
	s := New(c.now)
	commit(t, s, Spec{Listeners: map[string]ListenerSpec{"web": l}})
	return s
}

// commit makes spec what s serves. Warnings and certificates out of their time are let pass.
func commit(t testing.TB, s *Store, spec Spec) []News {
	t.Helper()
	next, problems := s.Prepare(spec)
	for _, p := range problems {
		if p.Grade == Mistake {
			t.Fatal(p)
		}
	}
	return s.Commit(next)
}

// listen answers every connection with one byte until the test ends, and returns the address.
func listen(t testing.TB, config *tls.Config) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				_, _ = c.Write([]byte{'x'}) // the handshake comes first
				_, _ = c.Read(make([]byte, 1))
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return ln.Addr().String()
}

// dial shakes hands and reads the byte, so that what the server refuses is an error, and tickets have come.
func dial(address string, config *tls.Config) (tls.ConnectionState, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", address, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return c.ConnectionState(), err
}

// leaf shakes hands with what the store serves as web, naming no host, and returns the first name of the certificate.
func (d *desk) leaf(s *Store) string {
	d.t.Helper()
	state, err := dial(listen(d.t, s.Listener("web").Config()), &tls.Config{InsecureSkipVerify: true})
	must(d.t, err)
	if _, err := state.PeerCertificates[0].Verify(verify(d)); err != nil {
		d.t.Error(err)
	}
	return state.PeerCertificates[0].DNSNames[0]
}

func kinds(news []News) (all []Kind) {
	for _, n := range news {
		all = append(all, n.Kind)
	}
	return all
}
