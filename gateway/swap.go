package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-lb/weir/wasmhost"
)

// What changing a policy on its own can meet. The admin API answers 404 and 409.
var (
	errNoPolicy   = errors.New("no such policy in the configuration that is a module")
	errNoPrevious = errors.New("there is no previous version to return to")
	errNoShadow   = errors.New("the policy has no shadow to promote")
	errClosed     = errors.New("shutting down")
)

// Swap says what became of a policy that was changed on its own.
type Swap struct {
	Name      string  `json:"name"`
	Digest    string  `json:"digest"`             // sha256 of the module that serves now, hex
	Previous  string  `json:"previous,omitempty"` // of the one that a rollback returns to
	Source    string  `json:"source"`             // file, api or promoted
	Size      int     `json:"size"`               // bytes
	CompileMS float64 `json:"compile_ms"`
	Unchanged bool    `json:"unchanged,omitempty"` // it served already
}

func (p *policy) swapped(unchanged bool) Swap {
	s := Swap{
		Name: p.name, Digest: p.digest, Source: p.source, Size: len(p.wasm), Unchanged: unchanged,
		CompileMS: milliseconds(p.module.Info().Compile),
	}
	if p.previous != nil {
		s.Previous = p.previous.digest
	}
	return s
}

// Put makes a module the version of a policy that serves. On an error the one that served goes on.
func (g *Gateway) Put(ctx context.Context, name string, wasm []byte) (Swap, error) {
	return g.change(ctx, name, kindSwapped, func(*policy) (version, error) {
		return newVersion(wasm, fromAPI, g.config.Policies[name]), nil
	})
}

// Rollback returns a policy to the version that it had before, unless the configuration has come to pin another one.
// Twice leads back.
func (g *Gateway) Rollback(ctx context.Context, name string) (Swap, error) {
	return g.change(ctx, name, kindRolledBack, func(p *policy) (version, error) {
		if p.previous == nil {
			return version{}, fmt.Errorf("policy %q: %w", name, errNoPrevious)
		}
		settings := *p.previous.config
		settings.SHA256 = g.config.Policies[name].SHA256
		return newVersion(p.previous.wasm, p.previous.source, &settings), nil
	})
}

// change brings one policy to the version that choose returns, in all clusters that use it, with nothing else of the
// configuration read again.
func (g *Gateway) change(ctx context.Context, name, kind string, choose func(*policy) (version, error)) (Swap, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closed {
		return Swap{}, errClosed
	}
	old := g.policies[name]
	if old == nil {
		return Swap{}, fmt.Errorf("policy %q: %w", name, errNoPolicy)
	}
	v, err := choose(old)
	if err != nil {
		return Swap{}, err
	}
	if old.module != nil && old.same(v) {
		return old.swapped(true), nil
	}
	next := old.next(v)
	ctx = context.WithoutCancel(ctx) // a client that leaves has said what it wants
	if err := g.install(ctx, old, next, kind); err != nil {
		return Swap{}, err
	}
	return next.swapped(false), nil
}

// install loads next and puts it in the place of old. On an error old serves on. The caller holds reloading.
func (g *Gateway) install(ctx context.Context, old, next *policy, kind string) error {
	if err := g.loadModule(ctx, g.config, next, old); err != nil {
		g.tell(Event{Kind: kindRefused, Policy: old.name, Digest: next.digest, Detail: err.Error()})
		return err
	}
	g.replace(old, next, kind)
	return nil
}

// replace puts next in the place of old in every cluster. What serves goes on until its successor does; requests that
// hold a picker of it are answered by its fallback. The caller holds reloading.
func (g *Gateway) replace(old, next *policy, kind string) {
	next.follow(old)
	g.mu.Lock()
	g.policies[old.name] = next
	specs := map[*member]clusterSpec{}
	for name, m := range g.members {
		cc := g.config.Clusters[name]
		if active := g.config.Policies[cc.Policy]; cc.Policy == old.name || active != nil && active.Shadow == old.name {
			specs[m] = g.newSpec(name, g.config, cc, &change{
				policies: g.policies, consul: g.consul, certs: g.certs.Serving(), secrets: map[string][]byte{name: m.spec.secret},
			})
		}
	}
	g.mu.Unlock()
	for m, spec := range specs {
		g.update(m, spec)
	}
	old.close()
	next.settle()
	g.tell(Event{Kind: kind, Policy: old.name, Digest: next.digest, Detail: next.source + ", from " + short(old.digest)})
}

// short is what people tell digests apart by.
func short(digest string) string { return digest[:min(12, len(digest))] }

// stepOf returns the step at which a module was refused, "" if the module is not at fault.
func stepOf(err error) string {
	if step, ok := errors.AsType[*wasmhost.StepError](err); ok {
		return string(step.Step)
	}
	return ""
}
