package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost/fuel"
)

// instance is one guest in memory. It is not safe for concurrent use: a lock stands before it.
type instance struct {
	module  *Module
	cluster string
	shared  *shared

	mod       api.Module
	mem       api.Memory
	memSize   uint32
	tank      fuel.Tank
	alloc     api.Function
	endpoints api.Function
	pick      api.Function
	retry     api.Function // nil if the guest has none, like those below
	feedback  api.Function
	tick      api.Function
	call      callContext
	stack     [4]uint64

	flags   uint64
	columns []policies.Column // live columns wanted, health excepted
	headers []string          // by the id that the guest knows
	cookies map[string]string // names asked for, a few

	config  region
	req     region
	tab     region
	records region // of lb_feedback
	state   region // of lb_save and lb_restore
	batch   [maxRecords]record
	table   *policies.Table
	states  []*policies.State // of the table's endpoints
	cells   []*atomic.Uint32  // the live columns that are wanted, one after the other
	layout  tableLayout
	view    *policies.View // what up[] holds; views are immutable
	fresh   int64          // when the live columns were written, by the request's clock

	tickEvery, tickAt int64 // ns; tickEvery is 0 if the guest wants no tick

	line   []byte // what the guest has written of a line, and where to
	lineFD uint32
	inert  bool  // the guest acts on nothing
	broken bool  // a call trapped: the instance is of no more use
	answer int32 // to the last pick or retry
	used   int64 // fuel it took
}

func (in *instance) regions() [5]*region {
	return [...]*region{&in.req, &in.config, &in.tab, &in.records, &in.state}
}

// region is a part of guest memory that the host writes. view detaches when the memory grows: see rebind.
type region struct {
	at, size uint32
	view     []byte
}

// errFuel is why a call ended that used up its fuel.
var errFuel = errors.New("out of fuel")

// newInstance makes an instance and takes it as far as lb_init.
func (m *Module) newInstance(cluster string, sh *shared) (in *instance, err error) {
	in = &instance{module: m, cluster: cluster, shared: sh, cookies: map[string]string{}}
	in.call = callContext{in: in, rand: xxhash.Sum64String(m.options.Name) ^ xxhash.Sum64String(cluster)}
	// The module's own name is left out so that it can be there many times, and no _start is called.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := m.runtime.InstantiateModule(&in.call, m.compiled, config)
	in.endLine()
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w (a start section has %d fuel)", brief(err), m.options.Fuel.init())
	}
	in.bind(mod)
	if err := in.init(); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func (in *instance) bind(mod api.Module) {
	in.mod = mod
	in.mem = mod.Memory()
	in.memSize = in.mem.Size()
	in.tank = fuel.NewTank(mod.ExportedGlobal(fuel.Global).(api.MutableGlobal), mod.ExportedGlobal(fuel.Reserve).(api.MutableGlobal))
}

func (in *instance) close() { _ = in.mod.Close(context.Background()) }

func (in *instance) init() error {
	m := in.module
	left := in.tank.Left()
	if f := in.mod.ExportedFunction("_initialize"); f != nil {
		if err := in.invoke(f, inStart, left); err != nil {
			return fmt.Errorf("_initialize: %w", err)
		}
		left = in.tank.Left()
	}
	in.stack[0] = hostFeatures
	if err := in.invoke(in.mod.ExportedFunction("lb_abi_v1"), inABI, smallCallFuel); err != nil {
		return fmt.Errorf("lb_abi_v1: %w", err)
	}
	in.flags = in.stack[0]
	if odd := in.flags &^ knownFlags; odd != 0 {
		return fmt.Errorf("lb_abi_v1 answered 0x%x, of which this host does not know 0x%x", in.flags, odd)
	}
	for wanted := uint32(in.flags >> wantedShift); wanted != 0; wanted &= wanted - 1 {
		if c := policies.Column(bits.TrailingZeros32(wanted)); c != policies.ColHealth && c < policies.NumColumns {
			in.columns = append(in.columns, c)
		}
	}
	in.alloc = in.mod.ExportedFunction("lb_alloc")
	in.endpoints = in.mod.ExportedFunction("lb_endpoints")
	in.pick = in.mod.ExportedFunction(fuel.Entry("lb_pick"))
	in.retry = in.mod.ExportedFunction(fuel.Entry("lb_retry"))
	in.feedback = in.mod.ExportedFunction("lb_feedback")
	in.tick = in.mod.ExportedFunction("lb_tick")
	if err := in.allocate(allocRequest, requestSize, &in.req); err != nil {
		return err
	}
	if in.feedback != nil {
		if err := in.allocate(allocFeedback, maxRecords*recordSize, &in.records); err != nil {
			return err
		}
	}
	config := m.options.Config
	if len(config) > 0 {
		if err := in.allocate(allocConfig, len(config), &in.config); err != nil {
			return err
		}
		copy(in.config.view, config)
	}
	in.stack[0], in.stack[1] = uint64(in.config.at), uint64(len(config))
	if err := in.invoke(in.mod.ExportedFunction("lb_init"), inInit, left); err != nil {
		return fmt.Errorf("lb_init: %w", err)
	}
	if code := int32(in.stack[0]); code < 0 {
		return fmt.Errorf("lb_init rejects the config of %d bytes: it answered %d", len(config), code)
	}
	return nil
}

// allocate asks the guest for n bytes and makes r of them.
func (in *instance) allocate(what, n int, r *region) error {
	in.stack[0], in.stack[1] = uint64(what), uint64(n)
	if err := in.invoke(in.alloc, inABI, smallCallFuel); err != nil {
		return fmt.Errorf("lb_alloc(%d, %d): %w", what, n, err)
	}
	at := uint32(in.stack[0])
	switch end := uint64(at) + uint64(n); {
	case at == 0:
		return fmt.Errorf("lb_alloc(%d, %d) refused", what, n)
	case at%8 != 0:
		return fmt.Errorf("lb_alloc(%d, %d) answered 0x%x, want a multiple of 8", what, n, at)
	case end > uint64(in.memSize):
		return fmt.Errorf("lb_alloc(%d, %d) answered 0x%x, want %d bytes within the memory of %d", what, n, at, n, in.memSize)
	}
	for _, o := range in.regions() {
		if o != r && o.size > 0 && at < o.at+o.size && o.at < at+uint32(n) {
			return fmt.Errorf("lb_alloc(%d, %d) answered 0x%x, which overlaps the %d bytes it gave at 0x%x", what, n, at, o.size, o.at)
		}
	}
	*r = region{at: at, size: uint32(n)}
	in.rebind()
	return nil
}

// rebind takes the views of guest memory anew: they detach when it grows. Regions stay inside, for it never shrinks.
func (in *instance) rebind() {
	for _, r := range in.regions() {
		if r.size > 0 {
			r.view, _ = in.mem.Read(r.at, r.size)
		}
	}
}

// invoke calls f with what is on in.stack, and leaves its result there. After an error the instance is broken.
func (in *instance) invoke(f api.Function, ph phase, budget int64) error {
	in.tank.Fill(budget)
	return in.enter(f, ph)
}

// enter is invoke with the fuel that is there.
func (in *instance) enter(f api.Function, ph phase) error {
	in.call.phase = ph
	err := f.CallWithStack(&in.call, in.stack[:])
	in.endLine()
	if err != nil {
		in.broken = true
		return brief(err)
	}
	if size := in.mem.Size(); size != in.memSize {
		in.memSize = size
		in.rebind()
	}
	return nil
}

// setTable writes t into guest memory and calls lb_endpoints.
func (in *instance) setTable(t *policies.Table) error {
	l := layoutTable(t, in.columns)
	if l.size > maxTableSize {
		return fmt.Errorf("a table of %d bytes, want at most %d", l.size, maxTableSize)
	}
	if l.size > int(in.tab.size) {
		if err := in.allocate(allocTable, 1<<bits.Len(uint(l.size-1)), &in.tab); err != nil {
			return err
		}
	}
	in.table, in.layout, in.view = t, l, nil
	in.states = in.states[:0]
	for _, e := range t.Endpoints {
		in.states = append(in.states, e.State)
	}
	in.cells = in.cells[:0]
	for _, c := range in.columns {
		for _, s := range in.states {
			in.cells = append(in.cells, s.Cell(c))
		}
	}
	l.write(in.tab.view, t)
	l.writeColumn(in.tab.view, in.states, policies.ColHealth)
	in.writeColumns()
	in.stack[0] = uint64(in.tab.at)
	if err := in.invoke(in.endpoints, inEndpoints, in.module.options.Fuel.endpoints(len(t.Endpoints))); err != nil {
		return fmt.Errorf("lb_endpoints: %w", err)
	}
	if code := int32(in.stack[0]); code < 0 {
		return fmt.Errorf("lb_endpoints answered %d: it cannot serve a table of %d endpoints", code, len(t.Endpoints))
	}
	return nil
}

// staleAfter is how old live columns may be in a table of more than bigTable endpoints.
const (
	staleAfter = 1e6 // ns
	bigTable   = 256
)

// ask calls f, which is in.pick or in.retry, for r, and leaves its answer and the fuel that it took in in. o is how the
// attempt before ended.
func (in *instance) ask(f api.Function, r *policies.Request, v *policies.View, o *policies.Outcome) error {
	if v != in.view {
		in.layout.writeView(in.tab.view, v)
		in.layout.writeColumn(in.tab.view, in.states, policies.ColHealth)
		in.view, in.fresh = v, r.Now-staleAfter
	}
	if len(in.columns) > 0 && (len(in.states) <= bigTable || r.Now-in.fresh >= staleAfter || r.Now < in.fresh) {
		in.writeColumns()
		in.fresh = r.Now
	}
	writeRequest(in.req.view, r, v, o)
	in.call.req, in.call.now, in.call.rand = r, r.Now, r.Rand
	budget := in.module.pickFuel
	in.stack[0], in.stack[1] = uint64(in.req.at), uint64(in.tank.Hand(budget))
	err := in.enter(f, inPick)
	in.call.req = nil
	if err != nil {
		in.used = budget - in.tank.Left()
		return err
	}
	in.answer, in.used = int32(in.stack[0]), budget-in.tank.Rest(int64(in.stack[1]))
	return nil
}

// writeColumns rewrites the live columns that the guest wants.
func (in *instance) writeColumns() {
	cells, n := in.cells, len(in.states)
	for _, c := range in.columns {
		column := in.tab.view[in.layout.cols[c]:][:4*n]
		of := cells[:n]
		for ; len(of) >= 4 && len(column) >= 16; of, column = of[4:], column[16:] { // half as long as one at a time
			le.PutUint64(column, uint64(of[0].Load())|uint64(of[1].Load())<<32)
			le.PutUint64(column[8:], uint64(of[2].Load())|uint64(of[3].Load())<<32)
		}
		for i, cell := range of {
			le.PutUint32(column[4*i:], cell.Load())
		}
		cells = cells[n:]
	}
}

// endLine logs what the guest has written of a line.
func (in *instance) endLine() {
	if len(in.line) > 0 {
		in.logLine()
	}
}

func (in *instance) logLine() {
	in.log(int32(in.lineFD), in.line) // 1 info, 2 warn
	in.line = in.line[:0]
}

var logLevels = [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func (in *instance) log(level int32, line []byte) {
	dropped, ok := in.shared.mayLog()
	if !ok {
		return
	}
	text := strings.TrimRight(strings.ToValidUTF8(string(line[:min(len(line), maxLogLine)]), "�"), "\r\n")
	args := []any{"cluster", in.cluster}
	if dropped > 0 {
		args = append(args, "dropped", dropped)
	}
	in.shared.log.Log(context.Background(), logLevels[min(uint32(level), uint32(len(logLevels)-1))], text, args...)
}
