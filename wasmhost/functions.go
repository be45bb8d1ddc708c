package wasmhost

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost/fuel"
)

// Names of what guests may import.
const (
	hostModule  = "lb"
	abortModule = "env" // AssemblyScript's
	abortName   = "abort"
)

var abortType = fuel.Sig(types{i32, i32, i32, i32}, nil)

// Results of host functions below 0.
const (
	notFound = -1
	badID    = -2
	notNow   = -3 // not in this phase
	tooMany  = -4
)

// status is a negative result as it stands on the stack.
func status(wide bool, s int32) uint64 {
	if wide {
		return uint64(int64(s))
	}
	return uint64(uint32(s))
}

func fail(s int32) uint64 { return status(false, s) }

// hostFunction is one function of module lb. do finds the parameters on the stack and leaves the result at stack[0].
type hostFunction struct {
	name   string
	typ    fuel.FuncType
	phases phases
	do     func(c *callContext, stack []uint64)
}

// maxHeaders is how many header names a guest may intern, and maxHeaderName how long they may be.
const (
	maxHeaders    = 64
	maxHeaderName = 256
)

var hostFunctions = []hostFunction{
	{"log", fuel.Sig(types{i32, i32, i32}, nil), anywhere, func(c *callContext, s []uint64) {
		c.in.log(int32(s[0]), c.read(s[1], s[2]))
	}},
	{"attr", fuel.Sig(types{i32, i32, i32}, types{i32}), duringPick, func(c *callContext, s []uint64) {
		switch a := policies.Attr(uint32(s[0])); {
		case s[0]&none < uint64(policies.AttrPath) || s[0]&none >= uint64(policies.NumAttrs):
			s[0] = fail(badID)
		case a == policies.AttrCluster:
			s[0] = write(c, s[1], s[2], c.in.cluster)
		case c.req.Attrs == nil:
			s[0] = fail(notFound)
		default:
			s[0] = write(c, s[1], s[2], c.req.Attrs.Attr(a))
		}
	}},
	{"header_id", fuel.Sig(types{i32, i32}, types{i32}), duringInit, func(c *callContext, s []uint64) {
		s[0] = c.in.headerID(c.read(s[0], s[1]))
	}},
	{"header", fuel.Sig(types{i32, i32, i32}, types{i32}), duringPick, func(c *callContext, s []uint64) {
		if b, code := c.header(s[0]); code != 0 {
			s[0] = fail(code)
		} else {
			s[0] = write(c, s[1], s[2], b)
		}
	}},
	{"header_hash", fuel.Sig(types{i32, i64}, types{i64}), duringPick, func(c *callContext, s []uint64) {
		if b, code := c.header(s[0]); code != 0 {
			s[0] = 0
		} else {
			c.charge(uint64(len(b)) >> hostByteShift)
			s[0] = c.hash(b, s[1])
		}
	}},
	{"header_eq", fuel.Sig(types{i32, i32, i32}, types{i32}), duringPick, func(c *callContext, s []uint64) {
		want := c.read(s[1], s[2])
		switch b, code := c.header(s[0]); {
		case code == badID:
			s[0] = fail(badID)
		case code == 0 && bytes.Equal(b, want):
			s[0] = 1
		default:
			s[0] = 0
		}
	}},
	{"cookie_hash", fuel.Sig(types{i32, i32, i64}, types{i64}), duringPick, func(c *callContext, s []uint64) {
		name := c.read(s[0], s[1])
		s[0] = 0
		if c.req.Attrs != nil {
			if b, ok := c.req.Attrs.Cookie(c.in.cookieName(name)); ok {
				c.charge(uint64(len(b)) >> hostByteShift)
				s[0] = c.hash(b, s[2])
			}
		}
	}},
	{"hash64", fuel.Sig(types{i32, i32, i64}, types{i64}), outsideABI, func(c *callContext, s []uint64) {
		s[0] = c.hash(c.read(s[0], s[1]), s[2])
	}},
	{"rand64", fuel.Sig(nil, types{i64}), outsideABI, func(c *callContext, s []uint64) { s[0] = c.next() }},
	{"now_ns", fuel.Sig(nil, types{i64}), outsideABI, func(c *callContext, s []uint64) { s[0] = uint64(c.clock()) }},
	{"ep_meta", fuel.Sig(types{i32, i32, i32, i32, i32}, types{i32}), withTable, func(c *callContext, s []uint64) {
		key := c.read(s[1], s[2])
		if eps := c.in.table.Endpoints; s[0]&none >= uint64(len(eps)) {
			s[0] = fail(badID)
		} else if v, ok := metadata(eps[uint32(s[0])].Meta, key); !ok {
			s[0] = fail(notFound)
		} else {
			s[0] = write(c, s[3], s[4], v)
		}
	}},
	{"ctr_id", fuel.Sig(types{i32, i32}, types{i32}), duringInit, func(c *callContext, s []uint64) {
		s[0] = c.in.shared.counterID(c.read(s[0], s[1]))
	}},
	{"ctr_add", fuel.Sig(types{i32, i64}, types{i64}), outsideABI, func(c *callContext, s []uint64) {
		if ctr := c.in.shared.counter(uint32(s[0])); ctr == nil {
			s[0] = 0
		} else {
			s[0] = uint64(ctr.Add(int64(s[1])))
		}
	}},
	{"ctr_cas", fuel.Sig(types{i32, i64, i64}, types{i32}), outsideABI, func(c *callContext, s []uint64) {
		switch ctr := c.in.shared.counter(uint32(s[0])); {
		case ctr == nil:
			s[0] = fail(badID)
		case ctr.CompareAndSwap(int64(s[1]), int64(s[2])):
			s[0] = 1
		default:
			s[0] = 0
		}
	}},
	{"kv_get", fuel.Sig(types{i32, i32, i32, i32}, types{i32}), outsideABI, func(c *callContext, s []uint64) {
		key := c.read(s[0], s[1])
		s[0] = c.in.shared.kv.read(key, c.clock(), func(v []byte) uint64 { return write(c, s[2], s[3], v) })
	}},
	{"kv_set", fuel.Sig(types{i32, i32, i32, i32, i32}, types{i32}), outsideABI, func(c *callContext, s []uint64) {
		key, value := c.read(s[0], s[1]), c.read(s[2], s[3])
		s[0] = c.in.shared.kv.set(key, value, c.clock(), int32(s[4]))
	}},
	{"set_tick", fuel.Sig(types{i32}, types{i32}), duringInit, func(c *callContext, s []uint64) {
		s[0] = c.in.setTick(uint32(s[0]))
	}},
	{"eject", fuel.Sig(types{i32, i32}, types{i32}), outsideABI, func(c *callContext, s []uint64) {
		s[0] = c.in.eject(uint32(s[0]), uint32(s[1]))
	}},
	{"metric_id", fuel.Sig(types{i32, i32, i32}, types{i32}), duringInit, func(c *callContext, s []uint64) {
		s[0] = c.in.shared.seriesID(uint32(s[0]), c.read(s[1], s[2]))
	}},
	{"metric_add", fuel.Sig(types{i32, i64}, nil), outsideABI, func(c *callContext, s []uint64) {
		c.in.shared.addSeries(uint32(s[0]), int64(s[1]))
	}},
}

// leastTick is the shortest time between calls of lb_tick, in milliseconds.
const leastTick = 100

func (in *instance) setTick(ms uint32) uint64 {
	if in.mod.ExportedFunction("lb_tick") == nil {
		return fail(notFound)
	}
	in.tickEvery = int64(max(ms, leastTick)) * 1e6
	in.tickAt = in.module.options.Now() + in.tickEvery
	return 0
}

// eject takes endpoint i out for ms milliseconds. Where the guest acts on nothing it is told that it did.
func (in *instance) eject(i, ms uint32) uint64 {
	switch {
	case in.table == nil || uint64(i) >= uint64(len(in.table.Endpoints)):
		return fail(badID)
	case in.inert || in.table.Ejector == nil || in.table.Ejector.Eject(int(i), time.Duration(ms)*time.Millisecond):
		return 0
	}
	return fail(tooMany)
}

// header returns the value of the header with the guest's id, or why there is none.
func (c *callContext) header(id uint64) (value []byte, code int32) {
	names := c.in.headers
	if id &= none; id >= uint64(len(names)) {
		return nil, badID
	}
	if c.req.Attrs == nil {
		return nil, notFound
	}
	b, ok := c.req.Attrs.Header(names[id])
	if !ok {
		return nil, notFound
	}
	return b, 0
}

func (in *instance) headerID(name []byte) uint64 {
	if len(name) == 0 || len(name) > maxHeaderName {
		return fail(badID)
	}
	lower := string(bytes.ToLower(name))
	for i, n := range in.headers {
		if n == lower {
			return uint64(i)
		}
	}
	if len(in.headers) == maxHeaders {
		return fail(tooMany)
	}
	in.headers = append(in.headers, lower)
	return uint64(len(in.headers) - 1)
}

// cookieName returns name as a string, without making one for a cookie that the guest asks for time and again.
func (in *instance) cookieName(name []byte) string {
	s, ok := in.cookies[string(name)]
	if !ok {
		s = string(name)
		if len(in.cookies) < maxHeaders && len(s) <= maxHeaderName {
			in.cookies[s] = s
		}
	}
	return s
}

// metadata finds key in pairs, which are sorted.
func metadata(pairs []policies.Pair, key []byte) (string, bool) {
	i := sort.Search(len(pairs), func(i int) bool { return pairs[i].Key >= string(key) })
	if i < len(pairs) && pairs[i].Key == string(key) {
		return pairs[i].Value, true
	}
	return "", false
}

// exportHostFunctions gives rt what its guests may import. WithGoModuleFunction is the form without reflection.
func exportHostFunctions(ctx context.Context, rt wazero.Runtime) error {
	if err := exportFunctions(ctx, rt, hostModule, hostFunctions); err != nil {
		return err
	}
	abort := func(_ context.Context, _ api.Module, stack []uint64) {
		panic(trap(fmt.Sprintf("the guest called abort, line %d, column %d", uint32(stack[2]), uint32(stack[3]))))
	}
	if _, err := rt.NewHostModuleBuilder(abortModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(abort), []api.ValueType(abortType.Params), nil).Export(abortName).Instantiate(ctx); err != nil {
		return err
	}
	return exportFunctions(ctx, rt, wasiModule, wasiFunctions[:])
}

func exportFunctions(ctx context.Context, rt wazero.Runtime, module string, functions []hostFunction) error {
	b := rt.NewHostModuleBuilder(module)
	for i := range functions {
		f := &functions[i]
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			f.call(ctx.(*callContext), mod, stack)
		}), []api.ValueType(f.typ.Params), []api.ValueType(f.typ.Results)).Export(f.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}
