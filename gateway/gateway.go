// Package gateway puts Weir together: it reads the configuration, loads policies, starts discovery, clusters, listeners
// and the admin API, and changes all of that while traffic flows.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul"
	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/gateway/internal/proxy"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/recording"
	"github.com/weir-lb/weir/wasmhost"
)

// Options of a gateway.
type Options struct {
	Path    string         // of the configuration; read again at each Reload
	Strict  bool           // a policy that is refused is an error at the start too
	Log     *slog.Logger   // required
	Level   *slog.LevelVar // set to log.level of the configuration; may be nil
	Version string         // for weir_build_info
	Access  io.Writer      // gets the access log where no file is configured; nil is standard output

	// Record gets a trace of all picks (package recording), of RecordLimit bytes at most, with the text of the header
	// fields that are named. nil: nothing is recorded. It is the caller's to close after Shutdown.
	Record        io.Writer
	RecordLimit   int64
	RecordHeaders []string
}

// Gateway is a running gateway.
type Gateway struct {
	options   Options
	log       *slog.Logger
	registry  *prometheus.Registry
	host      *wasmhost.Host
	recorder  *recording.Writer // nil if nothing is recorded
	cacheDir  string            // of host's native code, as configured when it was made
	leases    *cluster.Leases
	prober    *cluster.Prober
	certs     *certs.Store
	data      *proxy.Server
	access    *access.Log // nil until one is first configured
	admin     *http.Server
	token     atomic.Pointer[string]
	reloads   reloadCounts
	events    *events
	ownSecret [32]byte       // for cookies of clusters without a secret of their own
	watcher   *watcher       // of the files of policies and certificates; nil until the first configuration is taken
	draining  atomic.Bool    // Shutdown began
	serving   sync.WaitGroup // data listeners and the admin server

	reloading sync.Mutex       // held while anything is changed, and during Shutdown: one at a time
	seen      map[string]stamp // by policy, of its file when it was last looked at; guarded by reloading

	mu        sync.Mutex // guards what follows; held briefly
	config    *config.Config
	consul    *consul.Client
	agent     config.Consul       // what consul and snapshot were made from
	snapshot  *discovery.Snapshot // of what Consul said last; nil if none is kept
	members   map[string]*member
	policies  map[string]*policy
	listeners map[string]net.Listener // by name; "admin" is the admin API's
	closed    bool
}

// member is a cluster and what feeds it.
type member struct {
	cluster *cluster.Cluster
	spec    clusterSpec
	stop    context.CancelFunc // ends the source
	done    chan struct{}
}

// Start reads the configuration and serves. What is wrong with the configuration comes back as one error of many
// lines, each with its position.
func Start(o Options) (*Gateway, error) {
	g := &Gateway{
		options: o, log: o.Log, registry: prometheus.NewRegistry(), events: newEvents(),
		seen: map[string]stamp{}, certs: certs.New(time.Now),
		members: map[string]*member{}, policies: map[string]*policy{}, listeners: map[string]net.Listener{},
	}
	if err := g.start(); err != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Shutdown(ctx)
		return nil, err
	}
	return g, nil
}

func (g *Gateway) start() (err error) {
	ctx := context.Background()
	_, _ = rand.Read(g.ownSecret[:]) // never fails
	if g.leases, err = cluster.NewLeases(maxLeases); err != nil {
		return fmt.Errorf("leases: %w", err)
	}
	if o := g.options; o.Record != nil {
		g.recorder = recording.NewWriter(o.Record, recording.Options{Limit: o.RecordLimit, Headers: o.RecordHeaders, Log: g.log})
	}
	cfg, err := g.load(ctx)
	if err != nil {
		return err
	}
	g.prober = cluster.NewProber(maxProbes)
	g.data = proxy.New(g.log)
	g.register()
	g.reloading.Lock() // the admin API answers before all is done
	defer g.reloading.Unlock()
	if err := g.apply(ctx, cfg, true); err != nil {
		return err
	}
	g.watcher = newWatcher(g.log, g.refresh)
	g.watcher.watch(watched(cfg))
	return nil
}

// load reads the configuration. The error is of type config.Errors and tells everything that is wrong with it, modules
// and certificates included.
func (g *Gateway) load(ctx context.Context) (*config.Config, error) {
	cfg, err := config.Load(g.options.Path, config.Options{BuiltIns: policies.Names(), Environment: os.LookupEnv})
	if g.host == nil && cfg != nil {
		if err := g.openHost(cfg.Wasm.CacheDir); err != nil {
			return nil, err
		}
	}
	errs, ok := err.(config.Errors)
	if !ok || cfg == nil {
		return cfg, err
	}
	for name, pc := range cfg.Policies {
		if _, err := os.Stat(pc.Wasm); err != nil {
			continue // told already
		}
		p, mistake := g.loadPolicy(ctx, cfg, name)
		if mistake != nil {
			errs = append(errs, mistake)
		}
		if p != g.policies[name] {
			p.close()
		}
	}
	errs = g.addCertMistakes(cfg, errs)
	errs.Sort()
	return nil, errs
}

// maxLeases is for how many endpoints with heartbeats the lease cache has room.
const maxLeases = 16384

// Address returns the host:port that the listener of that name is bound to, "" if there is none.
func (g *Gateway) Address(listener string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ln := g.listeners[listener]; ln != nil {
		return ln.Addr().String()
	}
	return ""
}

// AdminAddress returns the host:port of the admin API.
func (g *Gateway) AdminAddress() string { return g.Address(adminListener) }

// adminListener is the name of the admin API's listener. A colon cannot be in a configured name.
const adminListener = "admin:"

// Shutdown stops taking connections, lets requests in flight finish until ctx ends, and releases everything.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true) // a reload that is under way may take its time
	g.events.add(Event{Kind: kindDraining})
	g.events.close()
	if g.watcher != nil {
		g.watcher.close()
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.mu.Lock()
	g.closed = true
	members, loaded := g.members, g.policies
	admin := g.listeners[adminListener]
	g.mu.Unlock()

	var errs []error
	if g.data != nil {
		errs = append(errs, g.data.Shutdown(ctx))
	}
	for _, m := range members {
		m.close()
	}
	for _, p := range loaded {
		p.close()
	}
	g.closeAccess()
	if g.recorder != nil {
		errs = append(errs, g.recorder.Close())
	}
	if g.leases != nil {
		g.leases.Close()
	}
	if g.consul != nil {
		g.consul.Close()
	}
	if g.snapshot != nil {
		errs = append(errs, g.snapshot.Close())
	}
	if g.host != nil {
		errs = append(errs, g.host.Close())
	}
	if admin != nil {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminGrace)
		if err := g.admin.Shutdown(soon); err != nil {
			errs = append(errs, g.admin.Close())
		}
		cancel()
	}
	g.serving.Wait()
	return errors.Join(errs...)
}

// adminGrace is how long requests of the admin API may take at the end.
const adminGrace = time.Second

func (m *member) close() {
	m.stop()
	<-m.done
	m.cluster.Close()
	m.spec.close()
}

// feed runs the source of m until m is closed or fed from elsewhere.
func (m *member) feed(s discovery.Source) {
	ctx, stop := context.WithCancel(context.Background())
	m.stop, m.done = stop, make(chan struct{})
	go func() {
		defer close(m.done)
		s.Run(ctx, m.cluster.Apply)
	}()
}

// serve starts serving ln. The caller holds mu.
func (g *Gateway) serve(name string, ln net.Listener) {
	g.listeners[name] = ln
	shown := name
	run := func() error { return g.data.Serve(name, ln) }
	if name == adminListener {
		shown = "admin"
		run = func() error { return g.admin.Serve(ln) }
	}
	g.log.Info("listening", "name", shown, "address", ln.Addr().String())
	g.serving.Go(func() {
		if err := run(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("a listener ended", "name", shown, "err", err)
		}
	})
}

func (g *Gateway) adminToken() string {
	if t := g.token.Load(); t != nil {
		return *t
	}
	return ""
}

func (g *Gateway) cluster(name string) *cluster.Cluster {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.members[name]; m != nil {
		return m.cluster
	}
	return nil
}

// reloadCounts counts what became of reloads.
type reloadCounts struct {
	ok, refused atomic.Uint64
	last        atomic.Int64 // Unix seconds when a configuration was last taken
}
