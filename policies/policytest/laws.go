package policytest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/weir-lb/weir/policies"
)

// seed is the source of all chance in the kit: a failure repeats.
const seed = 20261122

func pickIsValid(t *trial) {
	g := rand.New(rand.NewPCG(seed, 1))
	p := t.policy()
	var viewGen uint32
	var seq uint64
	for gen := range uint32(200) {
		table := t.anyTable(g, gen+1)
		pk := t.picker(p, table)
		for range 10 {
			viewGen++
			v := anyView(g, table, viewGen)
			for range 5 {
				r := Request(seed, seq)
				seq++
				for range g.IntN(policies.MaxTried + 1) {
					if len(table.Endpoints) > 0 {
						r.MarkTried(g.Uint32N(uint32(len(table.Endpoints))))
					}
				}
				r.Attempt = r.NTried
				t.pick(pk, &r, v, "table %d, view %d (up %v, tiers end at %v), tried %v", gen+1, viewGen, v.Up, v.TierEnd, r.Tried[:r.NTried])
			}
		}
	}
}

func retriesVisitAll(t *trial) {
	endpoints := Weights(1, 65535, 3, 1, 100, 7, 1, 0)
	for i := range endpoints {
		endpoints[i].Tier = uint8(i % 3)
	}
	table := t.table(1, endpoints...)
	pk := t.picker(t.policy(), table)
	v := View(table, 1, 2)
	for seq := range uint64(200) {
		r := Request(seed, seq)
		for n := range len(v.Up) {
			i := t.pick(pk, &r, v, "attempt %d after %v", n, r.Tried[:r.NTried])
			if i == policies.Rejected {
				break
			}
			r.MarkTried(uint32(i))
			r.Attempt++
		}
		t.pick(pk, &r, v, "attempt %d after %v", r.NTried, r.Tried[:r.NTried])
	}
}

func fewEndpoints(t *trial) {
	p := t.policy()
	for n, weights := range [][]uint32{{}, {3}, {0}, {1, 0}} {
		table := t.table(uint32(n)+1, Weights(weights...)...)
		pk := t.picker(p, table)
		for k, v := range []*policies.View{View(table, uint32(2*n)), View(table, uint32(2*n)+1, 0)} {
			r := Request(seed, uint64(n))
			t.pick(pk, &r, v, "weights %v, first endpoint down %t", weights, k == 1)
		}
	}
}

func comesBack(t *trial) {
	if t.Shares == Unclaimed {
		t.AnyTier = true
	}
	table := t.table(1, Weights(1, 1, 1)...)
	pk := t.picker(t.policy(), table)
	var seq uint64
	for gen := range uint32(20) {
		down := int(gen) % 4 // 3: none is down
		v := View(table, gen, down)
		picked := make([]int, 3)
		for range 100 {
			r := Request(seed, seq)
			seq++
			if i := t.pick(pk, &r, v, "view %d", gen); i >= 0 {
				picked[i]++
			}
		}
		for _, i := range v.Up {
			if picked[i] == 0 && t.Shares != Unclaimed {
				t.errorf("view %d: of 100 requests none went to endpoint %d of %v", gen, i, v.Up)
			}
		}
	}
}

// Picks and bound of the law of shares. An endpoint of share p gets a count of binomial spread if picks are drawn by
// chance, so its measured share deviates by sqrt(p(1-p)/n) <= 0.5/sqrt(n) = 0.0025; the bound is eight times that. What
// is left of it covers ByLoad, where n endpoints with 64*n requests in flight balance inflight+1, not inflight: an error
// of at most 1/64 = 0.0156.
const (
	sharePicks = 40_000
	shareBound = 0.02
)

func sharesHold(t *trial) {
	for _, c := range []struct {
		name    string
		weights []uint32
		down    []int
	}{
		{"equal", []uint32{1, 1, 1, 1}, nil},
		{"one_heavy", []uint32{5, 1, 1}, nil},
		{"one_heavy_with_a_light_one_down", []uint32{5, 1, 1}, []int{2}},
		{"one_heavy_and_down", []uint32{500, 4, 2, 2}, []int{0}},
		{"ascending", []uint32{1, 2, 3, 4, 5}, nil},
		{"coprime_and_large", []uint32{65535, 40000, 30011, 9}, nil},
		{"coprime_and_large_with_one_down", []uint32{65535, 40000, 30011, 9}, []int{1}},
	} {
		t.within = c.name + ": "
		table := t.table(1, Weights(c.weights...)...)
		v := View(table, 1, c.down...)
		got := t.shares(t.picker(t.policy(), table), v)
		for i, want := range t.promised(v) {
			if math.Abs(got[i]-want) > shareBound {
				t.errorf("weights %v, down %v: endpoint %d got %.4f of the requests, want %.4f +- %g",
					c.weights, c.down, i, got[i], want, shareBound)
			}
		}
	}
}

// promised returns the share of each endpoint, by index.
func (t *trial) promised(v *policies.View) []float64 {
	want := make([]float64, len(v.Table.Endpoints))
	var sum float64
	for _, i := range v.Up {
		want[i] = float64(v.Table.Endpoints[i].Weight)
		if t.Shares == Evenly {
			want[i] = 1
		}
		sum += want[i]
	}
	for i := range want {
		want[i] /= sum
	}
	return want
}

// shares measures the share of each endpoint. Requests of a policy that promises shares by load stay in flight until 64
// an endpoint have come after them: they take equally long.
func (t *trial) shares(pk policies.Picker, v *policies.View) []float64 {
	inflight := make([]int, 0, 64*len(v.Up))
	count := make([]int, len(v.Table.Endpoints))
	warmUp := cap(inflight) * 4
	for seq := range sharePicks + warmUp {
		r := Request(seed, uint64(seq))
		i := t.pick(pk, &r, v, "pick %d", seq)
		if i < 0 {
			continue
		}
		if seq >= warmUp {
			count[i]++
		}
		if t.Shares != ByLoad {
			continue
		}
		v.Table.Endpoints[i].AddInflight(1)
		if len(inflight) < cap(inflight) {
			inflight = append(inflight, i)
			continue
		}
		oldest := &inflight[seq%len(inflight)]
		v.Table.Endpoints[*oldest].AddInflight(-1)
		*oldest = i
	}
	shares := make([]float64, len(count))
	for i, n := range count {
		shares[i] = float64(n) / sharePicks
	}
	return shares
}

func nobodyStarved(t *trial) {
	p := t.policy()
	count := make([]int, 4)
	for seq := range uint64(400) {
		table := t.table(uint32(seq)+1, Weights(1, 1, 1, 1)...)
		pk := t.picker(p, table)
		r, v := Request(seed, seq), View(table, uint32(seq)+1)
		if i := t.pick(pk, &r, v, "table %d", table.Gen); i >= 0 {
			count[i]++
		}
	}
	// 400 draws of 1/4: below 55 is over five standard deviations off.
	for i, n := range count {
		if n < 55 {
			t.errorf("endpoint %d got %d of 400 requests (%v), want about 100", i, n, count)
		}
	}
}

func equalTraces(t *trial) {
	trace := func() []int {
		g := rand.New(rand.NewPCG(seed, 2))
		p := t.policy()
		var picks []int
		var viewGen uint32
		for gen := range uint32(20) {
			table := t.anyTable(g, gen+1)
			pk := t.picker(p, table)
			for range 4 {
				viewGen++
				v := anyView(g, table, viewGen)
				for range 25 {
					r := Request(seed, uint64(len(picks)))
					i := pk.Pick(&r, v)
					picks = append(picks, i)
					if i >= 0 {
						table.Endpoints[i].AddInflight(1)
					}
				}
			}
		}
		return picks
	}
	a, b := trace(), trace()
	for k := range a {
		if a[k] != b[k] {
			t.fatalf("request %d went to %d, and to %d when the same requests came again", k, a[k], b[k])
		}
	}
}

// noAllocations measures with all endpoints up, with most of them down, at a first attempt and at a third.
func noAllocations(t *trial) {
	for _, weights := range [][]uint32{{5, 1, 1, 3}, {65535, 40000, 30011, 9}} {
		table := t.table(1, Weights(weights...)...)
		pk := t.picker(t.policy(), table)
		for _, v := range []*policies.View{View(table, 1), View(table, 2, 0)} {
			r := Request(seed, 1)
			for range 3 {
				if n := testing.AllocsPerRun(500, func() { pk.Pick(&r, v) }); n != 0 {
					t.errorf("weights %v, up %v, tried %v: %g allocations a pick, want 0", weights, v.Up, r.Tried[:r.NTried], n)
				}
				r.MarkTried(v.Up[r.NTried])
				r.Attempt++
			}
		}
	}
}
