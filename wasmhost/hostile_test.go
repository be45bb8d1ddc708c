package wasmhost_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
	"github.com/weir-lb/weir/wasmhost/fuel/fueltest"
)

func hostile(t testing.TB, name string) []byte { return guest(t, filepath.Join("hostile", name)) }

// refused are the guests of testdata/hostile that never get to serve, by step and reason.
var refused = map[string]struct {
	step wasmhost.Step
	want string
}{
	"abi-loop":             {wasmhost.StepInit, `lb_abi_v1: out of fuel`},
	"abi-recursion":        {wasmhost.StepInit, `lb_abi_v1: out of fuel`},
	"abi-unknown-flags":    {wasmhost.StepInit, `lb_abi_v1 answered 0x80, of which this host does not know 0x80`},
	"abi-v2-only":          {wasmhost.StepExports, `"lb_abi_v2" is another version of the ABI`},
	"alloc-loop":           {wasmhost.StepInit, `lb_alloc(1, 256): out of fuel`},
	"alloc-negative":       {wasmhost.StepInit, `0xfffffff8, want 256 bytes within the memory of 65536`},
	"alloc-odd":            {wasmhost.StepInit, `lb_alloc(1, 256) answered 0x401, want a multiple of 8`},
	"alloc-outside":        {wasmhost.StepInit, `0xfff8, want 256 bytes within the memory of 65536`},
	"alloc-overlap":        {wasmhost.StepEndpoints, `lb_alloc(2, 512) answered 0x410, which overlaps the 256 bytes it gave at 0x408`},
	"alloc-recursion":      {wasmhost.StepInit, `lb_alloc(1, 256): out of fuel`},
	"alloc-same":           {wasmhost.StepEndpoints, `lb_alloc(2, 512) answered 0x400, which overlaps the 256 bytes it gave at 0x400`},
	"alloc-zero":           {wasmhost.StepInit, `lb_alloc(1, 256) refused`},
	"dry-run-bad-index":    {wasmhost.StepDryRun, `bad_index`},
	"dry-run-loop":         {wasmhost.StepDryRun, `call 1 of 64: out of fuel`},
	"export-reserve":       {wasmhost.StepVet, `byte 80: export "__lb_reserve": names that begin "__lb_" are the host's`},
	"export-reserved":      {wasmhost.StepVet, `byte 80: export "__lb_fuel": names that begin "__lb_" are the host's`},
	"import-global":        {wasmhost.StepVet, `byte 38: import "lb" "fuel" is a global, want functions only`},
	"import-other-module":  {wasmhost.StepVet, `import "os" "exec": there is no module "os", want "lb" or "wasi_snapshot_preview1"`},
	"import-table":         {wasmhost.StepVet, `byte 39: import "lb" "table" is a table, want functions only`},
	"import-unknown":       {wasmhost.StepVet, `import "lb" "open_socket": there is no such function`},
	"import-wasi-unknown":  {wasmhost.StepVet, `import "wasi_snapshot_preview1" "proc_fork": there is no such function`},
	"import-wrong-type":    {wasmhost.StepVet, `import "lb" "rand64" has type (i32) -> i64, want () -> i64`},
	"init-grow":            {wasmhost.StepInit, `lb_init: out of fuel`},
	"init-hash-flood":      {wasmhost.StepInit, `out of fuel in lb.hash64`},
	"init-loop":            {wasmhost.StepInit, `lb_init: out of fuel`},
	"init-names":           {wasmhost.StepInit, `out of fuel in lb.`},
	"init-outside":         {wasmhost.StepInit, `a pointer outside memory was handed to a host function in lb.log`},
	"init-recursion":       {wasmhost.StepInit, `lb_init: out of fuel`},
	"init-refuses":         {wasmhost.StepInit, `lb_init rejects the config of 0 bytes: it answered -7`},
	"init-table-grow":      {wasmhost.StepInit, `lb_init: out of fuel`},
	"init-trap":            {wasmhost.StepInit, `lb_init: unreachable`},
	"initialize-loop":      {wasmhost.StepInit, `_initialize: out of fuel`},
	"initialize-recursion": {wasmhost.StepInit, `_initialize: out of fuel`},
	"memory-imported":      {wasmhost.StepVet, `byte 40: import "lb" "memory" is a memory, want functions only`},
	"memory-missing":       {wasmhost.StepExports, `no memory is exported as "memory"`},
	"memory-too-big":       {wasmhost.StepVet, `byte 37: memory of 1000 pages at start, want at most 64`},
	"pick-is-a-global":     {wasmhost.StepExports, `export "lb_pick" is a global, want a function (i32) -> i32`},
	"pick-missing":         {wasmhost.StepExports, `no export "lb_pick", want a function (i32) -> i32 (there is "lb_peck")`},
	"pick-wrong-type":      {wasmhost.StepExports, `export "lb_pick" has type (i64) -> i32, want (i32) -> i32`},
	"start-grow":           {wasmhost.StepInit, `instantiate: out of fuel`},
	"start-loop":           {wasmhost.StepInit, `instantiate: out of fuel`},
	"start-recursion":      {wasmhost.StepInit, `instantiate: out of fuel`},
	"table-too-big":        {wasmhost.StepVet, `byte 39: tables of 4000000 entries at start, want at most 65536`},
}

// contained are those that get to serve, by what is counted until they are in quarantine.
var contained = map[wasmhost.Failure][]string{
	wasmhost.FailEndpoints: {"endpoints-loop", "endpoints-recursion"},
	wasmhost.FailFeedback:  {"feedback-loop", "feedback-recursion", "feedback-trap"},
	wasmhost.FailFuel: {
		"flood-eject", "flood-hash", "flood-kv", "flood-log", "flood-rand", "pick-copy", "pick-divisions", "pick-fill", "pick-fill-all",
		"pick-grow", "pick-grow-all", "pick-loop", "pick-recursion", "pick-table-grow", "retry-loop", "retry-recursion",
	},
	wasmhost.FailTrap: {
		"outside-attr", "outside-cookie-hash", "outside-ep-meta", "outside-hash64", "outside-header", "outside-header-eq", "outside-kv-get",
		"outside-kv-set", "outside-log", "pick-divide", "pick-fill-outside", "pick-null", "pick-read-outside", "pick-unreachable",
	},
	wasmhost.FailBadIndex:  {"pick-bad-index", "pick-corrupt-up", "pick-list-of-garbage"},
	wasmhost.FailBadReturn: {"pick-bad-return", "pick-corrupt-request", "pick-list-empty", "pick-list-of-9", "pick-reject-200", "pick-stop"},
	wasmhost.FailTick:      {"tick-grow", "tick-loop", "tick-recursion"},
}

// harmless hurt themselves alone: their answers are usable, or those of their fallback.
var harmless = []string{"pick-corrupt-all", "pick-corrupt-counts", "pick-corrupt-header", "pick-grow-once"}

// forgetful serve, but neither leave nor take over a state.
var forgetful = []string{"restore-loop", "restore-recursion", "restore-refuses", "save-lies", "save-loop", "save-recursion"}

func TestHostileGuestsAreRefused(t *testing.T) {
	h := newHost(t)
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			m, err := h.Load(t.Context(), hostile(t, name), wasmhost.Options{Name: name})
			var e *wasmhost.StepError
			if m != nil || !errors.As(err, &e) || e.Step != c.step || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Load: %v, want step %s: %s", err, c.step, c.want)
			}
		})
	}
}

// victim is a policy in virtual time, and the traffic that it gets.
type victim struct {
	*wasmhost.Policy
	t      testing.TB
	module *wasmhost.Module
	clock  *atomic.Int64
	table  *policies.Table
	picker policies.Picker
}

func newVictim(t testing.TB, h *wasmhost.Host, name string) *victim {
	t.Helper()
	v := &victim{t: t, clock: new(atomic.Int64), table: table(6)}
	v.clock.Store(1e9)
	m, err := h.Load(t.Context(), hostile(t, name), wasmhost.Options{Name: name, Manual: true, Now: v.clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	v.module, v.Policy = m, policy(t, m)
	return v
}

// all are attributes of a request that has every one.
type all struct{}

func (all) Attr(policies.Attr) []byte { return text }

func (all) Header(string) ([]byte, bool) { return text, true }

func (all) Cookie(string) ([]byte, bool) { return text, true }

// serve sends n requests, each of which is refused by the first endpoint, and holds that each gets usable ones. It
// returns what the slowest pick took.
func (v *victim) serve(n int) (slowest time.Duration) {
	v.t.Helper()
	up := view(v.table, 1)
	for seq := range uint64(n) {
		r := request(act + seq)
		r.Attrs = all{}
		start := time.Now()
		i := v.picker.Pick(r, up)
		slowest = max(slowest, time.Since(start))
		if !up.Usable(i) {
			v.t.Fatalf("request %d: picked %d", seq, i)
		}
		r.MarkTried(uint32(i))
		next := v.Next(r, up, policies.Outcome{Endpoint: i, Class: policies.Refused})
		if e := next.Endpoint; next.Action == policies.Retry && e != policies.None && (!up.Usable(e) || r.HasTried(uint32(e))) {
			v.t.Fatalf("request %d: after a refusal by %d: %+v", seq, i, next)
		}
		v.Observe(up, policies.Feedback{
			Outcome: policies.Outcome{Endpoint: i}, Now: v.clock.Load(), Num: v.table.Endpoints[i].Num, Instance: r.Instance, Final: true,
		})
		v.clock.Add(10e6)
		v.Advance(v.clock.Load())
	}
	return slowest
}

func TestHostileGuestsAreContained(t *testing.T) {
	h := newHost(t)
	for class, names := range contained {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				v := newVictim(t, h, name)
				v.picker = build(t, v.Policy, v.table)
				slowest := v.serve(60)
				s := v.Stats()
				if s.Failures[class] == 0 || !s.Quarantined || s.Picks[wasmhost.Quarantined] == 0 {
					t.Errorf("%d failures by %v, quarantined %t: %v %v", s.Failures[class], class, s.Quarantined, s.Failures, s.Picks)
				}
				for f, n := range s.Failures {
					if wasmhost.Failure(f) != class && n > 0 {
						t.Errorf("%d failures by %v, want them by %v", n, wasmhost.Failure(f), class)
					}
				}
				t.Logf("slowest pick %v", slowest)
			})
		}
	}
	for _, name := range harmless {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, h, name)
			v.picker = build(t, v.Policy, v.table)
			t.Logf("slowest pick %v", v.serve(200))
		})
	}
	for _, name := range forgetful {
		t.Run(name, func(t *testing.T) {
			old, heir := newVictim(t, h, name), newVictim(t, h, name)
			old.picker = build(t, old.Policy, old.table)
			old.serve(5)
			heir.Succeed(old.Policy)
			heir.picker = build(t, heir.Policy, heir.table)
			heir.serve(20)
			if s := heir.Stats(); s.Quarantined || s.Picks[wasmhost.Chosen] == 0 || s.Failures != [wasmhost.NumFailures]uint64{} {
				t.Errorf("the new version suffers for the old: %+v", s)
			}
		})
	}
}

// TestMalformedModulesAreRefused: the first twelve end the process in wazero, by claims of 4 G items.
func TestMalformedModulesAreRefused(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	claim := func(id byte, before ...byte) []byte { return fueltest.Section(id, append(before, huge...)) }
	typ, fn := fueltest.Section(1, []byte{1, 0x60, 0, 0}), fueltest.Section(3, []byte{1, 0})
	bomb := func(name string, size, funcs int) []byte {
		for _, s := range fueltest.Shapes() {
			if s.Name == name {
				return s.Module(size, funcs)
			}
		}
		t.Fatalf("no shape %q", name)
		return nil
	}
	h := newHost(t)
	for name, c := range map[string]struct {
		module []byte
		step   wasmhost.Step
		want   string
	}{
		"4 G types":             {fueltest.Wasm(claim(1)), wasmhost.StepParse, "4294967295 types claimed"},
		"4 G parameters":        {fueltest.Wasm(claim(1, 1, 0x60)), wasmhost.StepParse, "4294967295 parameters claimed"},
		"4 G imports":           {fueltest.Wasm(claim(2)), wasmhost.StepParse, "4294967295 imports claimed"},
		"4 G functions":         {fueltest.Wasm(typ, claim(3)), wasmhost.StepParse, "4294967295 functions claimed"},
		"4 G tables":            {fueltest.Wasm(claim(4)), wasmhost.StepParse, "4294967295 tables claimed"},
		"4 G globals":           {fueltest.Wasm(claim(6)), wasmhost.StepParse, "4294967295 globals claimed"},
		"4 G exports":           {fueltest.Wasm(claim(7)), wasmhost.StepParse, "4294967295 exports claimed"},
		"4 G element segments":  {fueltest.Wasm(claim(9)), wasmhost.StepParse, "4294967295 element segments claimed"},
		"4 G bodies":            {fueltest.Wasm(typ, fn, claim(10)), wasmhost.StepParse, "4294967295 bodies claimed"},
		"4 G locals":            {fueltest.Wasm(typ, fn, fueltest.Section(10, append(append([]byte{1, 8, 1}, huge...), 0x7f, 0x0b))), wasmhost.StepVet, "more than 256 locals"},
		"4 G data segments":     {fueltest.Wasm(claim(11)), wasmhost.StepParse, "4294967295 data segments claimed"},
		"4 GiB of memory":       {fueltest.Wasm(claim(5, 1, 0)), wasmhost.StepVet, "memory of 4294967295 pages"},
		"a component":           {[]byte("\x00asm\x0d\x00\x01\x00"), wasmhost.StepVet, "component"},
		"two memories":          {fueltest.Wasm(fueltest.Section(5, []byte{2, 0, 1, 0, 1})), wasmhost.StepVet, "2 memories"},
		"an unknown section":    {fueltest.Wasm(fueltest.Section(14, nil)), wasmhost.StepVet, "unknown section 14"},
		"a refuelling body":     {(&fueltest.Module{Types: []fueltest.Type{{}}, Funcs: []fueltest.Func{{Code: []byte{0x42, 0x7f, 0x24, 0}}}}).Bytes(), wasmhost.StepParse, "global index 0, want less than 0"},
		"a body of wrong types": {(&fueltest.Module{Types: []fueltest.Type{{}}, Funcs: []fueltest.Func{{Code: []byte{0x41, 0, 0x42, 0, 0x6a, 0x1a}}}}).Bytes(), wasmhost.StepCompile, "type mismatch"},
		"many branches":         {bomb("branches to one block", 9_000, 15), wasmhost.StepVet, "too long to compile"},
		"loops in loops":        {bomb("nested loops that set", 400, 20), wasmhost.StepVet, "too long to compile"},
		"values in values":      {bomb("calls of 200 values", 10_000, 1), wasmhost.StepVet, "to compile"},
		"globals after calls":   {bomb("calls, 1000 globals", 10_000, 10), wasmhost.StepVet, "to compile"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := h.Load(t.Context(), c.module, wasmhost.Options{Name: name})
			var e *wasmhost.StepError
			if m != nil || !errors.As(err, &e) || e.Step != c.step || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Load: %v, want step %s: %s", err, c.step, c.want)
			}
		})
	}
}

// TestHostileGuestsAreBuiltFromTheirSource: each is in one of the tables, and is what build.sh makes, where wat2wasm is.
func TestHostileGuestsAreBuiltFromTheirSource(t *testing.T) {
	var known []string
	for name := range refused {
		known = append(known, name)
	}
	for _, names := range contained {
		known = append(known, names...)
	}
	known = append(append(known, harmless...), forgetful...)
	slices.Sort(known)
	var there []string
	sources, err := filepath.Glob("testdata/hostile/*.wat")
	if err != nil {
		t.Fatal(err)
	}
	tool, missing := exec.LookPath("wat2wasm")
	for _, src := range sources {
		name := strings.TrimSuffix(filepath.Base(src), ".wat")
		there = append(there, name)
		committed := hostile(t, name)
		if missing != nil {
			continue
		}
		out := filepath.Join(t.TempDir(), name+".wasm")
		if msg, err := exec.CommandContext(t.Context(), tool, src, "-o", out).CombinedOutput(); err != nil {
			t.Fatalf("wat2wasm %s: %v\n%s", src, err, msg)
		}
		if built, err := os.ReadFile(out); err != nil || !slices.Equal(built, committed) {
			t.Errorf("%s: the committed module is another (%v)", name, err)
		}
	}
	if slices.Sort(there); !slices.Equal(there, known) {
		t.Errorf("sources:\n%v\nin the tables:\n%v", there, known)
	}
}
