package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// Where a version of a policy came from.
const (
	fromFile   = "file"     // policies.NAME.wasm of the configuration
	fromAPI    = "api"      // PUT /api/v1/policies/NAME
	fromShadow = "promoted" // the policy that was its shadow
)

// version is a module with the settings that it runs with.
type version struct {
	wasm   []byte
	digest string         // sha256 of wasm, hex
	source string         // fromFile, fromAPI, fromShadow
	config *config.Policy // those of the configuration, or in part of the shadow that was promoted
	since  time.Time      // when it began to serve
}

func newVersion(wasm []byte, source string, pc *config.Policy) version {
	sum := sha256.Sum256(wasm)
	return version{wasm: wasm, digest: hex.EncodeToString(sum[:]), source: source, config: pc, since: time.Now()}
}

// same reports whether two versions are one module with the same settings.
func (v version) same(o version) bool {
	return v.digest == o.digest && settingsKey(v.config) == settingsKey(o.config)
}

// pinned reports whether v is what the configuration pins, if it does.
func (v version) pinned() bool {
	return v.config.SHA256 == "" || strings.EqualFold(v.config.SHA256, v.digest)
}

// settingsKey is equal for settings that make the same of a module.
func settingsKey(pc *config.Policy) string {
	c := *pc
	c.Watch, c.Shadow = false, ""
	return fingerprint(c)
}

// policy is a Wasm policy of the configuration at one of its versions; another version makes another policy. Its module
// is nil if it was refused; then its fallback serves.
type policy struct {
	name string
	version
	previous *version // to roll back to; nil if there is none
	file     string   // digest of the file when it was last taken
	key      string   // equal keys mean the same file with the same settings
	module   *wasmhost.Module
	err      error // why it was refused

	mu      sync.Mutex
	carried wasmhost.Stats // of the modules that had the name before: counters must not fall
	before  *policy        // whose place this one took, until it has drained
}

// next returns the policy that p becomes with version v. It has no module yet.
func (p *policy) next(v version) *policy {
	n := &policy{name: p.name, version: v, previous: p.previous, file: p.file, key: p.key}
	if p.module != nil && !p.same(v) {
		was := p.version
		n.previous = &was
	}
	return n
}

// follow makes p count on from old. It comes before anybody else knows p.
func (p *policy) follow(old *policy) { p.before = old }

// settle takes over what the policy before p counted, now that nobody uses it any more.
func (p *policy) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before == nil {
		return
	}
	p.carried.Add(p.before.stats())
	p.carried.Instances, p.carried.Quarantined, p.carried.LastFailure = 0, false, ""
	p.before = nil
}

// stats are the counts of all modules that the policy had, and the series of the one that serves.
func (p *policy) stats() wasmhost.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.carried
	if p.before != nil {
		s.Add(p.before.stats())
		s.Instances, s.Quarantined, s.LastFailure = 0, false, ""
	}
	if p.module != nil {
		now := p.module.Stats()
		s.Add(now)
		s.Series = now.Series
	}
	return s
}

func (p *policy) close() {
	if p != nil && p.module != nil {
		_ = p.module.Close()
	}
}

// loadPolicy loads what the configuration says of a policy, or returns the one that serves if neither its file nor its
// settings changed, whatever version that is at. The error, if any, has the position of the policy in the
// configuration; the policy is then one without a module, or nil if its file cannot be read.
func (g *Gateway) loadPolicy(ctx context.Context, cfg *config.Config, name string) (*policy, *config.Error) {
	pc := cfg.Policies[name]
	path := config.Child("policies", name)
	module, err := readModule(pc.Wasm)
	if err != nil {
		return nil, cfg.Error(config.Child(path, "wasm"), err.Error(), "a readable file")
	}
	v := newVersion(module, fromFile, pc)
	key := v.digest + settingsKey(pc)
	old := g.policies[name]
	if old != nil && old.key == key && old.module != nil {
		return old, nil
	}
	p := &policy{name: name, version: v}
	if old != nil {
		p = old.next(v)
	}
	p.file, p.key = v.digest, key
	if err := g.loadModule(ctx, cfg, p, old); err != nil {
		if !v.pinned() {
			return p, cfg.Error(config.Child(path, "sha256"), fmt.Sprintf("a module with sha256 %s", v.digest), pc.SHA256)
		}
		return p, cfg.Error(config.Child(path, "wasm"), err.Error(), "a module that passes every step")
	}
	return p, nil
}

// readModule reads a file, or as much of it as shows that it is too large for a module. A pipe would never end, and all
// changes wait for each other.
func readModule(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a " + kindOf(info.Mode()))}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxModule+1))
}

// kindOf says what a file that is not a regular one is.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	}
	return "device or socket"
}

// loadModule takes the version of p through all steps, the last of them a dry run over the table of each cluster that it
// is for. What old counted and keeps, if it is not nil, goes on in it. The
// error is kept in p too, and of type *wasmhost.StepError if the module is at fault.
func (g *Gateway) loadModule(ctx context.Context, cfg *config.Config, p, old *policy) error {
	pc := p.config
	onError := wasmhost.Fallback
	if pc.OnError == "reject" {
		onError = wasmhost.Reject
	}
	o := wasmhost.Options{
		Name: p.name, SHA256: pc.SHA256, Config: pc.Config, Memory: pc.Memory, OnError: onError,
		Large: pc.Large, Fuel: budgets(pc.Fuel),
	}
	if g.recorder != nil {
		o.Manual, o.Now = true, g.recorder.Now
	}
	if old != nil {
		o.Inherit = old.module
	}
	if p.module, p.err = g.host.Load(ctx, p.wasm, o); p.err != nil {
		return p.err
	}
	for name, c := range g.clustersOf(cfg, p.name) {
		if err := p.module.TryOn(c.Load().Table); err != nil {
			p.close()
			p.module, p.err = nil, fmt.Errorf("cluster %q: %w", name, err)
			return p.err
		}
	}
	return nil
}

// clustersOf returns the clusters that are there whose traffic a policy will decide about by cfg, or would as a shadow.
func (g *Gateway) clustersOf(cfg *config.Config, policy string) map[string]*cluster.Cluster {
	g.mu.Lock()
	defer g.mu.Unlock()
	clusters := map[string]*cluster.Cluster{}
	for name, m := range g.members {
		cc := cfg.Clusters[name]
		if cc == nil {
			continue
		}
		if active := cfg.Policies[cc.Policy]; cc.Policy == policy || active != nil && active.Shadow == policy {
			clusters[name] = m.cluster
		}
	}
	return clusters
}

// budgets are those of the profile, but for what is set.
func budgets(f config.Fuel) wasmhost.Budgets {
	var b wasmhost.Budgets
	if f.Profile == "gc" {
		b = wasmhost.ProfileGC()
	}
	b.Init, b.Endpoints = f.Init, f.Endpoints
	b.Pick, b.Feedback, b.Tick = cmp.Or(f.Pick, b.Pick), cmp.Or(f.Feedback, b.Feedback), cmp.Or(f.Tick, b.Tick)
	return b
}
