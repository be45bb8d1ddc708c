package gateway

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-lb/weir/wasmhost"
)

// PolicyStatus is a Wasm policy as the admin API shows it.
type PolicyStatus struct {
	Name       string          `json:"name"`
	File       string          `json:"file"`
	Digest     string          `json:"digest"`             // sha256, hex
	FileDigest string          `json:"file_digest"`        // of the file when it was last taken: what a restart begins with
	Source     string          `json:"source"`             // of what serves: file, api or promoted
	Since      time.Time       `json:"since"`              // when it began to serve
	Previous   *PreviousStatus `json:"previous,omitempty"` // what a rollback returns to
	Size       int             `json:"size"`               // bytes
	State      string          `json:"state"`              // serving, refused (its fallback serves), or quarantined
	Error      string          `json:"error,omitempty"`
	Step       string          `json:"step,omitempty"` // at which it was refused
	Fallback   string          `json:"fallback"`
	Clusters   []string        `json:"clusters"`
	Engine     string          `json:"engine"`
	Exports    []string        `json:"exports,omitempty"`
	Imports    []string        `json:"imports,omitempty"`
	Columns    []string        `json:"columns,omitempty"` // live figures the guest reads
	Replicable bool            `json:"replicable"`        // may run as several instances
	CompileMS  float64         `json:"compile_ms"`        // next to nothing if native code was in the cache

	Instances   int               `json:"instances"`
	Recreated   uint64            `json:"instances_recreated"`
	Picks       map[string]uint64 `json:"picks"` // by result
	Failures    map[string]uint64 `json:"failures"`
	LastFailure string            `json:"last_failure,omitempty"`
	Unheard     uint64            `json:"outcomes_unheard"`        // that the guest was not told of
	Fallbacks   uint64            `json:"fallbacks"`               // picks that the native fallback made
	PickNanos   float64           `json:"pick_nanoseconds_median"` // of one call in 64, estimated within a power of two
	FuelMean    float64           `json:"fuel_mean"`               // of a call that did not fail
	Guest       map[string]int64  `json:"guest,omitempty"`         // what the guest counts itself, by name
	Shadow      *ShadowStatus     `json:"shadow,omitempty"`        // of one policy alone
	Events      []Event           `json:"events,omitempty"`        // the last 32, oldest first; of one policy alone
}

// PreviousStatus is the version of a policy that served before.
type PreviousStatus struct {
	Digest string    `json:"digest"`
	Source string    `json:"source"`
	Since  time.Time `json:"since"` // when it began to serve
}

// loaded returns the Wasm policies by name.
func (g *Gateway) loaded() []*policy {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*policy
	for _, name := range slices.Sorted(maps.Keys(g.policies)) {
		out = append(out, g.policies[name])
	}
	return out
}

// policy returns the Wasm policy of that name, nil if there is none.
func (g *Gateway) policy(name string) *policy {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.policies[name]
}

// Policies describes the Wasm policies, by name.
func (g *Gateway) Policies() []PolicyStatus {
	out := []PolicyStatus{}
	for _, p := range g.loaded() {
		out = append(out, g.describe(p))
	}
	return out
}

func (g *Gateway) describe(p *policy) PolicyStatus {
	s := PolicyStatus{
		Name: p.name, File: p.config.Wasm, Digest: p.digest, FileDigest: p.file, Source: p.source, Since: p.since,
		Size: len(p.wasm), State: "serving", Fallback: p.config.Fallback, Clusters: []string{}, Engine: g.host.Engine(),
	}
	if v := p.previous; v != nil {
		s.Previous = &PreviousStatus{v.digest, v.source, v.since}
	}
	g.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(g.members)) {
		if g.members[name].spec.policy == p {
			s.Clusters = append(s.Clusters, name)
		}
	}
	g.mu.Unlock()
	if p.module == nil {
		s.State, s.Error, s.Step = "refused", p.err.Error(), stepOf(p.err)
		return s
	}
	info, st := p.module.Info(), p.stats()
	s.Exports, s.Imports, s.Columns = info.Exports, info.Imports, info.Columns
	s.Replicable, s.CompileMS = info.Replicable, milliseconds(info.Compile)
	s.Instances, s.Recreated, s.LastFailure, s.Unheard = st.Instances, st.Recreated, st.LastFailure, st.Unheard
	if st.Quarantined {
		s.State = "quarantined"
	}
	s.Picks, s.Failures = byResult(st), byClass(st)
	for r, n := range st.Picks {
		switch wasmhost.Result(r) {
		case wasmhost.Chosen, wasmhost.Listed, wasmhost.Refused, wasmhost.Stopped: // the guest's own
		default:
			s.Fallbacks += n
		}
	}
	for _, x := range st.Series {
		if s.Guest == nil {
			s.Guest = map[string]int64{}
		}
		s.Guest[x.Name] = x.Value
	}
	s.PickNanos, s.FuelMean = median(st.Nanoseconds), mean(st.Fuel)
	return s
}

func byResult(s wasmhost.Stats) map[string]uint64 {
	m := map[string]uint64{}
	for r, n := range s.Picks {
		m[wasmhost.Result(r).String()] = n
	}
	return m
}

func byClass(s wasmhost.Stats) map[string]uint64 {
	m := map[string]uint64{}
	for f, n := range s.Failures {
		m[wasmhost.Failure(f).String()] = n
	}
	return m
}

func mean(h wasmhost.Histogram) float64 { return float64(h.Sum) / float64(max(h.Count(), 1)) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median is where half of the values lie below, taking those of a bucket as evenly spread. A mean would tell of the few
// calls that the scheduler interrupted.
func median(h wasmhost.Histogram) float64 {
	half := float64(h.Count()) / 2
	for i, n := range h.Counts {
		if float64(n) >= half && n > 0 {
			high := math.Exp2(float64(i))
			return high/2 + high/2*half/float64(n)
		}
		half -= float64(n)
	}
	return 0
}
