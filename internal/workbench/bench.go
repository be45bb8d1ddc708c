package workbench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
	"github.com/weir-lb/weir/wasmhost"
)

// Measurement is what a module costs.
type Measurement struct {
	Module    string `json:"module"`
	Size      int    `json:"size"`
	Engine    string `json:"engine"`
	Endpoints int    `json:"endpoints"`
	Instances int    `json:"instances"` // of a policy: one a processor if the guest is REPLICABLE

	Picks     Pick    `json:"pick"`
	Null      Pick    `json:"null"`           // answers the first endpoint: what the measuring costs
	Native    Pick    `json:"native_p2c"`     // the built-in
	Fuel      float64 `json:"fuel"`           // of a pick, on average
	Contended float64 `json:"contended_ns"`   // a pick while two goroutines pick, by the wall clock
	Unasked   float64 `json:"fallback_share"` // of the picks, decided by the fallback: the figures then say little

	Compile    Start `json:"compile_ns"`
	Instance   int64 `json:"instance_ns"` // instantiate, lb_init, lb_endpoints
	FirstPick  Start `json:"first_pick_ns"`
	ModulePage int   `json:"memory_bytes"` // of an instance, at start
}

// Pick is what one pick costs.
type Pick struct {
	Nanos       float64 `json:"ns"`
	Allocations float64 `json:"allocations"`
}

// Start is how long something takes at first, and with native code from the cache.
type Start struct {
	Cold   int64 `json:"cold"`
	Cached int64 `json:"cached"`
}

// Windows and their length: the median of a few short ones is steadier than one long one on a machine that does other
// things too.
const (
	windows  = 9
	window   = 40 * time.Millisecond
	starts   = 5
	warmUp   = 20_000
	perCheck = 256 // picks between looks at the clock
)

// null answers the first endpoint that is up.
type null struct{}

func (null) Build(*policies.Table) (policies.Picker, error) { return null{}, nil }

func (null) Pick(_ *policies.Request, v *policies.View) int { return int(v.Up[0]) }

// Bench measures a module over n endpoints. progress is told what is being measured.
func (s *Subject) Bench(n int, progress func(string)) (*Measurement, error) {
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = uint32(1 + i%3)
	}
	table := policytest.Table(1, policytest.Weights(weights...)...)
	view := policytest.View(table, 1)
	m := &Measurement{Module: s.Name, Size: len(s.Wasm), Endpoints: n}
	progress("start")
	if err := s.benchStart(m, table, view); err != nil {
		return nil, err
	}
	mod, err := s.host.Load(context.Background(), s.Wasm, s.options())
	if err != nil {
		return nil, fmt.Errorf("refused at step %w", err)
	}
	defer mod.Close()
	p := mod.NewPolicy("bench", policies.P2C{}, &policies.NextEndpoint{})
	defer p.Close()
	m.Engine, m.ModulePage = mod.Info().Engine, int(mod.Info().MemoryPages)<<16

	pickers := map[*Pick]policies.Picker{}
	for to, policy := range map[*Pick]policies.Policy{&m.Picks: p, &m.Null: null{}, &m.Native: policies.P2C{}} {
		if pickers[to], err = policy.Build(table); err != nil {
			return nil, err
		}
	}
	m.Instances = p.Stats().Instances
	progress("picks")
	nanos := map[*Pick][]float64{}
	for range windows {
		for _, to := range []*Pick{&m.Null, &m.Native, &m.Picks} {
			nanos[to] = append(nanos[to], timed(pickers[to], view, 1))
		}
	}
	for to, all := range nanos {
		to.Nanos = median(all)
		to.Allocations = allocations(pickers[to], view)
	}
	progress("contention")
	var contended []float64
	for range windows {
		contended = append(contended, timed(pickers[&m.Picks], view, 2))
	}
	m.Contended = median(contended)
	if st := p.Stats(); st.Fuel.Count() > 0 {
		m.Fuel = float64(st.Fuel.Sum) / float64(st.Fuel.Count())
		var all uint64
		for _, k := range st.Picks {
			all += k
		}
		m.Unasked = 1 - float64(st.Picks[wasmhost.Chosen]+st.Picks[wasmhost.Listed]+st.Picks[wasmhost.Refused])/float64(all)
	}
	return m, nil
}

// options are those of a gateway: real time, and as many instances as the guest likes.
func (s *Subject) options() wasmhost.Options {
	o := s.Options
	o.Name, o.Config = s.Name, s.Config
	return o
}

// stream makes requests that differ as those of a client population do, at no cost to speak of.
type stream struct {
	r policies.Request
	x uint64
}

func newStream(seed uint64) *stream {
	return &stream{policytest.Request(seed, 1), seed}
}

func (s *stream) next() *policies.Request {
	s.x = s.x*6364136223846793005 + 1442695040888963407
	s.r.Rand, s.r.KeyHash = s.x, s.x>>7
	s.r.Seq++
	s.r.Now += 1000
	return &s.r
}

// timed returns how long a pick takes while so many goroutines pick, in nanoseconds by the wall clock.
func timed(pk policies.Picker, v *policies.View, goroutines int) float64 {
	var wg sync.WaitGroup
	var total int
	var mu sync.Mutex
	begin := time.Now()
	for g := range goroutines {
		wg.Go(func() {
			s, n := newStream(uint64(g)+1), 0
			for time.Since(begin) < window {
				for range perCheck {
					pk.Pick(s.next(), v)
				}
				n += perCheck
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	wg.Wait()
	return float64(time.Since(begin).Nanoseconds()) / float64(total)
}

// allocations counts those of a pick, on average.
func allocations(pk policies.Picker, v *policies.View) float64 {
	s := newStream(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range warmUp {
		pk.Pick(s.next(), v)
	}
	runtime.ReadMemStats(&after)
	// A goroutine of the runtime allocates now and then; less than one in a thousand picks is nobody's.
	return float64((after.Mallocs-before.Mallocs)*1000/warmUp) / 1000
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// benchStart measures the way from bytes to the first pick: on a host of its own each time, with an empty cache of native
// code and with a filled one.
func (s *Subject) benchStart(m *Measurement, table *policies.Table, view *policies.View) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var compile, first [2][]float64
	var instance []float64
	for k := range starts {
		for cached := range 2 {
			cache := fmt.Sprintf("%s/%d", dir, k)
			c, i, f, err := s.start(cache, table, view)
			if err != nil {
				return err
			}
			compile[cached] = append(compile[cached], float64(c))
			first[cached] = append(first[cached], float64(f))
			instance = append(instance, float64(i))
		}
	}
	m.Compile = Start{int64(median(compile[0])), int64(median(compile[1]))}
	m.FirstPick = Start{int64(median(first[0])), int64(median(first[1]))}
	m.Instance = int64(median(instance))
	return nil
}

// start goes from the file to the first pick.
func (s *Subject) start(cache string, table *policies.Table, view *policies.View) (compile, instance, first time.Duration, err error) {
	host, err := wasmhost.NewHost(wasmhost.HostOptions{CacheDir: cache, Log: quiet})
	if err != nil {
		return 0, 0, 0, err
	}
	defer host.Close()
	begin := time.Now()
	wasm := s.Wasm
	if s.File != "" {
		if wasm, err = os.ReadFile(s.File); err != nil {
			return 0, 0, 0, err
		}
	}
	mod, err := host.Load(context.Background(), wasm, s.options())
	if err != nil {
		return 0, 0, 0, fmt.Errorf("refused at step %w", err)
	}
	defer mod.Close()
	loaded := time.Now()
	p := mod.NewPolicy("bench", policies.P2C{}, &policies.NextEndpoint{})
	defer p.Close()
	pk, err := p.Build(table)
	if err != nil {
		return 0, 0, 0, err
	}
	built := time.Now()
	pk.Pick(newStream(1).next(), view)
	return mod.Info().Compile, built.Sub(loaded), time.Since(begin), nil
}
