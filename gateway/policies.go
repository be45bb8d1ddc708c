package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// policy is a Wasm policy of the configuration. Its module is nil if it was refused; then its fallback serves.
type policy struct {
	name   string
	config *config.Policy
	digest string // sha256 of the file, hex
	key    string // equal keys mean the same module with the same options
	module *wasmhost.Module
	err    error // why it was refused

	carried wasmhost.Stats // of the modules that had the name before: counters must not fall
}

// carry takes over what old counted. It comes before anybody else knows p.
func (p *policy) carry(old *policy) {
	p.carried.Add(old.stats())
	p.carried.Instances, p.carried.Quarantined, p.carried.LastFailure = 0, false, ""
}

// stats are the counts of all modules that the policy had.
func (p *policy) stats() wasmhost.Stats {
	s := p.carried
	if p.module != nil {
		s.Add(p.module.Stats())
	}
	return s
}

func (p *policy) close() {
	if p != nil && p.module != nil {
		_ = p.module.Close()
	}
}

// loadPolicy loads a policy, or returns the one that serves if neither its file nor its options changed. The error,
// if any, has the position of the policy in the configuration; the policy is then one without a module, unless it is
// not what the configuration pins.
func (g *Gateway) loadPolicy(ctx context.Context, cfg *config.Config, name string) (*policy, *config.Error) {
	pc := cfg.Policies[name]
	path := config.Child("policies", name)
	module, err := os.ReadFile(pc.Wasm)
	if err != nil {
		return nil, cfg.Error(config.Child(path, "wasm"), err.Error(), "a readable file")
	}
	sum := sha256.Sum256(module)
	p := &policy{name: name, config: pc, digest: hex.EncodeToString(sum[:])}
	if pc.SHA256 != "" && pc.SHA256 != p.digest {
		return nil, cfg.Error(config.Child(path, "sha256"), fmt.Sprintf("a module with sha256 %s", p.digest), pc.SHA256)
	}
	p.key = p.digest + fingerprint(pc)
	if old := g.policies[name]; old != nil && old.key == p.key && old.module != nil {
		return old, nil
	}
	onError := wasmhost.Fallback
	if pc.OnError == "reject" {
		onError = wasmhost.Reject
	}
	p.module, err = g.host.Load(ctx, module, wasmhost.Options{
		Name: name, Config: pc.Config, Memory: pc.Memory, OnError: onError,
		Fuel: wasmhost.Budgets{Init: pc.Fuel.Init, Endpoints: pc.Fuel.Endpoints, Pick: pc.Fuel.Pick},
	})
	if err != nil {
		p.module, p.err = nil, err
		return p, cfg.Error(config.Child(path, "wasm"), err.Error(), "a module that passes every step")
	}
	return p, nil
}

// PolicyStatus is a Wasm policy as the admin API shows it.
type PolicyStatus struct {
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Digest   string   `json:"digest"` // sha256, hex
	State    string   `json:"state"`  // serving, refused (its fallback serves), or quarantined
	Error    string   `json:"error,omitempty"`
	Step     string   `json:"step,omitempty"` // at which it was refused
	Fallback string   `json:"fallback"`
	Clusters []string `json:"clusters"`
	Engine   string   `json:"engine"`
	Exports  []string `json:"exports,omitempty"`
	Imports  []string `json:"imports,omitempty"`
	Columns  []string `json:"columns,omitempty"` // live figures the guest reads

	Instances   int               `json:"instances"`
	Recreated   uint64            `json:"instances_recreated"`
	Picks       map[string]uint64 `json:"picks"` // by result
	Failures    map[string]uint64 `json:"failures"`
	LastFailure string            `json:"last_failure,omitempty"`
	Fallbacks   uint64            `json:"fallbacks"`               // picks that the native fallback made
	PickNanos   float64           `json:"pick_nanoseconds_median"` // of one call in 64, estimated within a power of two
	FuelMean    float64           `json:"fuel_mean"`               // of a call that did not fail
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
		Name: p.name, File: p.config.Wasm, Digest: p.digest, State: "serving", Fallback: p.config.Fallback,
		Clusters: []string{}, Engine: g.host.Engine(),
	}
	g.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(g.members)) {
		if g.members[name].spec.policy == p {
			s.Clusters = append(s.Clusters, name)
		}
	}
	g.mu.Unlock()
	if p.module == nil {
		s.State, s.Error = "refused", p.err.Error()
		if step, ok := errors.AsType[*wasmhost.StepError](p.err); ok {
			s.Step = string(step.Step)
		}
		return s
	}
	info, st := p.module.Info(), p.stats()
	s.Exports, s.Imports, s.Columns = info.Exports, info.Imports, info.Columns
	s.Instances, s.Recreated, s.LastFailure = st.Instances, st.Recreated, st.LastFailure
	if st.Quarantined {
		s.State = "quarantined"
	}
	s.Picks, s.Failures = map[string]uint64{}, map[string]uint64{}
	for r, n := range st.Picks {
		s.Picks[wasmhost.Result(r).String()] = n
		switch wasmhost.Result(r) {
		case wasmhost.Chosen, wasmhost.Listed, wasmhost.Refused, wasmhost.Stopped: // the guest's own
		default:
			s.Fallbacks += n
		}
	}
	for f, n := range st.Failures {
		s.Failures[wasmhost.Failure(f).String()] = n
	}
	s.PickNanos, s.FuelMean = median(st.Nanoseconds), float64(st.Fuel.Sum)/float64(max(st.Fuel.Count(), 1))
	return s
}

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
