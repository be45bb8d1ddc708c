package gateway

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul"
	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/config"
)

// Reload reads the configuration again and takes it as a whole or not at all. Clusters that are still there keep their
// endpoints, counters and connections; policies that did not change keep their state.
func (g *Gateway) Reload() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closed {
		return errClosed
	}
	if err := g.reload(context.Background()); err != nil {
		g.reloads.refused.Add(1)
		g.reopenAccess() // whoever rotates logs has moved the file all the same
		for line := range strings.Lines(err.Error()) {
			g.log.Error("reload refused: the old configuration keeps serving", "err", strings.TrimSpace(line))
		}
		return err
	}
	g.reloads.ok.Add(1)
	g.events.add(Event{Kind: kindReloaded})
	g.log.Info("reloaded", "config", g.options.Path)
	return nil
}

func (g *Gateway) reload(ctx context.Context) error {
	cfg, err := g.load(ctx)
	if err != nil {
		return err
	}
	if err := g.apply(ctx, cfg, false); err != nil {
		return err
	}
	if cfg.Wasm.CacheDir != g.cacheDir {
		g.log.Warn("wasm.cache_dir is read at the start only", "in use", g.cacheDir, "configured", cfg.Wasm.CacheDir)
	}
	g.watcher.watch(watched(cfg))
	return nil
}

// change is everything that a new configuration needs and that can fail, made before anything that serves is touched.
type change struct {
	policies map[string]*policy
	opened   map[string]net.Listener
	consul   *consul.Client
	snapshot *discovery.Snapshot
	specs    map[string]clusterSpec
	token    string
	explain  string             // the token that Weir-Explain wants
	secrets  map[string][]byte  // by cluster, of its cookies
	members  map[string]*member // clusters that are new
	certs    *certs.Next
	access   io.WriteCloser // where lines of the access log go from now on; nil: where they went
	doubts   []doubt        // about certificates that serve nevertheless
}

// apply makes cfg what is served. With first set, a policy that is refused is served by its fallback; later it is an
// error, and the one that serves stays.
func (g *Gateway) apply(ctx context.Context, cfg *config.Config, first bool) error {
	ch, err := g.prepare(ctx, cfg, first)
	if err != nil {
		ch.discard(g)
		return err
	}
	g.commit(cfg, ch)
	return nil
}

func (g *Gateway) prepare(ctx context.Context, cfg *config.Config, first bool) (*change, error) {
	ch := &change{
		policies: map[string]*policy{}, opened: map[string]net.Listener{}, specs: map[string]clusterSpec{},
		members: map[string]*member{}, secrets: map[string][]byte{}, consul: g.consul, snapshot: g.snapshot,
	}
	errs := g.prepareCerts(cfg, ch, first)
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies)) {
		p, mistake := g.loadPolicy(ctx, cfg, name)
		if p != nil {
			ch.policies[name] = p
		}
		if mistake != nil && p != nil {
			g.events.add(Event{Kind: kindRefused, Policy: name, Digest: p.digest, Detail: p.err.Error()})
		}
		switch old := g.policies[name]; {
		case mistake == nil:
		case p == nil || !p.pinned() || g.options.Strict:
			errs = append(errs, mistake)
		case first, old != nil && old.module == nil && old.key == p.key: // what was refused before is no news
			g.log.Error("a policy is refused: its clusters are served by the fallback", "policy", name,
				"fallback", cfg.Policies[name].Fallback, "err", mistake)
		default:
			errs = append(errs, mistake)
		}
	}
	var err error
	if ch.token, err = cfg.Admin.Token(); err != nil {
		errs = append(errs, cfg.Error("admin.token_file", err.Error(), "a file with a token"))
	}
	if ch.explain, err = cfg.Admin.ExplainToken(); err != nil {
		errs = append(errs, cfg.Error("admin.explain_token_file", err.Error(), "a file with a token"))
	}
	for name, cc := range cfg.Clusters {
		if ch.secrets[name], err = g.cookieSecret(cc.Affinity); err != nil {
			errs = append(errs, cfg.Error(config.Child("clusters", name)+".affinity.secret_file", err.Error(), "a file with a secret"))
		}
	}
	if mistake := g.prepareAccess(cfg, ch); mistake != nil {
		errs = append(errs, mistake)
	}
	errs = append(errs, g.openListeners(cfg, ch)...)
	if usesConsul(cfg) && (g.consul == nil || g.agent != cfg.Consul) {
		if ch.consul, err = g.newConsul(cfg.Consul, ch); err != nil {
			errs = append(errs, cfg.Error("consul", err.Error(), "an agent that can be asked"))
		}
	}
	if len(errs) > 0 {
		errs.Sort()
		return ch, errs
	}
	for name, cc := range cfg.Clusters {
		spec := g.newSpec(name, cfg, cc, ch)
		ch.specs[name] = spec
		if g.members[name] != nil {
			continue
		}
		c, err := cluster.New(name, spec.settings, g.leases, g.log)
		if err != nil {
			return ch, err
		}
		m := &member{cluster: c, spec: spec}
		ch.members[name] = m
		m.feed(spec.source)
	}
	if errs := ch.await(cfg, first); first {
		return ch, nil // the fallback serves what a guest cannot
	} else if len(errs) > 0 {
		return ch, errs
	}
	if errs := g.tryGuests(cfg, ch); len(errs) > 0 {
		return ch, errs
	}
	return ch, nil
}

// How long discovery may take to say something about a new cluster, before it gets traffic.
const (
	firstAnswer        = time.Second // at the start; then it may come later, and /readyz says so
	firstAnswerOfAdded = 5 * time.Second
)

// await waits until discovery has said something about every new cluster: a route to a cluster of which nothing is
// known would fail requests that the old configuration serves.
func (ch *change) await(cfg *config.Config, first bool) (errs config.Errors) {
	patience := firstAnswerOfAdded
	if first {
		patience = firstAnswer
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for name, m := range ch.members {
		for state, answered := m.cluster.Ready(); !answered; state, answered = m.cluster.Ready() {
			select {
			case <-tick.C:
				continue
			case <-deadline.C:
				deadline.Reset(0) // for the others
			}
			got := fmt.Sprintf("no answer of discovery in %v", patience)
			if state.Err != nil {
				got += ": " + state.Err.Error()
			}
			errs = append(errs, cfg.Error(config.Child("clusters", name), got, "one before the cluster gets traffic"))
			break
		}
	}
	errs.Sort()
	return errs
}

// discard releases what prepare made.
func (ch *change) discard(g *Gateway) {
	for _, ln := range ch.opened {
		_ = ln.Close()
	}
	if ch.access != nil {
		_ = ch.access.Close()
	}
	for _, m := range ch.members {
		m.stop()
		<-m.done
		m.cluster.Close()
	}
	if ch.consul != nil && ch.consul != g.consul {
		ch.consul.Close()
	}
	if ch.snapshot != nil && ch.snapshot != g.snapshot {
		_ = ch.snapshot.Close()
	}
	for name, s := range ch.specs {
		var kept decision
		if m := g.members[name]; m != nil {
			kept = m.spec.decision
		}
		s.release(kept)
	}
	for name, p := range ch.policies {
		if g.policies[name] != p {
			p.close()
		}
	}
}

// commit makes the change. Nothing in it fails for reasons that a configuration can have.
func (g *Gateway) commit(cfg *config.Config, ch *change) {
	g.mu.Lock()
	old, client, snapshot := g.policies, g.consul, g.snapshot
	for name, p := range old {
		if next := ch.policies[name]; next != nil && next != p {
			next.follow(p)
		}
	}
	if ch.consul != g.consul {
		g.agent = cfg.Consul
	}
	g.config, g.consul, g.snapshot, g.policies = cfg, ch.consul, ch.snapshot, ch.policies
	g.reloads.last.Store(time.Now().Unix())
	g.token.Store(&ch.token)
	if g.options.Level != nil {
		g.options.Level.Set(cfg.Log.Level)
	}

	var gone []*member
	for name, m := range g.members {
		if _, stays := ch.specs[name]; !stays {
			gone = append(gone, m)
			delete(g.members, name)
		}
	}
	stay := make(map[*member]clusterSpec)
	for name, spec := range ch.specs {
		if m := g.members[name]; m != nil {
			stay[m] = spec
		} else {
			g.members[name] = ch.members[name]
		}
	}
	g.mu.Unlock()
	g.commitCerts(ch)
	for m, spec := range stay {
		g.update(m, spec) // takes as long as guests do over their tables
	}
	g.mu.Lock()
	g.commitAccess(ch)
	g.data.Update(g.routes(cfg, ch.explain))

	if g.admin == nil {
		g.admin = newAdminServer(g.adminHandler())
	}
	for name, ln := range g.listeners {
		if _, stays := wantedListeners(cfg)[name]; !stays || ch.opened[name] != nil {
			_ = ln.Close()
			delete(g.listeners, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ch.opened)) {
		g.serve(name, ch.opened[name])
	}
	g.mu.Unlock()
	// Requests that hold a snapshot of what follows may finish: transports drain, closed policies fall back.
	for _, m := range gone {
		m.close()
	}
	if client != nil && client != ch.consul {
		client.Close()
	}
	if snapshot != nil && snapshot != ch.snapshot {
		if err := snapshot.Close(); err != nil {
			g.log.Warn("the old snapshot was not written", "err", err)
		}
	}
	for name, p := range old {
		if ch.policies[name] != p {
			p.close()
		}
	}
	for name, p := range ch.policies {
		was := old[name]
		if p == was {
			continue
		}
		p.settle()
		if p.module == nil {
			continue
		}
		kind, from := kindLoaded, p.source
		if was != nil && was.module != nil {
			kind, from = kindSwapped, p.source+", from "+short(was.digest)
		}
		g.tell(Event{Kind: kind, Policy: name, Digest: p.digest, Detail: from})
	}
	g.events.forget(func(name string) bool { return ch.policies[name] != nil })
}

// update brings a cluster that stays to its new spec.
func (g *Gateway) update(m *member, spec clusterSpec) {
	g.mu.Lock()
	old := m.spec
	m.spec = spec
	g.mu.Unlock()
	if !old.sameSettings(spec) {
		if err := m.cluster.Configure(spec.settings); err != nil {
			// Native policies take any table and Wasm ones fall back, so this says that Weir is wrong.
			g.log.Error("a cluster keeps its old policy", "cluster", m.cluster.Name(), "err", err)
		}
	}
	old.release(spec.decision)
	if old.sourceKey != spec.sourceKey {
		m.stop()
		<-m.done
		s, recalls := spec.source.(interface {
			From(discovery.State) discovery.Source
		})
		if recalls && old.asks == spec.asks {
			known, _ := m.cluster.Ready()
			spec.source = s.From(known)
		}
		m.feed(spec.source)
	}
}
