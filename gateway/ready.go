package gateway

import (
	"maps"
	"slices"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/internal/cluster"
)

// Readiness is the body of /readyz.
type Readiness struct {
	Ready    bool               `json:"ready"`  // every cluster had one answer of discovery, or a snapshot
	Status   string             `json:"status"` // ready, degraded (something needs a look), starting, draining
	Clusters []ClusterReadiness `json:"clusters"`
	Policies []string           `json:"policies_not_serving,omitempty"` // refused, or in quarantine: their fallbacks serve
	// Certificates are those that need a look: expired or about to, or with files that are refused.
	Certificates []CertificateReadiness `json:"certificates,omitempty"`
}

// ClusterReadiness says where a cluster's endpoints come from.
type ClusterReadiness struct {
	Name       string  `json:"name"`
	Origin     string  `json:"origin"` // none, static, snapshot, live
	AgeSeconds float64 `json:"age_seconds"`
	Endpoints  int     `json:"endpoints"`
	Up         int     `json:"up"`
	Panic      bool    `json:"panic,omitempty"` // so little is up that health is ignored
	Error      string  `json:"error,omitempty"`
}

// Ready tells whether the gateway can serve, and goes on to. Losing Consul does not make it unready: it serves what it knows.
func (g *Gateway) Ready() Readiness {
	r := Readiness{Ready: true, Status: "ready", Clusters: []ClusterReadiness{}}
	for _, c := range g.clusters() {
		state, answered := c.Ready()
		s := c.Load()
		cr := ClusterReadiness{
			Name: c.Name(), Origin: state.Origin.String(), Endpoints: len(s.Endpoints), Up: len(s.View.Up),
			Panic: s.Panic(),
		}
		if state.Origin == discovery.OriginLive || state.Origin == discovery.OriginSnapshot {
			cr.AgeSeconds = time.Since(state.At).Seconds()
		}
		if state.Err != nil {
			cr.Error = state.Err.Error()
			r.Status = "degraded"
		}
		if cr.Error == "" && cr.Up == 0 {
			cr.Error = "no endpoint is up"
		}
		if state.Origin == discovery.OriginSnapshot || cr.Up == 0 || cr.Panic {
			r.Status = "degraded"
		}
		if !answered {
			r.Ready = false
		}
		r.Clusters = append(r.Clusters, cr)
	}
	if r.Policies = g.notServing(); len(r.Policies) > 0 {
		r.Status = "degraded"
	}
	if r.Certificates = g.doubtful(); len(r.Certificates) > 0 {
		r.Status = "degraded"
	}
	if !r.Ready {
		r.Status = "starting"
	}
	if g.draining.Load() {
		r.Ready, r.Status = false, "draining"
	}
	return r
}

// notServing returns the policies that were refused, and those that are in quarantine in a cluster that they serve.
func (g *Gateway) notServing() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := map[string]bool{}
	for name, p := range g.policies {
		if p.module == nil {
			names[name] = true
		}
	}
	for _, m := range g.members {
		if in := m.spec.instance; in != nil && in.Quarantined() {
			names[m.spec.policy.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// clusters returns the clusters by name.
func (g *Gateway) clusters() []*cluster.Cluster {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*cluster.Cluster, 0, len(g.members))
	for _, name := range slices.Sorted(maps.Keys(g.members)) {
		out = append(out, g.members[name].cluster)
	}
	return out
}

// Clusters describes the clusters, by name.
func (g *Gateway) Clusters() []cluster.Status {
	out := []cluster.Status{}
	for _, c := range g.clusters() {
		out = append(out, c.Status())
	}
	return out
}

// Retries returns how many attempts were made beyond the first of a request.
func (g *Gateway) Retries() uint64 {
	n := uint64(0)
	for _, c := range g.data.Stats().Clusters {
		n += c.Retries["granted"]
	}
	return n
}
