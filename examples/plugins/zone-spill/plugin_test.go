package zonespill_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "zone-spill", "") }

// Without zones it is p2c.
func TestLaws(t *testing.T) { policytest.Run(t, build, policytest.Options{Shares: policytest.ByLoad}) }

// With zones the other ones may get nothing at all.
func TestLawsWithZones(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.Unclaimed, Shape: func(i int, e *policies.Endpoint) {
		if e.Zone = uint16(1 + i%3); e.Zone == 1 {
			e.Flags |= policies.SameZone
		}
	}})
}

func TestAllocations(t *testing.T) {
	policytest.NoAllocations(t, build, policytest.Options{Shares: policytest.ByLoad})
}

// zones is a table of own endpoints in the own zone, and others, of a weight each.
func zones(own, others int, weight uint32) *policies.Table {
	endpoints := make([]policies.Endpoint, own+others)
	for i := range endpoints {
		endpoints[i] = policies.Endpoint{Weight: weight, Zone: 2}
		if i < own {
			endpoints[i].Zone, endpoints[i].Flags = 1, policies.SameZone
		}
	}
	return policytest.Table(1, endpoints...)
}

// picks counts picks in v.
func picks(t *testing.T, config string, v *policies.View, requests int, request func(r *policies.Request)) (count []float64) {
	t.Helper()
	p, err := plugintest.Policy(t, "zone-spill", config).Build(v.Table)
	if err != nil {
		t.Fatal(err)
	}
	count = make([]float64, len(v.Table.Endpoints))
	for seq := range uint64(requests) {
		r := policytest.Request(5, seq)
		if request != nil {
			request(&r)
		}
		if i := p.Pick(&r, v); i >= 0 {
			count[i]++
		}
	}
	return count
}

// TestShareThatSpills holds the graded spill: what is above the ceiling, or above the others' load if that is higher.
func TestShareThatSpills(t *testing.T) {
	const requests = 10_000
	const bound = 0.02 // of a share: four times sqrt(0.25/requests)
	for _, c := range []struct {
		config      string
		weight      uint32
		own, others int32 // requests in flight at each endpoint
		want        float64
	}{
		{"", 1, 0, 0, 0},
		{"", 1, 8, 0, 0},
		{"", 1, 9, 0, 1 - 8./9},
		{"", 1, 16, 0, 0.5},
		{"", 1, 16, 4, 0.5},
		{"", 1, 16, 12, 0.25},
		{"", 1, 16, 16, 0},
		{"", 1, 16, 99, 0},
		{"", 1, 800, 0, 0.99},
		{"", 100, 16, 0, 0.5}, // weights are relative: equal ones change nothing
		{`{"spill_at_inflight": 2}`, 1, 4, 0, 0.5},
		{`{"spill_at_inflight": 0}`, 1, 1, 0, 1},
		{`{"spill_at_inflight": 0.5}`, 1, 1, 0, 0.5},
		{`{"max_spill_percent": 30}`, 1, 16, 0, 0.3},
		{`{"max_spill_percent": 0}`, 1, 1000, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s_weight_%d_own_%d_others_%d", c.config, c.weight, c.own, c.others), func(t *testing.T) {
			table := zones(3, 5, c.weight)
			for i, e := range table.Endpoints {
				if i < 3 {
					e.AddInflight(c.own)
				} else {
					e.AddInflight(c.others)
				}
			}
			count := picks(t, c.config, policytest.View(table, 1), requests, nil)
			spilled := 0.0
			for _, n := range count[3:] {
				spilled += n / requests
			}
			if math.Abs(spilled-c.want) > bound {
				t.Errorf("%.4f of the requests spilled, want %.4f +- %g", spilled, c.want, bound)
			}
		})
	}
}

func TestTheOwnZone(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		table  *policies.Table
		down   []int
		tried  []uint32
		want   []int // those that get requests
	}{
		{"serves_alone_while_it_can", "", zones(2, 2, 1), nil, nil, []int{0, 1}},
		{"serves_with_what_is_left_of_it", "", zones(2, 2, 1), []int{0}, nil, []int{1}},
		{"leaves_all_to_the_others_if_nothing_is_left_of_it", `{"max_spill_percent": 0}`, zones(2, 2, 1), []int{0, 1}, nil, []int{2, 3}},
		{"leaves_retries_to_the_others_if_all_of_it_was_tried", "", zones(2, 2, 1), nil, []uint32{0, 1}, []int{2, 3}},
		{"serves_first_in_a_retry_as_well", "", zones(2, 2, 1), nil, []uint32{1}, []int{0}},
		{"serves_if_there_is_no_other", "", zones(3, 0, 1), nil, nil, []int{0, 1, 2}},
		{"serves_if_all_others_are_down", `{"spill_at_inflight": 0}`, busy(zones(1, 2, 1)), []int{1, 2}, nil, []int{0}},
		{"is_not_known_without_a_zone", "", zones(0, 3, 1), nil, nil, []int{0, 1, 2}},
		{"does_not_serve_from_a_worse_tier", "", tiered(zones(2, 2, 1)), nil, nil, []int{2, 3}},
		{"serves_from_a_worse_tier_when_the_better_is_gone", "", tiered(zones(2, 2, 1)), []int{2, 3}, nil, []int{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			count := picks(t, c.config, policytest.View(c.table, 1, c.down...), 400, func(r *policies.Request) {
				for _, i := range c.tried {
					r.MarkTried(i)
				}
			})
			for i, n := range count {
				wanted := false
				for _, w := range c.want {
					wanted = wanted || w == i
				}
				if wanted != (n > 0) {
					t.Fatalf("requests went to %v, want them at %v", count, c.want)
				}
			}
		})
	}
}

// busy has a request in flight everywhere.
func busy(t *policies.Table) *policies.Table {
	for _, e := range t.Endpoints {
		e.AddInflight(1)
	}
	return t
}

// tiered puts the own zone in a worse tier than the others.
func tiered(t *policies.Table) *policies.Table {
	for _, e := range t.Endpoints {
		if e.Flags&policies.SameZone != 0 {
			e.Tier = 1
		}
	}
	return t
}

// TestAnOverloadSpreadsByDegrees raises the rate of requests that take 100 ms at two own endpoints and two others.
func TestAnOverloadSpreadsByDegrees(t *testing.T) {
	var before float64
	for _, c := range []struct {
		rate     float64 // a second; 160 are 8 in flight at each of two
		min, max float64 // share that spills
	}{{100, 0, 0.01}, {160, 0, 0.25}, {240, 0.1, 0.4}, {480, 0.3, 0.42}, {2000, 0.35, 0.42}} {
		x := plugintest.NewTraffic(t, "zone-spill", "", zones(2, 2, 1))
		requests := int(c.rate * 20)
		spilled := 0
		for range requests {
			x.Run(time.Duration(x.Rand.ExpFloat64() / c.rate * float64(time.Second)))
			if x.Send(func(a *plugintest.Attempt) { a.Takes = 100 * time.Millisecond }).Endpoint >= 2 {
				spilled++
			}
		}
		share := float64(spilled) / float64(requests)
		if share < c.min || share > c.max || share < before-0.02 {
			t.Errorf("%.3f of the requests spilled at %g a second (%.3f at the rate before), want %g to %g, and more at a higher rate",
				share, c.rate, before, c.min, c.max)
		}
		before = share
	}
}

// TestWeightsShareAZone holds that within a zone requests go by weight and load.
func TestWeightsShareAZone(t *testing.T) {
	table := zones(3, 3, 1)
	table.Endpoints[1].Weight = 4
	count := picks(t, "", policytest.View(table, 1), 6000, nil)
	// Of two different ones drawn by weight the heavier is less loaded: 1 - P(drawn neither first nor second) = 4/6 + 2/6*4/5.
	if got, want := count[1]/6000, 4./6+2./6*4/5; math.Abs(got-want) > 0.025 {
		t.Errorf("the endpoint of weight 4 got %.3f of the requests of an idle zone, want %.3f", got, want)
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                                   true,
		"{}":                                 true,
		`{"spill_at_inflight":0.5}`:          true,
		`{"max_spill_percent":100}`:          true,
		`{"spill_at_inflight":1000001}`:      false,
		`{"max_spill_percent":101}`:          false,
		`{"max_spill_percent":-1}`:           false,
		`{"spill_at_inflight":"8"}`:          false,
		`{"spill":8}`:                        false,
		`{"spill_at_inflight":8,`:            false,
		`{"spill_at_inflight":8} {}`:         false,
		`{"spill_at_inflight":8 "a":1}`:      false,
		`{"spill_at_inflight":true}`:         false,
		`[{"spill_at_inflight":8}]`:          false,
		`{"spill_at_inflight":1.0.0}`:        false,
		`{"spill_at_inflight":{"value":8.}}`: false,
	} {
		if _, err := plugintest.Load(t, "zone-spill", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
