package policies_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// floor is the picker that every other is measured against: what the benchmark itself costs.
type floor struct{}

func (floor) Build(*policies.Table) (policies.Picker, error) { return floor{}, nil }
func (floor) Pick(_ *policies.Request, v *policies.View) int { return int(v.Up[0]) }

func BenchmarkPick(b *testing.B) {
	subjects := []struct {
		name   string
		policy policies.Policy
	}{{"null", floor{}}}
	for _, name := range policies.Names() {
		subjects = append(subjects, struct {
			name   string
			policy policies.Policy
		}{name, named(b, name)})
	}
	for _, s := range subjects {
		for _, n := range []int{3, 16, 64, 256, 1000} {
			b.Run(fmt.Sprintf("%s/endpoints=%d", s.name, n), func(b *testing.B) {
				table, v := working(s.policy, n)
				p, err := s.policy.Build(table)
				if err != nil {
					b.Fatal(err)
				}
				r := policytest.Request(1, 1)
				b.ReportAllocs()
				for b.Loop() {
					r.Rand += 0x9e3779b97f4a7c15
					r.KeyHash += 0xbf58476d1ce4e5b9
					p.Pick(&r, v)
				}
			})
		}
	}
}

// working is a fleet of n endpoints at work: of two weights, with requests in flight, and known to the policy.
func working(p policies.Policy, n int) (*policies.Table, *policies.View) {
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1 + 2*uint32(i%2)
	}
	table := policytest.Table(1, policytest.Weights(weights...)...)
	v := policytest.View(table, 1)
	learns, _ := p.(policies.Observer)
	for i, e := range table.Endpoints {
		e.AddInflight(int32(i*7%5 + 1))
		if learns == nil {
			continue
		}
		r := policytest.Request(1, uint64(i))
		for inflight := range uint32(8) {
			took := time.Duration(10+i%7) * time.Millisecond
			learns.Observe(v, policies.Feedback{
				Outcome: policies.Outcome{Endpoint: i, FirstByte: took, Total: took, Load: -1}, Now: r.Now, Num: e.Num, Inflight: inflight, Final: true,
			})
		}
	}
	return table, v
}
