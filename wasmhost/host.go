// Package wasmhost runs load-balancing policies that are WebAssembly modules. It is the only home of wazero.
//
// [Host.Load] vets a module, makes it count its fuel, compiles it and tries it out; what it returns is a [Module].
// [Module.NewPolicy] makes of it the policy of one cluster, which the rest of the gateway knows as a policies.Policy
// and policies.Failover. A guest may be wrong: whatever it answers is checked, whatever it does is bounded, and where
// it fails a native policy answers in its place, in the same request.
//
// The contract between host and guest is the ABI, version 1, in docs/ABI.md.
package wasmhost

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// HostOptions say how a [Host] runs modules. The zero value is good.
type HostOptions struct {
	// CacheDir keeps native code between runs of the process; "" keeps none. It is made with mode 0700, and whoever
	// can write to it can run code in this process.
	CacheDir string
	// Interpret does without native code, about 50 times slower. It is for hosts that deny executable memory (where it
	// is chosen by itself) and for comparing.
	Interpret bool
	// Log gets what guests log, and what happens to them. nil: slog.Default().
	Log *slog.Logger
	// Events hears what happens to policies; nil: nobody does. It is called where a guest failed or recovered, with locks
	// held: it must not block and not call back.
	Events func(Event)
}

// Names of engines.
const (
	EngineCompiler    = "compiler"
	EngineInterpreter = "interpreter"
)

// Host compiles and runs modules.
type Host struct {
	engine string
	cache  wazero.CompilationCache // nil: none
	folder string                  // of cache
	log    *slog.Logger
	events func(Event)

	compile  sync.Mutex // held while compiling: one module at a time
	mu       sync.Mutex
	runtimes map[limits]wazero.Runtime
	closed   bool
}

// features is WebAssembly 2.0 without vectors.
const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// NewHost returns a host without modules. Close it after all policies.
func NewHost(o HostOptions) (*Host, error) {
	h := &Host{engine: EngineCompiler, log: o.Log, events: o.Events, runtimes: map[limits]wazero.Runtime{}}
	if h.log == nil {
		h.log = slog.Default()
	}
	if o.CacheDir != "" {
		if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
			return nil, fmt.Errorf("native-code cache: %w", err)
		}
		c, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("native-code cache: %w", err)
		}
		h.cache, h.folder = c, o.CacheDir
	}
	if o.Interpret {
		h.engine = EngineInterpreter
	} else if err := tryCompiler(); err != nil {
		h.engine = EngineInterpreter
		h.log.Warn("policies are interpreted, about 50 times slower than compiled", "err", err)
	}
	return h, nil
}

// tryCompiler runs a small module as native code: some platforms have no compiler, and some hosts deny executable memory.
func tryCompiler() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features))
	defer rt.Close(ctx)
	// (module (func (export "f")))
	m, err := rt.Instantiate(ctx, []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x05\x01\x01f\x00\x00\x0a\x04\x01\x02\x00\x0b"))
	if err != nil {
		return err
	}
	_, err = m.ExportedFunction("f").Call(ctx)
	return err
}

// Engine returns EngineCompiler or EngineInterpreter.
func (h *Host) Engine() string { return h.engine }

// limits are what the guests of one runtime have in common.
type limits struct {
	pages  uint32 // most memory
	cached bool   // their native code is kept
}

// runtime returns the runtime whose guests have these limits.
func (h *Host) runtime(l limits) (wazero.Runtime, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("the host is closed")
	}
	if rt := h.runtimes[l]; rt != nil {
		return rt, nil
	}
	config := wazero.NewRuntimeConfigCompiler()
	if h.engine == EngineInterpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.WithCoreFeatures(features).WithMemoryLimitPages(l.pages)
	if l.cached {
		config = config.WithCompilationCache(h.cache)
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	if err := exportHostFunctions(ctx, rt); err != nil {
		return nil, fmt.Errorf("host functions: %w", err)
	}
	h.runtimes[l] = rt
	return rt, nil
}

// Close releases everything. No policy of the host may be in use.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	var first error
	for l, rt := range h.runtimes {
		if err := rt.Close(context.Background()); err != nil && first == nil {
			first = err
		}
		delete(h.runtimes, l)
	}
	if h.cache != nil {
		if err := h.cache.Close(context.Background()); err != nil && first == nil {
			first = err
		}
		h.cache = nil
	}
	return first
}
