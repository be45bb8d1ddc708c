package gateway

import (
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/proxy"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// maxEndpointSeries is the size of a cluster above which its endpoints have no series of their own.
const maxEndpointSeries = 500

// metric describes one family; help doubles as the text of docs/OPERATIONS.md, which a test compares.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	desc       *prometheus.Desc
}

func family(kind prometheus.ValueType, name, help string, labels ...string) *metric {
	return &metric{name: name, help: help, kind: kind, labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
	// Histograms have the kind Untyped here, for the table alone.
	histogram = prometheus.UntypedValue
)

var (
	mRequests    = family(counter, "weir_requests_total", "Requests answered, by class of status (2xx, 4xx, ...).", "route", "cluster", "code")
	mDuration    = family(histogram, "weir_request_duration_seconds", "Time from a request's arrival to its last byte.", "cluster")
	mAttempts    = family(counter, "weir_attempts_total", "Attempts at endpoints, by how they ended.", "cluster", "class")
	mRetries     = family(counter, "weir_retries_total", "What followed an attempt that failed.", "cluster", "verdict")
	mHedges      = family(counter, "weir_hedges_total", "Attempts beside a slow one: started, won (answered first), denied (by the budget).", "cluster", "result")
	mRejected    = family(counter, "weir_rejected_requests_total", "Requests answered with an error of our own, by reason.", "reason")
	mAborted     = family(counter, "weir_aborted_responses_total", "Responses cut off after their head was sent.")
	mGone        = family(counter, "weir_clients_gone_total", "Clients that went away before they had their answer.")
	mTunnels     = family(gauge, "weir_tunnels", "Open tunnels (WebSocket).")
	mUnproxied   = family(counter, "weir_proxy_headers_refused_total", "Connections of trusted peers closed for want of a good PROXY header.")
	mHandshakes  = family(counter, "weir_tls_handshake_failures_total", "TLS handshakes with clients that failed.")
	mFloods      = family(counter, "weir_http2_floods_total", "Connections of HTTP/2 ended for frames that only make work, by their kind (reset, settings, data, continuation, ping).", "kind")
	mTurnedAway  = family(counter, "weir_connections_refused_total", "Connections closed because their client had as many as it may have.")
	mClients     = family(gauge, "weir_client_connections", "Connections from clients.")
	mUp          = family(gauge, "weir_endpoint_up", "1 if the endpoint gets traffic, 0.5 if degraded.", "cluster", "endpoint")
	mInflight    = family(gauge, "weir_endpoint_inflight", "Attempts in flight.", "cluster", "endpoint")
	mEWMA        = family(gauge, "weir_endpoint_ewma_seconds", "Smoothed time of good attempts.", "cluster", "endpoint")
	mEjections   = family(counter, "weir_endpoint_ejections_total", "Passive ejections.", "cluster", "endpoint")
	mPicked      = family(counter, "weir_endpoint_attempts_total", "Attempts begun.", "cluster", "endpoint")
	mEndpoints   = family(gauge, "weir_cluster_endpoints", "Endpoints by state (up, degraded, draining, down).", "cluster", "state")
	mEnded       = family(counter, "weir_drain_ended_total", "What was ended (requests, tunnels) because its endpoint drained for longer than the drain section allows.", "cluster", "what")
	mPanic       = family(gauge, "weir_cluster_panic", "1 while so little of the cluster is up that health is ignored.", "cluster")
	mRedundancy  = family(gauge, "weir_cluster_redundancy", "1 if the cluster can bear the loss of any one endpoint (N+1 holds), 0.5 if it bears what is needed and no loss, 0 if not even that.", "cluster")
	mCapacity    = family(gauge, "weir_cluster_capacity", "Capacity in the unit of weights (endpoints with 1+1): what is needed, what is up, spares included, and what the worst single loss would cost.", "cluster", "of")
	mMoves       = family(counter, "weir_cluster_redundancy_moves_total", "How often others came to serve: standbys, spares, tiers, datacenters, and back.", "cluster")
	mTierShare   = family(gauge, "weir_cluster_tier_share", "Share of the requests that a tier gets, 0 to 1; datacenter is empty where it is not elsewhere.", "cluster", "tier", "datacenter")
	mImpossible  = family(counter, "weir_load_reports_refused_total", "Reports of load that are impossible and were ignored.", "cluster")
	mAge         = family(gauge, "weir_discovery_age_seconds", "Age of the last good answer of discovery; 0 for static endpoints.", "cluster")
	mConnections = family(gauge, "weir_upstream_connections", "Connections to endpoints, by state (idle, active).", "cluster", "state")
	mLeases      = family(counter, "weir_lease_events_total", "Heartbeats and what their leases met in the cache.", "event")
	mPicks       = family(counter, "weir_policy_picks_total", "Calls of a Wasm policy, by result.", "policy", "result")
	mFuel        = family(histogram, "weir_policy_fuel", "Fuel that a call used.", "policy")
	mPickSeconds = family(histogram, "weir_policy_pick_seconds", "Time of a call, one in 64 measured.", "policy")
	mFailures    = family(counter, "weir_policy_failures_total", "Calls that failed, by class.", "policy", "class")
	mUnheard     = family(counter, "weir_policy_outcomes_unheard_total", "Outcomes of attempts that a guest was not told of.", "policy")
	mRecreated   = family(counter, "weir_policy_instances_recreated_total", "Guest instances replaced after a failure.", "policy")
	mQuarantined = family(gauge, "weir_policy_quarantined", "1 while the policy is in quarantine.", "policy")
	mRefused     = family(gauge, "weir_policy_refused", "1 if the module was refused and the fallback serves.", "policy")
	mInfo        = family(gauge, "weir_policy_info", "1, with digest and source (file, api, promoted) of the version that serves.", "policy", "digest", "source")
	mGuest       = family(gauge, "weir_policy_guest", "What a guest counts itself, by the name it gives.", "policy", "name")
	mShadowPicks = family(counter, "weir_policy_shadow_picks_total", "Picks that a policy and its shadow both decided.", "policy", "candidate", "agreed")
	mShadowShare = family(counter, "weir_policy_shadow_share", "How often a policy (active) and its shadow (candidate) chose an endpoint.", "policy", "candidate", "cluster", "endpoint", "by")
	mEvents      = family(counter, "weir_policy_events_total", "What happened to a policy, by kind.", "policy", "kind")
	mMissed      = family(counter, "weir_events_missed_total", "Events that readers of /api/v1/events were too slow for.")
	mEngine      = family(gauge, "weir_wasm_engine", "1 for the engine that runs guests (compiler or interpreter).", "engine")
	mExpiry      = family(gauge, "weir_certificate_expiry_timestamp_seconds", "When what serves expires; of authorities the one that lasts longest.", "side", "of", "part", "name", "key")
	mCertFiles   = family(counter, "weir_certificate_reloads_total", "Changed files of certificates, by result (ok, refused).", "side", "of", "result")
	mCertStale   = family(gauge, "weir_certificate_refused", "Certificates whose files are refused now, so that those before serve.", "side", "of")
	mLogged      = family(counter, "weir_access_log_lines_total", "Lines of the access log that were written.")
	mUnlogged    = family(counter, "weir_access_log_dropped_total", "Lines of the access log that were dropped: behind (their writer was), failed (they could not be written).", "reason")
	mReloads     = family(counter, "weir_reloads_total", "Reloads of the configuration, by result (ok, refused).", "result")
	mReloaded    = family(gauge, "weir_config_last_reload_timestamp_seconds", "When the configuration was last taken.")
	mBuild       = family(gauge, "weir_build_info", "1, with version and toolchain.", "version", "go")
)

var families = []*metric{
	mRequests, mDuration, mAttempts, mRetries, mHedges, mRejected, mAborted, mGone, mTunnels, mUnproxied, mHandshakes, mFloods, mTurnedAway, mClients, mUp, mInflight, mEWMA, mEjections, mPicked,
	mEndpoints, mEnded, mPanic, mRedundancy, mCapacity, mMoves, mTierShare, mImpossible, mAge, mConnections, mLeases, mPicks, mFuel, mPickSeconds, mFailures, mUnheard, mRecreated, mQuarantined,
	mRefused, mInfo, mGuest, mShadowPicks, mShadowShare, mEvents, mMissed, mEngine, mExpiry,
	mCertFiles, mCertStale, mLogged, mUnlogged, mReloads, mReloaded, mBuild,
}

// collectorMetrics are those of the runtime that tell what the garbage collector takes, beside what is there anyway.
var collectorMetrics = []collectors.GoRuntimeMetricsRule{
	{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)},
	{Matcher: regexp.MustCompile(`^/sched/pauses/total/gc:seconds$`)},
}

func (g *Gateway) register() {
	g.registry.MustRegister(g, collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectorMetrics...)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Describe implements prometheus.Collector.
func (g *Gateway) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range families {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector. The request path only counts in atomics; everything else happens here.
func (g *Gateway) Collect(ch chan<- prometheus.Metric) {
	c := collection{ch}
	c.data(g.data.Stats())
	for _, m := range g.clusters() {
		c.cluster(m)
	}
	l := g.leases.Stats()
	c.add(mLeases, float64(l.Beats), "beat")
	c.add(mLeases, float64(l.InstallRetries), "install_retry")
	c.add(mLeases, float64(l.Unstored), "unstored")
	c.add(mLeases, float64(l.Overruns), "overrun")
	c.add(mLeases, float64(l.Future), "future")
	c.add(mLeases, float64(l.Replayed), "replayed")
	for _, p := range g.loaded() {
		c.policy(p)
		c.shadow(p.name, g.shadowOf(p))
	}
	counts, missed := g.events.tally()
	for k, n := range counts {
		c.add(mEvents, float64(n), k.policy, k.kind)
	}
	c.add(mMissed, float64(missed))
	c.add(mEngine, 1, g.host.Engine())
	c.certificates(g.certs.Status())
	lines := g.accessLog()
	c.add(mLogged, float64(lines.Written))
	c.add(mUnlogged, float64(lines.Behind), "behind")
	c.add(mUnlogged, float64(lines.Failed), "failed")
	c.add(mReloads, float64(g.reloads.ok.Load()), "ok")
	c.add(mReloads, float64(g.reloads.refused.Load()), "refused")
	c.add(mReloaded, float64(g.reloads.last.Load()))
	c.add(mBuild, 1, g.options.Version, runtime.Version())
}

// collection sends samples.
type collection struct{ ch chan<- prometheus.Metric }

func (c collection) add(m *metric, v float64, labels ...string) {
	c.ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
}

// histogram sends counts, which are not cumulative and have one more entry than bounds.
func (c collection) histogram(m *metric, bounds []float64, counts []uint64, sum float64, labels ...string) {
	cumulative := make(map[float64]uint64, len(bounds))
	total := uint64(0)
	for i, n := range counts {
		total += n
		if i < len(bounds) {
			cumulative[bounds[i]] = total
		}
	}
	c.ch <- prometheus.MustNewConstHistogram(m.desc, total, sum, cumulative, labels...)
}

func (c collection) data(s proxy.Stats) {
	for _, r := range s.Routes {
		for class, n := range r.Codes {
			if n > 0 {
				c.add(mRequests, float64(n), r.Route, r.Cluster, strconv.Itoa(class)+"xx")
			}
		}
	}
	for _, cl := range s.Clusters {
		for class, n := range cl.Attempts {
			c.add(mAttempts, float64(n), cl.Cluster, policies.Class(class).String())
		}
		for verdict, n := range cl.Retries {
			c.add(mRetries, float64(n), cl.Cluster, verdict)
		}
		c.add(mHedges, float64(cl.Hedges.Started), cl.Cluster, "started")
		c.add(mHedges, float64(cl.Hedges.Won), cl.Cluster, "won")
		c.add(mHedges, float64(cl.Hedges.Denied), cl.Cluster, "denied")
		c.histogram(mDuration, seconds(cl.Latency.Bounds), cl.Latency.Counts, cl.Latency.Sum.Seconds(), cl.Cluster)
	}
	for reason, n := range s.Rejected {
		c.add(mRejected, float64(n), reason)
	}
	c.add(mAborted, float64(s.Aborted))
	c.add(mGone, float64(s.ClientsGone))
	c.add(mTunnels, float64(s.Tunnels))
	c.add(mUnproxied, float64(s.Introductions))
	for kind, n := range s.Floods {
		c.add(mFloods, float64(n), kind)
	}
	c.add(mHandshakes, float64(s.Handshakes))
	c.add(mTurnedAway, float64(s.TurnedAway))
	c.add(mClients, float64(s.Connections))
}

func seconds(ds []time.Duration) []float64 {
	out := make([]float64, len(ds))
	for i, d := range ds {
		out[i] = d.Seconds()
	}
	return out
}

func (c collection) redundancy(name string, r *cluster.RedundancyStatus) {
	if r == nil {
		return
	}
	c.add(mRedundancy, map[string]float64{"redundant": 1, "exposed": 0.5}[r.State], name)
	c.add(mCapacity, r.Need, name, "need")
	c.add(mCapacity, r.Capacity, name, "up")
	c.add(mCapacity, r.Largest, name, "largest")
	c.add(mMoves, float64(r.Moves), name)
	for _, t := range r.Tiers {
		c.add(mTierShare, t.Share, name, strconv.Itoa(t.Tier), t.Datacenter)
	}
}

func (c collection) cluster(m *cluster.Cluster) {
	s := m.Status()
	c.add(mAge, s.AgeSeconds, s.Name)
	states := map[string]int{"up": 0, "degraded": 0, "draining": 0, "down": 0}
	for _, e := range s.Endpoints {
		states[e.State]++
		if len(s.Endpoints) > maxEndpointSeries {
			continue
		}
		c.add(mUp, map[string]float64{"up": 1, "degraded": 0.5}[e.State], s.Name, e.ID)
		c.add(mInflight, float64(e.Inflight), s.Name, e.ID)
		c.add(mEWMA, e.EWMA, s.Name, e.ID)
		c.add(mEjections, float64(e.Ejections), s.Name, e.ID)
		c.add(mPicked, float64(e.Attempts), s.Name, e.ID)
	}
	c.add(mEnded, float64(s.EndedRequests), s.Name, "requests")
	c.add(mEnded, float64(s.EndedTunnels), s.Name, "tunnels")
	panicking := 0.0
	if s.Panic {
		panicking = 1
	}
	c.add(mPanic, panicking, s.Name)
	c.redundancy(s.Name, s.Redundancy)
	c.add(mImpossible, float64(s.ImpossibleReports), s.Name)
	for state, n := range states {
		c.add(mEndpoints, float64(n), s.Name, state)
	}
	var idle, active int
	for _, e := range m.Load().Endpoints {
		if p, ok := e.Transport.(*upstream.Pool); ok {
			st := p.Stats()
			idle += st.Idle
			active += st.Open - st.Idle
		}
	}
	c.add(mConnections, float64(idle), s.Name, "idle")
	c.add(mConnections, float64(active), s.Name, "active")
}
