package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost/fuel"
)

// Module is a policy that was vetted, compiled and tried out. It is safe for concurrent use.
type Module struct {
	host     *Host
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	options  Options
	info     Info
	shared   *shared
	pickFuel int64

	mu       sync.Mutex
	users    int // policies, and the module's owner; the last one closes compiled
	closed   bool
	policies []*Policy
	retired  Stats // of policies that were closed
}

// Info is what there is to say of a module.
type Info struct {
	Name        string
	SHA256      string // hex digest of the bytes as they came
	Size        int    // bytes, as they came
	Engine      string
	Compile     time.Duration
	Imports     []string // "module.name (type)"
	Exports     []string // functions, "name (type)", and the memory
	Columns     []string // live columns that the guest wants
	Replicable  bool     // may run as several instances
	KeepOrder   bool     // wants its feedback in order
	Retry       bool     // decides what follows a failed attempt
	Feedback    bool     // hears how attempts end
	Tick        bool     // has lb_tick
	Save        bool     // has a state for its successor
	Restore     bool     // takes one over
	MemoryPages uint32   // at start, of 64 KiB
	DryRun      DryRun
}

// Load takes a module through all steps. Its errors are of type *[StepError], but for that of a context which ended
// and of options that are wrong.
func (h *Host) Load(ctx context.Context, wasm []byte, o Options) (*Module, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("policy %q: %w", o.Name, err)
	}
	digest := sha256.Sum256(wasm)
	m := &Module{host: h, options: o, pickFuel: o.Fuel.pick(), users: 1, info: Info{Name: o.Name, SHA256: hex.EncodeToString(digest[:]), Size: len(wasm), Engine: h.engine}}
	if m.shared = (&shared{log: h.log.With("policy", o.Name), now: o.Now}); o.Inherit != nil {
		m.shared = o.Inherit.shared
	}
	m.options.Inherit = nil // a module that holds the one before holds all that there were
	if len(wasm) > fuel.MaxModule {
		return nil, &StepError{StepSize, fmt.Errorf("%d bytes, want at most %d", len(wasm), fuel.MaxModule)}
	}
	if o.SHA256 != "" && !strings.EqualFold(o.SHA256, m.info.SHA256) {
		return nil, &StepError{StepSize, fmt.Errorf("sha256 is %s, want %s", m.info.SHA256, o.SHA256)}
	}
	metered, err := fuel.Meter(wasm, fuel.Limits{MemoryPages: o.pages(), Start: o.Fuel.init(), Large: o.Large, Entries: entries})
	if err != nil {
		step := StepParse
		if e, ok := errors.AsType[*fuel.Error](err); ok && e.Refused {
			step = StepVet
		}
		return nil, &StepError{step, err}
	}
	if err := checkImports(metered); err != nil {
		return nil, &StepError{StepVet, err}
	}
	if err := m.compile(ctx, metered); err != nil {
		return nil, err
	}
	if err := m.prove(metered); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// compile makes native code of the module, one at a time: it can take much memory. Should the compiler have a fault of
// its own, the module is refused.
func (m *Module) compile(ctx context.Context, metered *fuel.Metered) (err error) {
	m.host.compile.Lock()
	defer m.host.compile.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = &StepError{StepCompile, fmt.Errorf("the compiler failed: %v", r)}
		}
	}()
	start := time.Now()
	rt, c, err := m.host.native(ctx, m.options.pages(), metered.Bytes)
	if err != nil {
		return &StepError{StepCompile, err}
	}
	m.runtime, m.compiled, m.info.Compile = rt, c, time.Since(start)
	return nil
}

// prove takes the compiled module through the steps in which the guest runs, on an instance that is then dropped.
func (m *Module) prove(metered *fuel.Metered) error {
	if err := checkExports(metered); err != nil {
		return &StepError{StepExports, err}
	}
	for _, im := range metered.Imports {
		m.info.Imports = append(m.info.Imports, fmt.Sprintf("%s.%s %v", im.Module, im.Name, im.Type))
	}
	for _, e := range metered.Exports {
		switch e.Kind {
		case fuel.Func:
			m.info.Exports = append(m.info.Exports, fmt.Sprintf("%s %v", e.Name, e.Type))
		default:
			m.info.Exports = append(m.info.Exports, fmt.Sprintf("%s (%v)", e.Name, e.Kind))
		}
		switch e.Name {
		case "lb_retry":
			m.info.Retry = true
		case "lb_feedback":
			m.info.Feedback = true
		case "lb_tick":
			m.info.Tick = true
		case "lb_save":
			m.info.Save = true
		case "lb_restore":
			m.info.Restore = true
		}
	}
	m.info.MemoryPages = metered.MemoryPages
	trial := &shared{log: m.shared.log, now: m.shared.now, trial: true}
	in, err := m.newInstance("dry-run", trial)
	if err != nil {
		return &StepError{StepInit, err}
	}
	defer in.close()
	m.info.Replicable, m.info.KeepOrder = in.flags&flagReplicable != 0, in.flags&flagKeepOrder != 0
	for c := range policies.Column(policies.NumColumns) {
		if in.flags>>wantedShift&(1<<c) != 0 {
			m.info.Columns = append(m.info.Columns, columnNames[c])
		}
	}
	in.inert = true
	m.info.DryRun, err = in.dryRun(dryRunTable())
	return err
}

var columnNames = [policies.NumColumns]string{
	"health", "inflight", "ewma_us", "err_ppm", "rps_milli", "consecutive_fail", "load_ppm", "heartbeat_age_ms",
}

// Info returns what there is to say of the module.
func (m *Module) Info() Info { return m.info }

// NewPolicy makes the policy of one cluster, with an instance and state of its own. fallback decides where the guest
// does not, and failover what follows a failed attempt where the guest has no say in it; both belong to this policy.
// Close the policy when no cluster builds with it any more.
func (m *Module) NewPolicy(cluster string, fallback policies.Policy, failover policies.Failover) *Policy {
	p := m.newPolicy(cluster, fallback, failover, m.instances())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.policies = append(m.policies, p)
	return p
}

// Stats returns the sums over all policies of the module, closed ones included, and the guest's own series.
func (m *Module) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.retired
	for _, p := range m.policies {
		s.Add(p.Stats())
	}
	s.Series = m.shared.values()
	return s
}

// Close gives the module up. Its code is released when the last of its policies is closed.
func (m *Module) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	return m.release()
}

// retire notes that p is closed.
func (m *Module) retire(p *Policy) error {
	s := p.Stats()
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.policies, p); i >= 0 { // a rehearsal does not count
		m.policies = slices.Delete(m.policies, i, i+1)
		s.Instances, s.Quarantined = 0, false
		m.retired.Add(s)
	}
	return m.release()
}

// release counts one user less. The caller holds mu.
func (m *Module) release() error {
	if m.users--; m.users > 0 || m.compiled == nil {
		return nil
	}
	return m.compiled.Close(context.Background())
}
