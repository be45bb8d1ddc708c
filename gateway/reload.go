package gateway

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/config"
)

// Reload reads the configuration again and takes it as a whole or not at all. Clusters that are still there keep their
// endpoints, counters and connections; policies that did not change keep their state.
func (g *Gateway) Reload() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closed {
		return errors.New("shutting down")
	}
	cfg, err := load(g.options.Path)
	if err == nil {
		err = g.apply(context.Background(), cfg, false)
	}
	if err != nil {
		g.reloads.refused.Add(1)
		return err
	}
	g.reloads.good()
	g.log.Info("reloaded", "config", g.options.Path)
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
	members  map[string]*member // clusters that are new
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
		members: map[string]*member{}, consul: g.consul, snapshot: g.snapshot,
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies)) {
		p, err := g.loadPolicy(ctx, cfg, name)
		if err == nil {
			ch.policies[name] = p
			continue
		}
		if p == nil || !first || g.options.Strict {
			errs = append(errs, err)
		} else {
			ch.policies[name] = p
			g.log.Error("a policy is refused: its clusters are served by the fallback", "policy", name,
				"fallback", cfg.Policies[name].Fallback, "err", err)
		}
	}
	var err error
	if ch.token, err = cfg.Admin.Token(); err != nil {
		errs = append(errs, cfg.Error("admin.token_file", err.Error(), "a file with a token"))
	}
	errs = append(errs, g.openListeners(cfg, ch)...)
	if usesConsul(cfg) && (g.consul == nil || g.config.Consul != cfg.Consul) {
		if ch.consul, err = g.newConsul(cfg.Consul, ch); err != nil {
			errs = append(errs, cfg.Error("consul", err.Error(), "an agent that can be asked"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ch, err
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
		ch.members[name] = &member{cluster: c, spec: spec}
	}
	return ch, nil
}

// discard releases what prepare made.
func (ch *change) discard(g *Gateway) {
	for _, ln := range ch.opened {
		_ = ln.Close()
	}
	for _, m := range ch.members {
		m.cluster.Close()
	}
	if ch.snapshot != nil && ch.snapshot != g.snapshot {
		_ = ch.snapshot.Close()
	}
	for name, s := range ch.specs {
		if m := g.members[name]; m == nil || m.spec.instance != s.instance {
			s.close()
		}
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
	defer g.mu.Unlock()
	old, client, snapshot := g.policies, g.consul, g.snapshot
	g.config, g.consul, g.snapshot, g.policies = cfg, ch.consul, ch.snapshot, ch.policies
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
	for name, spec := range ch.specs {
		m := g.members[name]
		if m == nil {
			m = ch.members[name]
			g.members[name] = m
			m.feed(spec.source)
			continue
		}
		g.update(m, spec)
	}
	g.data.Update(g.routes(cfg))

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
}

// update brings a cluster that stays to its new spec.
func (g *Gateway) update(m *member, spec clusterSpec) {
	old := m.spec
	m.spec = spec
	if !old.sameSettings(spec) {
		if err := m.cluster.Configure(spec.settings); err != nil {
			g.log.Error("a cluster keeps its old settings", "cluster", m.cluster.Name(), "err", err)
			m.spec = old
			return
		}
	}
	if old.instance != spec.instance {
		old.close()
	}
	if old.sourceKey != spec.sourceKey {
		m.stop()
		<-m.done
		m.feed(spec.source)
	}
}

// wantedListeners returns the addresses to listen at, by name.
func wantedListeners(cfg *config.Config) map[string]string {
	want := map[string]string{adminListener: cfg.Admin.Address}
	for _, l := range cfg.Listeners {
		want[l.Name] = l.Address
	}
	return want
}

// openListeners opens what cfg wants and is not open yet. A listener whose configured address did not change stays.
func (g *Gateway) openListeners(cfg *config.Config, ch *change) (errs []error) {
	have := map[string]string{}
	if g.config != nil {
		have = wantedListeners(g.config)
	}
	want := wantedListeners(cfg)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g.listeners[name] != nil && have[name] == want[name] {
			continue
		}
		ln, err := net.Listen("tcp", want[name])
		if err != nil {
			errs = append(errs, cfg.ListenerError(name, err))
			continue
		}
		ch.opened[name] = ln
	}
	return errs
}
