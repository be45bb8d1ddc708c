package wasmhost_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/wasmhost/fuel"
	"github.com/weir-lb/weir/wasmhost/fuel/fueltest"
)

// compileOnly in the environment makes this process compile the module on its standard input, and say what it took.
const compileOnly = "WEIR_TEST_COMPILE"

func compileStdin() {
	module, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD))
	if _, err := rt.CompileModule(ctx, module); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	took := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	status, _ := os.ReadFile("/proc/self/status") // where there is none, 0 MiB are reported
	peak := 0
	if _, rest, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
		_, _ = fmt.Sscan(string(rest), &peak)
	}
	fmt.Println(took.Milliseconds(), peak>>10)
	os.Exit(0)
}

// bomb is a module that passes, and what it does to the compiler.
type bomb struct {
	shape       string
	size, funcs int
	bytes       int
	took        time.Duration
	mebibytes   int
	err         string
}

// compileApart compiles in another process, whose memory can be told.
func compileApart(tb testing.TB, module []byte) (took time.Duration, mebibytes int, err error) {
	ctx, cancel := context.WithTimeout(tb.Context(), 12*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), compileOnly+"=1")
	c.Stdin = bytes.NewReader(module)
	out, err := c.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %.300s", err, out)
	}
	var ms int64
	_, err = fmt.Sscan(string(out), &ms, &mebibytes)
	return time.Duration(ms) * time.Millisecond, mebibytes, err
}

// largest returns the largest n up to limit that ok holds for, if it holds for all below. It asks for little more than
// that: modules that are far too big take all memory.
func largest(limit int, ok func(n int) bool) int {
	over := 1
	for over <= limit && ok(over) {
		over *= 2
	}
	low := over / 2
	return low + sort.Search(min(over, limit+1)-low-1, func(n int) bool { return !ok(low + n + 1) })
}

// worst returns, of a shape, the modules that are just accepted: from few big functions to many small ones.
func worst(s fueltest.Shape, l fuel.Limits) (all []bomb, modules [][]byte) {
	accepted := func(size, funcs int) *fuel.Metered {
		m, err := fuel.Meter(s.Module(size, funcs), l)
		if err != nil {
			return nil
		}
		return m
	}
	most := largest(4<<20, func(n int) bool { return accepted(n, 1) != nil })
	for size := most; size > 0 && len(all) < 4; size /= 12 {
		funcs := largest(fuel.MaxFuncs, func(n int) bool { return accepted(size, n) != nil })
		m := accepted(size, funcs)
		if m == nil {
			continue
		}
		all = append(all, bomb{shape: s.Name, size: size, funcs: funcs, bytes: len(s.Module(size, funcs))})
		modules = append(modules, m.Bytes)
	}
	return all, modules
}

// BenchmarkCompileBombs prints what the worst modules that pass take to compile. WEIR_SHAPES is a pattern of shapes.
func BenchmarkCompileBombs(b *testing.B) {
	pattern := regexp.MustCompile(os.Getenv("WEIR_SHAPES"))
	for _, large := range []bool{false, true} {
		b.Run(fmt.Sprintf("large=%t", large), func(b *testing.B) {
			l := fuel.Limits{MemoryPages: 64, Start: 1000, Large: large}
			for range b.N {
				for _, s := range fueltest.Shapes() {
					if !pattern.MatchString(s.Name) {
						continue
					}
					bombs, modules := worst(s, l)
					for i, c := range bombs {
						var err error
						if c.took, c.mebibytes, err = compileApart(b, modules[i]); err != nil {
							c.err = err.Error()
						}
						fmt.Printf("%-36s size %7d x %5d functions, %7d bytes: %6d ms %5d MiB %s\n", c.shape, c.size, c.funcs, c.bytes, c.took.Milliseconds(), c.mebibytes, c.err)
					}
				}
			}
		})
	}
}
