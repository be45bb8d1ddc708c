//go:build linux

package cost

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// secureClients speak TLS 1.3, a goroutine each.
type secureClients struct {
	tally

	address string
	load    *Load
	config  *tls.Config
	cancel  context.CancelFunc
	ctx     context.Context // ends with the clients
	mu      sync.Mutex
	err     error // the first
}

func dialTLS(address string, l *Load) (*secureClients, error) {
	if l.Rate != 0 {
		return nil, fmt.Errorf("load %s: got a rate with TLS, want none", l.Name)
	}
	c := &secureClients{address: address, load: l, config: &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		CurvePreferences: []tls.CurveID{tls.X25519}, // the best that OpenSSL 3.0 has
	}}
	c.ended = make(chan struct{})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func (c *secureClients) start() {
	var all sync.WaitGroup
	for range c.load.Connections {
		all.Go(func() {
			for c.ctx.Err() == nil {
				if err := c.connection(); err != nil && c.ctx.Err() == nil {
					if err := c.fail(err); err != nil {
						c.mu.Lock()
						c.err = err
						c.mu.Unlock()
						c.cancel()
					}
				}
			}
		})
	}
	go func() {
		defer close(c.ended)
		all.Wait()
	}()
}

func (c *secureClients) close() error {
	c.cancel()
	<-c.ended
	return c.err
}

// connection makes one, and requests over it: one, if connections are what is measured.
func (c *secureClients) connection() error {
	raw, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	defer raw.Close()
	defer context.AfterFunc(c.ctx, func() { _ = raw.Close() })()
	conn := tls.Client(raw, c.config)
	request, buffer := c.load.request(), make([]byte, 64<<10)
	for c.ctx.Err() == nil {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return err
		}
		var a answer
		for over := false; !over; {
			n, err := conn.Read(buffer)
			if n > 0 {
				c.bytes.Add(int64(n))
				if over, err = a.take(buffer[:n]); err != nil {
					return err
				}
			}
			if err != nil && !over {
				return err
			}
		}
		if err := c.check(a.status, a.size, c.load.body()); err != nil {
			return err
		}
		c.done.Add(1)
		if c.timing.Load() {
			c.mu.Lock()
			c.latencies = append(c.latencies, time.Since(began))
			c.mu.Unlock()
		}
		if c.load.Handshakes {
			return nil
		}
	}
	return nil
}

// Certificate makes one for P-256 that signs itself, as the files FILE.pem and FILE.pem.key of a folder.
func Certificate(dir string) (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "www.example.com"}, DNSNames: []string{"www.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	cert = filepath.Join(dir, "cert.pem")
	key = cert + ".key"
	return cert, key, errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}
