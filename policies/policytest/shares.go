package policytest

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

func comesBack(t *trial) {
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
			if picked[i] == 0 {
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
		got := t.serve(t.picker(t.policy(), table), v, sharePicks, 64, t.Shares == ByLoad)
		for i, want := range t.promised(v) {
			if share := float64(got[i]) / sharePicks; math.Abs(share-want) > shareBound {
				t.errorf("weights %v, down %v: endpoint %d got %.4f of the requests, want %.4f +- %g",
					c.weights, c.down, i, share, want, shareBound)
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

// serve counts where so many picks go. If hold is set, requests stay in flight until as many have come after them as
// there are endpoints, times each: they take equally long.
func (t *trial) serve(pk policies.Picker, v *policies.View, picks, each int, hold bool) []int {
	inflight := make([]int, 0, each*len(v.Up))
	count := make([]int, len(v.Table.Endpoints))
	warmUp := cap(inflight) * 4
	for seq := range picks + warmUp {
		r := Request(seed, uint64(seq))
		i := t.pick(pk, &r, v, "pick %d", seq)
		if i < 0 {
			continue
		}
		if seq >= warmUp {
			count[i]++
		}
		if !hold {
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
	return count
}

// alike holds that requests go by weight and load, not by place: of eight endpoints one is busy, here and there, and the
// other seven get the same. A second draw that depends on the first breaks it, and what it does to the busy one's
// neighbours no law of shares sees. Of 16,000 picks by chance, 1/7 has a standard deviation of 0.0028: the bound is seven.
func alike(t *trial) {
	const n, picks = 8, 16_000
	for _, busy := range []int{0, 3, n - 1} {
		table := t.table(1, Weights(slices.Repeat([]uint32{1}, n)...)...)
		table.Endpoints[busy].AddInflight(1000)
		got := t.serve(t.picker(t.policy(), table), View(table, 1), picks, 0, false)
		want := float64(picks-got[busy]) / (n - 1)
		for i, c := range got {
			if i != busy && math.Abs(float64(c)-want) > shareBound*picks {
				t.fatalf("endpoint %d is busy and of the others endpoint %d got %d requests (%v), want %.0f +- %g",
					busy, i, c, got, want, shareBound*picks)
			}
		}
	}
}

// nobodyStarved holds that an endpoint gets some of what it should, in tables that change before every pick, with requests
// in flight, and where answers differ by noise alone: of five identical endpoints one got 5 of 1500 requests of a policy
// that went by response time (Traefik's leasttime, version 3.6).
func nobodyStarved(t *trial) {
	t.within = "tables change: "
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
	t.someEach(count, 55)

	t.within = "requests are in flight: "
	table := t.table(1, Weights(5, 1, 1, 2, 1)...)
	t.someEach(t.serve(t.picker(t.policy(), table), View(table, 1), 2000, 16, true), 2000/10/10)

	t.within = "all answer alike: "
	t.someEach(t.answered(5, 1500), 1500/5/10)
}

func (t *trial) someEach(count []int, least int) {
	for i, n := range count {
		if n < least {
			t.errorf("endpoint %d got %d requests (%v), want at least %d", i, n, count, least)
		}
	}
}

// answered counts where so many picks among n endpoints go, each of which is answered after 10 ms and a noise of 1 ms.
func (t *trial) answered(n, picks int) []int {
	p := t.policy()
	table := t.table(1, Weights(slices.Repeat([]uint32{1}, n)...)...)
	pk, v := t.picker(p, table), View(table, 1)
	learns, _ := p.(policies.Observer)
	count := make([]int, n)
	g := rand.New(rand.NewPCG(seed, 4))
	for seq := range uint64(picks) {
		r := Request(seed, seq)
		i := t.pick(pk, &r, v, "pick %d", seq)
		if i < 0 {
			continue
		}
		count[i]++
		took := 10*time.Millisecond + time.Duration(g.Int64N(1e6))
		if learns != nil {
			learns.Observe(v, policies.Feedback{
				Outcome: policies.Outcome{Endpoint: i, Status: 200, Sent: true, FirstByte: took, Total: took, Load: -1},
				Now:     r.Now + int64(took), Num: table.Endpoints[i].Num, Tag: r.Tag, Instance: r.Instance, Final: true,
			})
		}
	}
	return count
}
