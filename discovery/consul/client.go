// Package consul watches services in a Consul catalogue. It is the only home of Consul's client.
//
// A watch is a loop of blocking queries (https://developer.hashicorp.com/consul/api-docs/features/blocking) on
// /v1/health/service. It keeps the last known good answer through every failure: errors, lost leaders, permissions that
// hide instances, and lists that suddenly shrink. The age of what is published tells the difference.
package consul

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-lb/weir/discovery"
)

// Options says how to reach the agent and how far to trust it. Empty strings mean what the CONSUL_* environment says,
// zero durations the defaults.
type Options struct {
	Address    string // URL or host:port or unix:///path
	Token      string
	TokenFile  string // wins over Token; read again for every query, so that tokens can rotate
	Datacenter string

	Wait       time.Duration // the longest that a query blocks at the agent, before jitter; 55 s
	Timeout    time.Duration // how much longer than it was asked to wait an answer may take; 10 s
	Hold       time.Duration // how long a list that suddenly shrank is doubted; 5 s, negative: not at all
	Refresh    time.Duration // a full answer is asked for this often; 5 min
	Pace       time.Duration // the mean time between two queries for a service is at least this; 25 ms
	MaxBackoff time.Duration // after failures; 30 s
	Define     time.Duration // prepared queries are read this often, give or take a tenth; 30 s
	MaxStale   time.Duration // an answer of a Consul server that lost its leader longer ago is not taken; 1 min

	Snapshot *discovery.Snapshot // where the last known good is kept; nil: nowhere
	Seed     uint64              // of jitter; 0: drawn from the system
	Log      *slog.Logger        // told when a service becomes stale or fresh again; none if nil
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field   *time.Duration
		initial time.Duration
	}{
		{&o.Wait, 55 * time.Second},
		{&o.Timeout, 10 * time.Second},
		{&o.Hold, 5 * time.Second},
		{&o.Refresh, 5 * time.Minute},
		{&o.Pace, 25 * time.Millisecond},
		{&o.MaxBackoff, 30 * time.Second},
		{&o.MaxStale, time.Minute},
		{&o.Define, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.initial
		}
	}
	o.Hold = max(0, o.Hold)
	if o.Seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		o.Seed = binary.NativeEndian.Uint64(b[:])
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Client asks one Consul agent. Its methods may be called concurrently.
type Client struct {
	api        *api.Client
	http       *http.Client
	opts       Options
	datacenter string // as configured; "" is the agent's own
	scope      string // namespace and partition
	tokenFile  string

	mu    sync.Mutex
	token string
}

// New returns a client. It does not reach out to the agent; it fails on options or an environment that make no sense,
// and on files that cannot be read.
func New(opts Options) (*Client, error) {
	opts.setDefaults()
	cfg := api.DefaultConfig()
	if opts.Address != "" {
		cfg.Address = opts.Address
	}
	if opts.Datacenter != "" {
		cfg.Datacenter = opts.Datacenter
	}
	switch {
	case opts.TokenFile != "":
		cfg.TokenFile = opts.TokenFile
	case opts.Token != "":
		cfg.Token, cfg.TokenFile = opts.Token, ""
	}
	tr, err := newTransport(cfg, opts)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	c := &Client{
		opts: opts, http: tr, datacenter: cfg.Datacenter, tokenFile: cfg.TokenFile, token: cfg.Token,
		scope: cfg.Partition + "/" + cfg.Namespace,
	}
	if c.tokenFile != "" {
		if c.token, err = readToken(c.tokenFile); err != nil {
			return nil, fmt.Errorf("consul: %w", err)
		}
	}
	cfg.HttpClient = tr
	if c.api, err = api.NewClient(cfg); err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return c, nil
}

// Close drops idle connections. Sources of the client end with their contexts, not with this.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// currentToken returns the token to use now. While the file cannot be read, that is the one it held before.
func (c *Client) currentToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokenFile != "" {
		if t, err := readToken(c.tokenFile); err == nil {
			c.token = t
		}
	}
	return c.token
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	t := strings.TrimSpace(string(b))
	if t == "" {
		return "", fmt.Errorf("token file %s: empty, want a token", path)
	}
	return t, nil
}
