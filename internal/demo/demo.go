// Package demo is what `weir demo` does: three endpoints in processes of their own, a gateway with a Wasm policy before
// them, traffic, and one endpoint killed.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-lb/weir/examples/plugins"
	"github.com/weir-lb/weir/gateway"
)

// Options of the demo.
type Options struct {
	Consul bool          // register the endpoints in a Consul agent
	For    time.Duration // how long traffic flows, at least 3 s
	Out    io.Writer
}

const (
	clients = 8
	pause   = 2 * time.Millisecond
)

// Run runs the demo and returns an error if a request failed, or if the demo could not be set up.
func Run(ctx context.Context, o Options) (err error) {
	if o.For < 3*time.Second {
		return fmt.Errorf("--for %v: want at least 3s, so that there is a before, a during and an after", o.For)
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	endpoints := make([]*endpoint, 0, 3)
	defer func() {
		for _, e := range endpoints {
			e.stop()
		}
	}()
	for _, name := range []string{"a", "b", "c"} {
		e, err := startEndpoint(name, "127.0.0.1:0")
		if err != nil {
			return err
		}
		endpoints = append(endpoints, e)
	}

	cluster := staticCluster(endpoints)
	var registry *registry
	if o.Consul {
		if registry, err = register(ctx, o, endpoints); err != nil {
			return err
		}
		defer registry.close()
		cluster = registry.cluster()
	}
	config, err := writeConfig(dir, registry.address(), cluster)
	if err != nil {
		return err
	}
	a := newAccount(o.Out)
	g, err := gateway.Start(gateway.Options{Path: config, Strict: true, Log: slog.New(a)})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, g.Shutdown(stop))
	}()
	if err := waitReady(ctx, g, len(endpoints)); err != nil {
		return err
	}
	if err := a.opening(g, endpoints, registry); err != nil {
		return err
	}
	return play(ctx, o, a, g, endpoints)
}

// play sends the traffic and does the harm.
func play(ctx context.Context, o Options, a *account, g *gateway.Gateway, endpoints []*endpoint) error {
	load := startLoad(ctx, "http://"+g.Address("http")+"/", clients, pause)
	defer load.end()
	a.say("traffic starts: %d clients", clients)
	if !wait(ctx, o.For*3/10) {
		return ctx.Err()
	}
	victim := endpoints[1]
	load.phase.Store(during)
	a.say("endpoint %s killed: kill -9 %d", victim.name, victim.pid())
	if err := victim.kill(); err != nil {
		return err
	}
	if !wait(ctx, o.For*3/10) {
		return ctx.Err()
	}
	again, err := startEndpoint(victim.name, victim.address)
	if err != nil {
		return err
	}
	endpoints[1] = again
	load.phase.Store(after)
	a.say("endpoint %s started again: pid %d", again.name, again.pid())
	if !wait(ctx, o.For*4/10) {
		return ctx.Err()
	}
	load.end()
	return a.closing(g, load, endpoints)
}

// wait returns false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// waitReady waits until every endpoint is known and up.
func waitReady(ctx context.Context, g *gateway.Gateway, endpoints int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if c := g.Clusters(); len(c) == 1 && c[0].Up == endpoints {
			return nil
		}
		if !wait(ctx, 20*time.Millisecond) {
			return fmt.Errorf("after 20s the cluster has not %d endpoints up: %+v", endpoints, g.Clusters())
		}
	}
}

func staticCluster(endpoints []*endpoint) string {
	var b strings.Builder
	b.WriteString("    endpoints:\n")
	for _, e := range endpoints {
		fmt.Fprintf(&b, "      - {name: %s, address: %q}\n", e.name, e.address)
	}
	return b.String()
}

// writeConfig writes the configuration and the policy that the gateway runs with, as a user would.
func writeConfig(dir, consul, cluster string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, "p2c.wasm"), plugins.P2C, 0o600); err != nil {
		return "", err
	}
	if consul != "" {
		consul = fmt.Sprintf("consul: {address: %q}\n", consul)
	}
	text := consul + `admin: {address: 127.0.0.1:0}
listeners:
  - {name: http, address: 127.0.0.1:0}
policies:
  p2c-wasm: {wasm: ./p2c.wasm, fallback: p2c}
clusters:
  web:
` + cluster + `    policy: p2c-wasm
    probe: {http: {path: /healthz}, interval: 500ms, timeout: 250ms, fall: 2, rise: 1}
    outlier: {consecutive: 5, base_ejection: 30s, max_ejected: 50%}
    retry: {attempts: 3, per_try_timeout: 2s}
routes:
  - {cluster: web, path: /}
`
	name := filepath.Join(dir, "weir.yaml")
	return name, os.WriteFile(name, []byte(text), 0o600)
}
