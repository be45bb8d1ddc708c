package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway"
)

// account tells what happens, one line an event, and sums it up. It is also the gateway's log handler, so that the
// gateway's own view of an endpoint's health appears between what was done to it.
type account struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
	names map[string]string // endpoint ID to name
}

func newAccount(out io.Writer) *account {
	return &account{out: out, start: time.Now(), names: map[string]string{}}
}

func (a *account) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(a.out, "  %5.2fs  %s\n", time.Since(a.start).Seconds(), fmt.Sprintf(format, args...))
}

// Enabled implements slog.Handler.
func (a *account) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs drops what is the same in every line of the demo.
func (a *account) WithAttrs([]slog.Attr) slog.Handler { return a }

// WithGroup changes nothing: the gateway uses none.
func (a *account) WithGroup(string) slog.Handler { return a }

// Handle prints a record if it tells of an endpoint or of trouble.
func (a *account) Handle(_ context.Context, r slog.Record) error {
	attr := map[string]string{}
	r.Attrs(func(at slog.Attr) bool { attr[at.Key] = at.Value.String(); return true })
	switch {
	case r.Message == "endpoint":
		name := a.name(attr["endpoint"])
		a.say("endpoint %s: %s -> %s (%s)", name, attr["from"], attr["to"], attr["why"])
	case r.Level >= slog.LevelWarn:
		a.say("%s %v", r.Message, attr)
	}
	return nil
}

// name returns what the demo calls the endpoint of that ID.
func (a *account) name(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return cmp.Or(a.names[id], id)
}

// opening shows who is there.
func (a *account) opening(g *gateway.Gateway, endpoints []*endpoint, r *registry) error {
	p, err := policy(g)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nweir demo: an edge gateway that asks a WebAssembly policy where each request goes\n\n")
	for _, e := range endpoints {
		fmt.Fprintf(&b, "  endpoint %s  http://%s  pid %d\n", e.name, e.address, e.pid())
	}
	if r != nil {
		fmt.Fprintf(&b, "  consul      %s  service %q\n", r.address(), service)
	}
	fmt.Fprintf(&b, "  gateway     http://%s\n", g.Address("http"))
	fmt.Fprintf(&b, "  policy      p2c.wasm, sha256 %.12s, %s\n", p.Digest, p.Engine)
	fmt.Fprintf(&b, "  admin       http://%s/api/v1/clusters  /api/v1/policies  /metrics\n\n", g.AdminAddress())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start = time.Now()
	for _, c := range g.Clusters() {
		for _, e := range c.Endpoints {
			a.names[e.ID] = e.Name
			for _, own := range endpoints {
				if e.Address == own.address {
					a.names[e.ID] = own.name
				}
			}
		}
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

// closing shows what came of it, and fails if a request did.
func (a *account) closing(g *gateway.Gateway, l *load, endpoints []*endpoint) error {
	p, err := policy(g)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %-22s %9s", "", "requests")
	for _, e := range endpoints {
		fmt.Fprintf(&b, " %7s", e.name)
	}
	fmt.Fprintf(&b, " %7s\n", "failed")
	victim := endpoints[1].name
	total, failed := 0, 0
	for phase, title := range []string{"all three up", victim + " is dead", victim + " is back"} {
		n := 0
		for _, c := range l.requests[phase] {
			n += c
		}
		fmt.Fprintf(&b, "  %-22s %9d", title, n+l.failed[phase])
		for _, e := range endpoints {
			fmt.Fprintf(&b, " %6.1f%%", 100*float64(l.requests[phase][e.name])/float64(max(n, 1)))
		}
		fmt.Fprintf(&b, " %7d\n", l.failed[phase])
		total += n + l.failed[phase]
		failed += l.failed[phase]
	}
	fmt.Fprintf(&b, "\n  %d requests, %d retries, %d failed requests\n", total, g.Retries(), failed)
	fmt.Fprintf(&b, "  %d picks in WebAssembly: %.0f ns (median) and %.0f fuel each, %d by the native fallback\n\n",
		p.Picks["ok"], p.PickNanos, p.FuelMean, p.Fallbacks)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := io.WriteString(a.out, b.String()); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d requests failed, the first with: %w", failed, total, l.firstErr)
	}
	return nil
}

// policy returns the demo's one policy.
func policy(g *gateway.Gateway) (gateway.PolicyStatus, error) {
	all := g.Policies()
	if len(all) != 1 {
		return gateway.PolicyStatus{}, fmt.Errorf("the gateway has %d Wasm policies, want 1", len(all))
	}
	return all[0], nil
}
