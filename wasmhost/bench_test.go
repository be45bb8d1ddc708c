package wasmhost_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
	"github.com/weir-lb/weir/wasmhost/fuel"
)

// BenchmarkPick sets the guest p2c beside its native twin and beside a policy that does nothing.
func BenchmarkPick(b *testing.B) {
	m, err := newHost(b).Load(b.Context(), guest(b, "p2c"), wasmhost.Options{})
	if err != nil {
		b.Fatal(err)
	}
	native, ok := policies.ByName("p2c")
	if !ok {
		b.Fatal("no p2c")
	}
	for _, n := range []int{16, 64, 256, 1000} {
		tab := table(n)
		for _, e := range tab.Endpoints {
			e.Meta = nil
		}
		v, p := view(tab, 1), policy(b, m)
		for _, c := range []struct {
			name   string
			policy policies.Policy
		}{{"null", first{}}, {"native", native}, {"wasm", p}} {
			pk, err := c.policy.Build(tab)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/endpoints=%d", c.name, n), func(b *testing.B) {
				r := request(0)
				b.ReportAllocs()
				for b.Loop() {
					r.Seq++
					r.Now += 100
					r.Rand = r.Rand*6364136223846793005 + 1442695040888963407
					pk.Pick(r, v)
				}
			})
		}
		if s := p.Stats(); s.Failures != [wasmhost.NumFailures]uint64{} {
			b.Fatalf("the guest was not measured: %+v", s)
		}
	}
	b.Run("wasm/contended", func(b *testing.B) {
		tab := table(16)
		v := view(tab, 1)
		pk, err := policy(b, m).Build(tab)
		if err != nil {
			b.Fatal(err)
		}
		b.RunParallel(func(pb *testing.PB) {
			r := request(1)
			for pb.Next() {
				r.Rand = r.Rand*6364136223846793005 + 1442695040888963407
				pk.Pick(r, v)
			}
		})
	})
}

// BenchmarkMetering calls one small function of a module as it came, and metered by its entry, a thousand times each in turn:
// the median of the differences is what metering costs a call, the handing over and back of the fuel included.
func BenchmarkMetering(b *testing.B) {
	rt := wazero.NewRuntimeWithConfig(b.Context(), wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD))
	defer rt.Close(b.Context())
	m := instance(b, rt, metered(b, "measure"))
	original, entry := instance(b, rt, guest(b, "measure")).ExportedFunction("straight"), m.ExportedFunction(fuel.Entry("straight"))
	tank, ctx, left := tankOf(m), context.Background(), int64(0)
	var stack [2]uint64
	const calls = 1000
	var plain, costs []float64
	for b.Loop() {
		start := time.Now()
		for range calls {
			stack[0] = 1
			if err := original.CallWithStack(ctx, stack[:]); err != nil {
				b.Fatal(err)
			}
		}
		between := time.Now()
		for range calls {
			stack[0], stack[1] = 1, uint64(tank.Hand(fuel.Slice))
			if err := entry.CallWithStack(ctx, stack[:]); err != nil {
				b.Fatal(err)
			}
			left += tank.Rest(int64(stack[1]))
		}
		one := float64(between.Sub(start)) / calls
		plain, costs = append(plain, one), append(costs, float64(time.Since(between))/calls-one)
	}
	slices.Sort(plain)
	slices.Sort(costs)
	b.ReportMetric(plain[len(plain)/2], "ns/call")
	b.ReportMetric(costs[len(costs)/2], "ns/metering")
}
