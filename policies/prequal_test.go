package policies_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

func TestPrequal(t *testing.T) {
	fleet := func(n int) (*policies.Table, *policies.View, policies.Picker) {
		table := policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{1}, n)...)...)
		p, err := named(t, "prequal").Build(table)
		if err != nil {
			t.Fatal(err)
		}
		return table, policytest.View(table, 1), p
	}
	hear := func(v *policies.View, i int, took time.Duration, class policies.Class) {
		named(t, "prequal").(policies.Observer).Observe(v, policies.Feedback{Outcome: policies.Outcome{Endpoint: i, Class: class, Total: took}, Now: 1})
	}
	count := func(p policies.Picker, v *policies.View, n int) []int {
		picks := make([]int, len(v.Table.Endpoints))
		for seq := range uint64(n) {
			r := policytest.Request(5, seq)
			r.Now = 2
			picks[p.Pick(&r, v)]++
		}
		return picks
	}
	t.Run("of cold endpoints the fastest is taken", func(t *testing.T) {
		_, v, p := fleet(10)
		for i := range 10 {
			hear(v, i, time.Duration(10+i)*time.Millisecond, policies.OK)
		}
		got := count(p, v, 2000)
		// The fastest is among ten draws of ten, and then it wins: 1-(9/10)^10 = 0.65.
		if got[0] < 1200 || got[9] > 20 {
			t.Errorf("picks %v, want most at endpoint 0 and hardly any at 9", got)
		}
	})
	t.Run("a hot one is left alone however fast it is", func(t *testing.T) {
		table, v, p := fleet(10)
		for i := range 10 {
			hear(v, i, time.Duration(10+i)*time.Millisecond, policies.OK)
			table.Endpoints[i].AddInflight(4)
		}
		table.Endpoints[0].AddInflight(40)
		if got := count(p, v, 2000); got[0] > 100 {
			t.Errorf("picks %v, want next to none at endpoint 0", got)
		}
	})
	t.Run("one that reports load is judged by its report", func(t *testing.T) {
		table, v, p := fleet(10)
		for i := range 10 {
			hear(v, i, time.Duration(10+i)*time.Millisecond, policies.OK)
			table.Endpoints[i].Store(policies.ColLoadPPM, 300_000)
		}
		table.Endpoints[0].Store(policies.ColLoadPPM, 950_000)
		count(p, v, 2000) // until the threshold has come up to 0.3
		if got := count(p, v, 2000); got[0] > 400 {
			t.Errorf("picks %v, want few at endpoint 0", got)
		}
	})
	t.Run("one that was slow while it was busy is not when it is idle", func(t *testing.T) {
		_, v, p := fleet(10)
		for i := range 10 {
			hear(v, i, time.Duration(10+i)*time.Millisecond, policies.OK)
		}
		policies.Prequal{}.Observe(v, policies.Feedback{
			Outcome: policies.Outcome{Endpoint: 0, Class: policies.OK, Total: time.Second}, Now: 2, Inflight: 30,
		})
		if got := count(p, v, 2000); got[0] < 1200 {
			t.Errorf("picks %v, want most at endpoint 0", got)
		}
	})
	t.Run("one that fails fast is slow", func(t *testing.T) {
		_, v, p := fleet(10)
		for i := range 10 {
			hear(v, i, 10*time.Millisecond, policies.OK)
		}
		hear(v, 3, time.Millisecond, policies.BadStatus)
		if got := count(p, v, 2000); got[3] > 20 {
			t.Errorf("picks %v, want hardly any at endpoint 3", got)
		}
	})
	t.Run("in a small fleet p2c decides", func(t *testing.T) {
		_, v, p := fleet(7)
		for i := range 7 {
			hear(v, i, time.Duration(1+100*i)*time.Millisecond, policies.OK)
		}
		if got := count(p, v, 2100); slices.Min(got) < 200 {
			t.Errorf("picks %v, want about 300 each: response times do not count", got)
		}
	})
}

func TestThresholdFindsTheQuantile(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	above := 0
	q := policies.NewThreshold()
	for n := range 100_000 {
		x := g.ExpFloat64() * 20
		if n > 10_000 && x > q.At() {
			above++
		}
		q.Observe(x)
	}
	if share := float64(above) / 90_000; share < 0.12 || share > 0.20 {
		t.Errorf("%.3f of the values are above the threshold, want about 0.16", share)
	}
}
