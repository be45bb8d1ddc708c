package gateway

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/gateway/internal/proxy"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// clusterSpec is a cluster's part of the configuration, resolved: no name in it is looked up again.
type clusterSpec struct {
	settings cluster.Settings
	key      string // equal keys mean equal settings
	decision
	conditions []string // of retry
	secret     []byte   // authenticates cookies
	source     discovery.Source
	asks       string // of a source that asks Consul: what for
	sourceKey  string
}

func (s clusterSpec) sameSettings(o clusterSpec) bool {
	return s.key == o.key && s.instance == o.instance && s.shadow == o.shadow && s.recorded == o.recorded
}

func (s clusterSpec) close() { s.release(decision{}) }

func (g *Gateway) newSpec(name string, cfg *config.Config, cc *config.Cluster, ch *change) clusterSpec {
	ends := ch.certs.Cluster(name) // TLS to its endpoints
	s := clusterSpec{settings: cluster.Settings{
		Failover:  &policies.NextEndpoint{Conditions: conditions(cc.Retry.Conditions)},
		Zone:      cfg.Zone,
		Transport: func(address string) cluster.Transport { return upstream.New(pool(cc, address, ends)) },
		Tune: func(t cluster.Transport) {
			p := t.(*upstream.Pool)
			p.Configure(pool(cc, p.Address(), ends))
		},
		Changed: func(endpoint, from, to, why string) {
			g.events.add(Event{Kind: kindEndpoint, Cluster: name, Endpoint: endpoint, Detail: from + " -> " + to + ", " + why})
		},
		Panicked: func(begins bool, up, of int) {
			detail := fmt.Sprintf("over, %d of %d endpoints are up", up, of)
			if begins {
				detail = fmt.Sprintf("health is ignored, %d of %d endpoints are up", up, of)
			}
			g.events.add(Event{Kind: kindPanic, Cluster: name, Detail: detail})
		},
		Drain: cluster.Drain{Requests: cc.Drain.Requests, Tunnels: cc.Drain.Tunnels},
		Outlier: cluster.Outlier{
			Consecutive: cc.Outlier.Consecutive, BaseEjection: cc.Outlier.BaseEjection, MaxEjected: cc.Outlier.MaxEjected,
			Rates: cluster.Rates{
				Interval: cc.Outlier.Interval, Factor: cc.Outlier.SuccessRate.Factor, Share: cc.Outlier.FailureShare.Threshold,
				Success: cluster.RateRule{Endpoints: cc.Outlier.SuccessRate.Endpoints, Attempts: cc.Outlier.SuccessRate.Requests},
				Failure: cluster.RateRule{Endpoints: cc.Outlier.FailureShare.Endpoints, Attempts: cc.Outlier.FailureShare.Requests},
			},
		},
	}}
	if p := cc.Probe; p != nil {
		s.settings.Probe = &cluster.Probe{Interval: p.Interval, Timeout: p.Timeout, Fall: p.Fall, Rise: p.Rise, Adaptive: p.Adaptive, Handshake: p.TLS, HTTP2: cc.HTTP2, ProxyProtocol: proxyVersion(cc.ProxyProtocol)}
		if ends != nil {
			s.settings.Probe.TLS = ends
		}
		if p.HTTP != nil {
			s.settings.Probe.Path, s.settings.Probe.Host, s.settings.Probe.Statuses = p.HTTP.Path, p.HTTP.Host, p.HTTP.Status
		}
		if p.GRPC != nil {
			s.settings.Probe.GRPC, s.settings.Probe.Service, s.settings.Probe.Host = true, p.GRPC.Service, p.GRPC.Host
		}
	}
	if cc.Heartbeat != nil {
		s.settings.Heartbeat = cc.Heartbeat.TTL
		if p := cc.Heartbeat.Poll; p != nil {
			s.settings.Poll = &cluster.Probe{
				Path: p.Path, Host: p.Host, Interval: p.Interval, Timeout: p.Timeout, HTTP2: cc.HTTP2, ProxyProtocol: proxyVersion(cc.ProxyProtocol),
			}
			if ends != nil {
				s.settings.Poll.TLS = ends
			}
		}
		s.settings.Accrual = cluster.Accrual{Threshold: cc.Heartbeat.Phi, MinSigma: cc.Heartbeat.MinSigma, Pause: cc.Heartbeat.Pause}
	}
	s.settings.Prober = g.prober
	share(&s.settings, cc)
	s.settings.Redundancy = redundancy(cc)
	s.settings.Moved = func(detail string) { g.events.add(Event{Kind: kindRedundancy, Cluster: name, Detail: detail}) }
	s.conditions, s.secret = cc.Retry.Conditions, ch.secrets[name]
	if cc.Affinity != nil && cc.Affinity.Cookie != "" {
		s.settings.Sticky = &cluster.Sticky{Cookie: cc.Affinity.Cookie, Key: s.secret}
	}
	var was clusterSpec
	if m := g.members[name]; m != nil {
		was = m.spec
	}
	g.decide(&s, cfg, cc, ch.policies, was)
	s.key = fingerprint(cc, cfg.Zone, s.settings.PolicyName, s.secret)
	s.source, s.sourceKey = source(cc, ch)
	if cc.Consul != nil {
		s.asks = fingerprint(cc.Consul)
	}
	return s
}

// share fills in how requests are shared out among endpoints before a policy sees them.
func share(s *cluster.Settings, cc *config.Cluster) {
	s.Split = policies.Split{
		Overprovision: cc.Spill, PanicBelow: cc.Panic, OwnZone: cc.ZoneAware.Enabled, ZoneMinimum: cc.ZoneAware.Minimum,
	}
	if w := cc.SlowStart; w != nil {
		s.SlowStart = policies.SlowStart{Window: w.Window, Aggression: w.Aggression, Minimum: w.Minimum}
	}
	if w := cc.Weights; w.From == "load" {
		s.Load = &policies.LoadWeights{Blackout: w.Blackout, Expiration: w.Expiration, Penalty: w.ErrorPenalty}
	}
	if a := cc.Agent; a != nil {
		s.Agent = &cluster.Agent{Port: a.Port, Interval: a.Interval}
	}
	if u := cc.Subset; u != nil {
		s.Subset = cluster.Subset{Size: u.Size, ID: u.ID}
		if u.ID == "" {
			s.Subset.ID, _ = os.Hostname() // "" is as good as any where there is one gateway
		}
	}
}

// redundancy says what stands by. Failover to other places needs at least that traffic does not go back too early.
func redundancy(cc *config.Cluster) *cluster.Redundancy {
	r := cc.Redundancy
	if r == nil {
		if cc.Consul == nil || len(cc.Consul.Failover) == 0 && cc.Consul.Query == "" {
			return nil
		}
		r = &config.Redundancy{Mode: policies.ByTier.String(), Hold: defaultHold}
	}
	modes := map[string]policies.RedundancyMode{"1+1": policies.OneActive, "n+1": policies.WithSpares}
	return &cluster.Redundancy{Spares: r.Spares, Redundancy: policies.Redundancy{
		Mode: modes[r.Mode], Need: float64(r.Need), Hold: r.Hold, Manual: r.FailBack == "manual",
	}}
}

// maxProbes is how many checks are under way at a time, over all clusters.
const maxProbes = 256

// defaultHold is that of redundancy.hold.
const defaultHold = 10 * time.Second

// fingerprint is equal for equal values. It is for comparing, off the request path.
func fingerprint(values ...any) string {
	b, err := json.Marshal(values)
	if err != nil {
		panic(err) // configuration structs have no channels or functions
	}
	return string(b)
}

// source returns what discovers the cluster's instances. Equal keys mean the same source.
func source(cc *config.Cluster, ch *change) (s discovery.Source, key string) {
	if cc.Consul != nil {
		return consulSource(ch.consul, cc.Consul), fmt.Sprintf("%p", ch.consul) + fingerprint(cc.Consul)
	}
	instances := make([]discovery.Instance, 0, len(cc.Endpoints))
	for _, e := range cc.Endpoints {
		instances = append(instances, discovery.Instance{
			ID: e.Name, Name: e.Name, Address: e.Address, Weight: e.Weight, Tier: uint8(e.Tier), Zone: e.Zone, Meta: e.Meta,
			Canary: e.Meta["canary"] == "true", Spare: e.Spare,
		})
	}
	return discovery.NewStatic(instances), fingerprint(instances)
}

// pool bounds the connections to an endpoint.
func pool(cc *config.Cluster, address string, ends *certs.Cluster) upstream.Config {
	queue := cc.Limits.Queue
	if queue == 0 {
		queue = -1 // 0 is the default to upstream
	}
	u := upstream.Config{
		Address: address, MaxConns: cc.Limits.Connections, Queue: queue, QueueTimeout: cc.Limits.QueueTimeout,
		ConnectTimeout: cc.ConnectTimeout, HTTP2: cc.HTTP2, ProxyProtocol: proxyVersion(cc.ProxyProtocol),
	}
	if ends != nil {
		u.TLS = ends.Config(address)
	}
	return u
}

// proxyVersion returns the version of the PROXY headers that endpoints get, 0 for none.
func proxyVersion(word string) int { return map[string]int{"v1": 1, "v2": 2}[word] }

// conditions turns the words of retry.conditions into classes and statuses.
func conditions(words []string) policies.Conditions {
	classes := map[string][]policies.Class{
		"connect": {
			policies.Refused, policies.ConnectTimeout, policies.TLSFailed, policies.Unresolvable, policies.PoolExhausted,
		},
		"reset":   {policies.Reset, policies.Malformed},
		"timeout": {policies.HeaderTimeout},
	}
	var c policies.Conditions
	for _, w := range words {
		if status, err := strconv.Atoi(w); err == nil {
			c.Statuses = append(c.Statuses, status)
		}
		for _, class := range classes[w] {
			c.Classes |= 1 << class
		}
	}
	return c
}

// forever stands for "no timeout", with room to be added to a time.
const forever = 10 * 365 * 24 * time.Hour

func (g *Gateway) routes(cfg *config.Config, explainToken string) *proxy.Config {
	h := cfg.HTTP
	out := &proxy.Config{
		Trusted: map[string][]netip.Prefix{}, ProxyProtocol: map[string]*proxy.ProxyProtocol{}, TLS: map[string]*tls.Config{}, ExplainToken: explainToken,
		HeaderTimeout: h.HeaderTimeout, BodyTimeout: h.BodyTimeout, IdleTimeout: h.IdleTimeout, TunnelTimeout: h.TunnelTimeout,
		HalfClose: h.HalfClose, H2C: h.H2C, MaxBody: h.MaxBody, MaxConnRequests: h.MaxRequests, MaxClientConns: h.MaxClient,
	}
	if cfg.Log.Access != "off" {
		out.Access, out.AccessQuery = g.access, cfg.Log.AccessQuery
	}
	for _, l := range cfg.Listeners {
		if t := g.certs.Listener(l.Name); t != nil {
			out.TLS[l.Name] = t.Config()
		}
		if p := l.ProxyProtocol; p != nil {
			out.ProxyProtocol[l.Name] = &proxy.ProxyProtocol{Trusted: p.Trusted, Required: p.Required, Timeout: p.Timeout}
		}
		if len(l.Trusted) > 0 {
			out.Trusted[l.Name] = l.Trusted
		}
	}
	for _, r := range cfg.Routes {
		cc := cfg.Clusters[r.Cluster]
		route := proxy.Route{
			Name: r.Name, Host: r.Host, Path: r.Path, StripPrefix: r.StripPrefix, Cluster: g.members[r.Cluster].cluster,
			Timeout: r.Timeout, PerTryTimeout: cc.Retry.PerTryTimeout, Attempts: cc.Retry.Attempts,
			Budget: int(math.Round(cc.Retry.Budget * 100)), MaxRequests: cc.Limits.Requests, Affinity: affinity(cc.Affinity),
			PassLoad: cc.Weights.PassHeader,
		}
		if h := cc.Hedge; h != nil {
			route.Hedge = &proxy.Hedge{After: h.After, Budget: int(math.Round(h.Budget * 100))}
		}
		if route.Timeout == 0 {
			route.Timeout = forever
		}
		for _, k := range slices.Sorted(maps.Keys(r.Headers)) {
			route.Headers = append(route.Headers, proxy.Match{Name: k, Value: r.Headers[k]})
		}
		out.Routes = append(out.Routes, route)
	}
	return out
}

func affinity(a *config.Affinity) proxy.Affinity {
	switch {
	case a == nil:
		return proxy.Affinity{}
	case a.Header != "":
		return proxy.Affinity{Source: proxy.HeaderKey, Name: a.Header}
	case a.Cookie != "":
		return proxy.Affinity{Source: proxy.CookieKey, Name: a.Cookie}
	case a.ClientIdentity:
		return proxy.Affinity{Source: proxy.ClientIdentityKey}
	case a.ClientIP:
		return proxy.Affinity{Source: proxy.ClientIPKey}
	case a.Path:
		return proxy.Affinity{Source: proxy.PathKey}
	}
	return proxy.Affinity{Source: proxy.QueryKey, Name: a.Query}
}

func usesConsul(cfg *config.Config) bool {
	for _, c := range cfg.Clusters {
		if c.Consul != nil {
			return true
		}
	}
	return false
}
