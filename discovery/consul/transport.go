package consul

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// maxConns is below the 200 connections that an agent grants one address (limits.http_max_conns_per_client).
	maxConns    = 160
	maxBody     = 32 << 20 // bytes of an answer
	dialTimeout = 5 * time.Second
	// lostAfter is how long an agent may leave bytes or keepalive probes unacknowledged before its connection counts as
	// lost. A blocking query is silent, so nothing else would notice a path that is gone.
	lostAfter = 15 * time.Second
)

var errTooLong = fmt.Errorf("answer is longer than %d bytes", maxBody)

// newTransport returns an HTTP client of bounded connections, waits and answers, and of no proxy. It takes over the
// socket path of cfg.Address, which the Consul client would dial without any bound.
func newTransport(cfg *api.Config, opts Options) (*http.Client, error) {
	dialer := &net.Dialer{
		Timeout: dialTimeout, Control: control,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: lostAfter / 3, Interval: lostAfter / 3, Count: 2},
	}
	dial := dialer.DialContext
	if path, ok := strings.CutPrefix(cfg.Address, "unix://"); ok {
		cfg.Address, cfg.Scheme = "localhost", "http"
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	tlsConfig, err := api.SetupTLSConfig(&cfg.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return &http.Client{Transport: &bounded{http.Transport{
		DialContext: dial, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: dialTimeout,
		MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: 90 * time.Second,
		ResponseHeaderTimeout: opts.Wait + opts.Wait/2 + opts.Timeout, // the context of each query is tighter
	}}}, nil
}

// bounded cuts answers off that are too long.
type bounded struct{ http.Transport }

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
