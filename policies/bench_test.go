package policies_test

import (
	"fmt"
	"slices"
	"testing"

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
		for _, n := range []int{4, 16, 256} {
			b.Run(fmt.Sprintf("%s/endpoints=%d", s.name, n), func(b *testing.B) {
				table := policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{3, 1}, n/2)...)...)
				v := policytest.View(table, 1)
				p, err := s.policy.Build(table)
				if err != nil {
					b.Fatal(err)
				}
				r := policytest.Request(1, 1)
				b.ReportAllocs()
				for b.Loop() {
					r.Rand += 0x9e3779b97f4a7c15
					p.Pick(&r, v)
				}
			})
		}
	}
}
