package policytest

import (
	"math/rand/v2"
	"testing"

	"github.com/weir-lb/weir/policies"
)

// seed is the source of all chance in the kit: a failure repeats.
const seed = 20261122

// judged is the law that no answer has fault f, in any table, any view and after any attempts. Other faults are those of
// other laws. Tables are few, for some policies take milliseconds to build each.
func judged(f fault) func(*trial) {
	return func(t *trial) {
		g := rand.New(rand.NewPCG(seed, 1))
		p := t.policy()
		var viewGen uint32
		var seq uint64
		for gen := range uint32(40) {
			table := t.anyTable(g, gen+1)
			pk := t.picker(p, table)
			for range 12 {
				viewGen++
				v := anyView(g, table, viewGen)
				for range 12 {
					r := Request(seed, seq)
					seq++
					for range g.IntN(policies.MaxTried + 1) {
						if len(table.Endpoints) > 0 {
							r.MarkTried(g.Uint32N(uint32(len(table.Endpoints))))
						}
					}
					r.Attempt = r.NTried
					i := pk.Pick(&r, v)
					if got, want := t.judge(&r, v, i); got == f {
						t.fatalf("table %d, view %d (up %v, tiers end at %v), tried %v: picked %s, want %s",
							gen+1, viewGen, v.Up, v.TierEnd, r.Tried[:r.NTried], answer(i), want)
					}
				}
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
					if v.Usable(i) {
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
