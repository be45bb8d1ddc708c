package weightedcanary_test

import (
	"math"
	"testing"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "weighted-canary", "") }

// Without a canary endpoint all requests go by weight.
func TestLaws(t *testing.T) { policytest.Run(t, build, policytest.Options{}) }

// With canaries the weight of a side is not what its endpoints have, so no shares are promised: TestShare holds them.
func TestLawsWithCanaries(t *testing.T) {
	policytest.Run(t, build, policytest.Options{Shares: policytest.Unclaimed, Shape: func(i int, e *policies.Endpoint) {
		if i%3 == 0 {
			e.Flags |= policies.Canary
		}
	}})
}

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, policytest.Options{}) }

// fleet is two stable endpoints and two canaries, of which one has three times the weight, told apart both by flag and
// by metadata.
func fleet() *policies.Table {
	endpoints := policytest.Weights(1, 1, 1, 3)
	for i := range endpoints {
		version := "v1"
		if i >= 2 {
			endpoints[i].Flags = policies.Canary
			version = "v2"
		}
		endpoints[i].Meta = []policies.Pair{{Key: "region", Value: "eu"}, {Key: "version", Value: version}}
	}
	return policytest.Table(1, endpoints...)
}

func picker(t *testing.T, config string, table *policies.Table) policies.Picker {
	t.Helper()
	p, err := plugintest.Policy(t, "weighted-canary", config).Build(table)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// user and stranger are requests with and without a key: every second request of a stream has one.
func user(n uint64) policies.Request     { return policytest.Request(7, 2*n+1) }
func stranger(n uint64) policies.Request { return policytest.Request(7, 2*n) }

func TestShare(t *testing.T) {
	const requests = 20_000
	const bound = 0.014 // of a share: four times sqrt(0.25/requests)
	table := fleet()
	for _, c := range []struct {
		config string
		share  float64
	}{
		{"", 0.05},
		{`{"percent":0}`, 0},
		{`{"percent":0.5}`, 0.005},
		{`{"percent":25}`, 0.25},
		{`{"percent":50, "meta":"version=v2"}`, 0.5},
		{`{"percent":50, "meta":"version=v1"}`, 0.5},
		{`{"percent":100}`, 1},
		{`{"percent":10, "meta":"version=v9"}`, 0.5}, // nobody is a canary: by weight, as if there were no sides
	} {
		for who, request := range map[string]func(uint64) policies.Request{"user": user, "stranger": stranger} {
			t.Run(c.config+"/"+who, func(t *testing.T) {
				p := picker(t, c.config, table)
				v := policytest.View(table, 1)
				var got [4]float64
				for seq := range uint64(requests) {
					r := request(seq)
					got[p.Pick(&r, v)] += 1.0 / requests
				}
				want := [4]float64{(1 - c.share) / 2, (1 - c.share) / 2, c.share / 4, c.share * 3 / 4}
				switch c.config {
				case `{"percent":50, "meta":"version=v1"}`:
					want = [4]float64{.25, .25, .125, .375}
				case `{"percent":10, "meta":"version=v9"}`:
					want = [4]float64{1. / 6, 1. / 6, 1. / 6, 3. / 6}
				}
				for i := range want {
					if math.Abs(got[i]-want[i]) > bound {
						t.Errorf("endpoint %d got %.4f of the requests, want %.4f +- %g", i, got[i], want[i], bound)
					}
				}
			})
		}
	}
}

// TestAUserStaysOnTheirSide holds that growing the share moves users to the canary and none away, and that weights,
// health and the random numbers of a request change nobody's side.
func TestAUserStaysOnTheirSide(t *testing.T) {
	table := fleet()
	grown := fleet()
	grown.Gen = 2
	for i, w := range []uint32{100, 1, 65535, 2} {
		grown.Endpoints[i].Weight = w
	}
	v, vGrown := policytest.View(table, 1), policytest.View(grown, 2, 0, 2)
	before := picker(t, `{"percent":5}`, table)
	same := picker(t, `{"percent":5}`, grown)
	more := picker(t, `{"percent":20}`, table)
	canary := func(p policies.Picker, v *policies.View, r policies.Request) bool { return p.Pick(&r, v) >= 2 }
	moved := 0
	for seq := range uint64(5000) {
		r := user(seq)
		again := r
		again.Rand, again.Seq = r.Rand*31+7, r.Seq+99
		was := canary(before, v, r)
		if canary(before, v, again) != was || canary(same, vGrown, again) != was {
			t.Fatalf("the user with key %#x changed sides with other random numbers, weights or health", r.KeyHash)
		}
		now := canary(more, v, r)
		if was && !now {
			t.Fatalf("the user with key %#x left the canary when its share grew from 5 to 20 percent", r.KeyHash)
		}
		if now && !was {
			moved++
		}
	}
	if moved < 600 || moved > 900 { // 15 % of 5000 = 750, six standard deviations of 25
		t.Errorf("%d of 5000 users moved to the canary, want about 750", moved)
	}
}

func TestASideWithNothingLeftLeavesItsUsersToTheOther(t *testing.T) {
	table := fleet()
	for _, c := range []struct {
		name, config string
		down         []int
		tried        []uint32
		want         []int
	}{
		{"canaries_down", `{"percent":100}`, []int{2, 3}, nil, []int{0, 1}},
		{"canaries_tried", `{"percent":100}`, nil, []uint32{2, 3}, []int{0, 1}},
		{"one_canary_down_and_one_tried", `{"percent":100}`, []int{2}, []uint32{3}, []int{0, 1}},
		{"stable_down", `{"percent":0}`, []int{0, 1}, nil, []int{2, 3}},
		{"all_tried_but_one", `{"percent":0}`, nil, []uint32{0, 1, 2}, []int{3}},
		{"nothing_at_all", `{"percent":50}`, []int{0, 1, 2, 3}, nil, []int{policies.None}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := picker(t, c.config, table)
			v := policytest.View(table, 1, c.down...)
			got := map[int]bool{}
			if c.want[0] == policies.None { // the guest must be asked once that has something to choose
				r := user(0)
				p.Pick(&r, policytest.View(table, 2))
			}
			for seq := range uint64(300) {
				r := user(seq)
				for _, i := range c.tried {
					r.MarkTried(i)
				}
				got[p.Pick(&r, v)] = true
			}
			if len(got) != len(c.want) {
				t.Errorf("requests went to %v, want %v", got, c.want)
			}
			for _, i := range c.want {
				if !got[i] {
					t.Errorf("requests went to %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                              true,
		"{}":                            true,
		`{"percent":5}`:                 true,
		`{"percent":0.25,"meta":"a=b"}`: true,
		` { "meta" : "version=" } `:     true,
		`{"percent":101}`:               false,
		`{"percent":-1}`:                false,
		`{"percent":1.2.3}`:             false,
		`{"percent":.}`:                 false,
		`{"percent":"5"}`:               false,
		`{"percent":5,}`:                false,
		`{"percent":5`:                  false,
		`{"percent":5}{}`:               false,
		`{"meta":"version"}`:            false,
		`{"meta":"=v2"}`:                false,
		`{"meta":"a=\"b"}`:              false,
		`{"share":5}`:                   false,
		`[]`:                            false,
		`{`:                             false,
	} {
		if _, err := plugintest.Load(t, "weighted-canary", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
