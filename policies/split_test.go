package policies_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// zoned returns n endpoints a zone, of which zones[k] are the names; the gateway is in zone "a".
func zoned(n ...int) *policies.Table {
	t := &policies.Table{Gen: 1, Zones: []string{"", "a", "b", "c"}, SelfZone: 1}
	for z, count := range n {
		for range count {
			t.Endpoints = append(t.Endpoints, &policies.Endpoint{Weight: 1, Zone: uint16(z + 1), State: policies.NewState(policies.Up)})
		}
	}
	return t
}

func tiered(n ...int) *policies.Table {
	var all []policies.Endpoint
	for tier, count := range n {
		for range count {
			all = append(all, policies.Endpoint{Weight: 2, Tier: uint8(tier)})
		}
	}
	return policytest.Table(1, all...)
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name  string
		split policies.Split
		table *policies.Table
		down  []int
		want  map[string]float64 // by what a part has up: its share
		panic bool
	}{
		{"nothing is divided by default", policies.Split{}, tiered(2, 2), []int{0}, nil, false},
		{"a healthy first tier keeps everything", policies.Split{Overprovision: 1.4}, tiered(2, 2), nil, nil, false},
		{"half of it spills by degrees", policies.Split{Overprovision: 1.4}, tiered(2, 2), []int{0}, map[string]float64{"1": 0.7, "2 3": 0.3}, false},
		{"a dead one hands on everything", policies.Split{Overprovision: 1.4}, tiered(2, 2), []int{0, 1}, map[string]float64{"2 3": 1}, false},
		{"few of all is panic", policies.Split{PanicBelow: 0.5}, tiered(4), []int{0, 1, 2}, map[string]float64{"0 1 2 3": 1}, true},
		{"enough of all is none", policies.Split{PanicBelow: 0.5}, tiered(4), []int{0, 1}, nil, false},
		{"panic goes by tier where tiers share", policies.Split{Overprovision: 1.4, PanicBelow: 0.5}, tiered(4, 4), []int{0, 1, 2, 4, 5, 6}, map[string]float64{"0 1 2 3": 0.5, "4 5 6 7": 0.5}, true},
		{"equal zones keep to themselves", policies.Split{OwnZone: true}, zoned(2, 2), nil, map[string]float64{"0 1": 1}, false},
		{"a zone that lost one hands on the rest", policies.Split{OwnZone: true}, zoned(2, 2), []int{0}, map[string]float64{"1": 2. / 3, "2 3": 1. / 3}, false},
		{"a zone with nothing up uses all", policies.Split{OwnZone: true}, zoned(2, 2), []int{0, 1}, nil, false},
		{"few endpoints are not divided", policies.Split{OwnZone: true, ZoneMinimum: 6}, zoned(2, 2), nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := policytest.View(c.table, 1, c.down...)
			gen := uint32(1)
			c.split.Apply(v, func() uint32 { gen++; return gen })
			if len(v.Parts) != len(c.want) {
				t.Fatalf("%d parts, want %d: %+v", len(v.Parts), len(c.want), v.Parts)
			}
			from := -1.0
			for i, p := range v.Parts {
				up := slices.Clone(p.View.Up)
				slices.Sort(up)
				var name strings.Builder
				for k, e := range up {
					if k > 0 {
						name.WriteString(" ")
					}
					name.WriteString(string(rune('0' + e)))
				}
				share := (float64(p.Upto) - from) / math.Pow(2, 32)
				from = float64(p.Upto)
				want, ok := c.want[name.String()]
				if !ok || math.Abs(share-want) > 1e-6 {
					t.Errorf("part %d has %q up and gets %.4f, want one of %v", i, name.String(), share, c.want)
				}
				if p.View.Panic != c.panic {
					t.Errorf("part %d: panic %v", i, p.View.Panic)
				}
				if p.View.Gen <= v.Gen {
					t.Errorf("part %d has the number of another view", i)
				}
			}
			if n := len(v.Parts); n > 0 && v.Parts[n-1].Upto != math.MaxUint32 {
				t.Error("some requests belong to no part")
			}
			if got := v.For(0); len(v.Parts) > 0 && got != v.Parts[0].View || len(v.Parts) == 0 && got != v {
				t.Error("For(0) is another view")
			}
		})
	}
}
