package policies

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/weir-lb/weir/internal/experiments"
)

func tableOf(weights ...uint32) *Table {
	t := &Table{Gen: 1}
	for _, w := range weights {
		t.Endpoints = append(t.Endpoints, &Endpoint{Weight: w, State: NewState(Up)})
	}
	return t
}

func allUp(int) bool { return true }

// letters writes picks as a, b, c...
func letters(picks []int) string {
	s := make([]byte, len(picks))
	for k, i := range picks {
		s[k] = byte('a' + i)
	}
	return string(s)
}

// orders holds the sequences that nginx gives for these weights.
var orders = []struct {
	weights []uint32
	want    string
}{
	{[]uint32{5, 1, 1}, "aabacaa"},
	{[]uint32{4, 2, 1}, "abacaba"},
	{[]uint32{3, 2, 1}, "abacba"},
	{[]uint32{1, 1, 1}, "abc"},
	{[]uint32{10, 5}, "aba"},
	{[]uint32{0, 7}, "b"},
}

// TestPublishedG1 holds the order of turns. The decay of weights by failures that nginx mixes into it has no counterpart
// here: who fails is taken out by outlier detection, whatever the policy.
func TestPublishedG1(t *testing.T) {
	for _, o := range orders {
		table := tableOf(o.weights...)
		order := newOrder(table, byTier(table)[0])
		var picks []int
		for x := range 2 * len(o.want) {
			picks = append(picks, order.at(uint64(x)))
		}
		experiments.Hold(t, experiments.Row{
			ID: "G1", What: fmt.Sprintf("smooth order of weights %v, %s: turns that differ", o.weights, o.want),
			Source: "nginx, ngx_http_upstream_get_peer", Ours: differ([]byte(letters(picks)), []byte(o.want+o.want)),
		})
	}
}

// TestPublishedG2 holds the static stride: over as many rounds as the greatest weight is, each has exactly its weight in
// turns. gRPC scales the greatest to 65535 and rounds; here it is what it is.
func TestPublishedG2(t *testing.T) {
	for _, weights := range [][]uint32{{MaxWeight, 40000, 30011, 9, 1}, {MaxWeight, MaxWeight - 1, 32768, 21845, 2}, {MaxWeight, 1}} {
		table := tableOf(weights...)
		s, ok := newOrder(table, byTier(table)[0]).(*stride)
		if !ok || s.max != MaxWeight {
			t.Fatalf("the order of weights %v is no stride of %d rounds", weights, MaxWeight)
		}
		left := make([]float64, len(weights))
		for i, w := range weights {
			left[i] = float64(w)
		}
		for x := range MaxWeight * uint64(len(weights)) {
			if i := s.at(x); i != None {
				left[i]--
			}
		}
		off := 0.0
		for _, n := range left {
			off += math.Abs(n)
		}
		experiments.Hold(t, experiments.Row{
			ID: "G2", What: fmt.Sprintf("static stride of weights %v, 65535 rounds: turns too many or too few", weights),
			Source: "gRPC, weightedroundrobin/scheduler.go", Ours: off,
		})
	}
}

func TestPicksFollowTheSmoothOrder(t *testing.T) {
	for _, o := range orders {
		table := tableOf(o.weights...)
		v := NewView(table, 1, false, allUp)
		p, err := WeightedRoundRobin{}.Build(table)
		if err != nil {
			t.Fatal(err)
		}
		var picks []int
		for range 2 * len(o.want) {
			picks = append(picks, p.Pick(&Request{}, v))
		}
		// A picker begins anywhere in the order.
		if got := letters(picks); !containsRotation(got, o.want) {
			t.Errorf("weights %v go %s, want a rotation of %s repeated", o.weights, got, o.want)
		}
	}
}

func containsRotation(got, want string) bool {
	for k := range want {
		if turned := want[k:] + want[:k]; got == turned+turned {
			return true
		}
	}
	return false
}

func TestOrderGivesEachItsWeightInOnePeriod(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []uint32
	}{
		{"smooth", []uint32{700, 300, 24, 1}},
		{"smooth_by_the_divisor", []uint32{60000, 30000, 20000}},
		{"stride", []uint32{MaxWeight, 40000, 30011, 9, 1}},
		{"stride_with_common_factors", []uint32{60000, 45000, 16, 16, 1}},
		{"stride_of_many", slices.Repeat([]uint32{3, 1}, 2000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := tableOf(c.weights...)
			order := newOrder(table, byTier(table)[0])
			var d, sum uint64
			for _, w := range c.weights {
				d = gcd(d, uint64(w))
				sum += uint64(w)
			}
			period := sum / d
			s, isStride := order.(*stride)
			if isStride {
				period = s.max * uint64(len(s.members))
			}
			if isStride != (sum/d > maxCycle) {
				t.Fatalf("order is %T with a period of %d turns", order, sum/d)
			}
			got := make([]uint64, len(c.weights))
			for x := range period {
				if i := order.at(x); i != None {
					got[i]++
				}
			}
			for i, w := range c.weights {
				if got[i] != uint64(w)/d {
					t.Errorf("endpoint %d of weight %d has %d turns a period, want %d", i, w, got[i], uint64(w)/d)
				}
			}
		})
	}
}

// TestTurnsAreSpread holds what smooth means: the heavy endpoint of a, b, c with weights 5, 1, 1 never has more than
// four turns in a row (aa|aab), where clumped orders give it five.
func TestTurnsAreSpread(t *testing.T) {
	table := tableOf(5, 1, 1)
	order := newOrder(table, byTier(table)[0])
	run, longest := 0, 0
	for x := range uint64(70) {
		if order.at(x) == 0 {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest > 4 {
		t.Errorf("the heavy endpoint has %d turns in a row, want at most 4", longest)
	}
}

func TestAliasSharesAreExact(t *testing.T) {
	for _, weights := range [][]uint32{{1}, {5, 1, 1}, {1, 2, 3, 4, 5}, {MaxWeight, 1}, slices.Repeat([]uint32{7, 1, 3}, 33)} {
		table := tableOf(weights...)
		a := newAlias(table, byTier(table)[0])
		got := make([]float64, len(weights))
		var sum float64
		for _, c := range a {
			got[c.self] += float64(c.threshold) / (1 << 32)
			got[c.other] += 1 - float64(c.threshold)/(1<<32)
		}
		for _, w := range weights {
			sum += float64(w)
		}
		for i, w := range weights {
			want := float64(w) / sum * float64(len(a))
			if d := got[i] - want; d > 1e-6 || d < -1e-6 {
				t.Errorf("weights %v: endpoint %d fills %v columns, want %v", weights, i, got[i], want)
			}
		}
	}
}

// TestGatewaysOfEqualHistoriesBeginApart builds one table at many gateways, and one without seeds twice.
func TestGatewaysOfEqualHistoriesBeginApart(t *testing.T) {
	for _, p := range []Policy{RoundRobin{}, WeightedRoundRobin{}} {
		first := func(seed uint64) int {
			table := tableOf(1, 1, 1, 1)
			table.Seed = seed
			pk, err := p.Build(table)
			if err != nil {
				t.Fatal(err)
			}
			return pk.Pick(new(Request), NewView(table, 1, false, allUp))
		}
		var begun [4]int
		for seed := range uint64(400) {
			begun[first(seed)]++
		}
		if slices.Min(begun[:]) < 60 || slices.Max(begun[:]) > 140 {
			t.Errorf("%T: 400 gateways begin at %v, want about 100 each", p, begun)
		}
		if a, b := first(0), first(0); a != b {
			t.Errorf("%T: a simulation does not repeat", p)
		}
	}
}
