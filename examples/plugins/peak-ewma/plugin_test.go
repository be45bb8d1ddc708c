package peakewma_test

import (
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

var claims = policytest.Options{Shares: policytest.Some}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "peak-ewma", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

// TestTwin gives the same outcomes to the guest and to the built-in policy, and asks both the same.
func TestTwin(t *testing.T) {
	table := policytest.Table(1, policytest.Weights(1, 1, 1, 1, 1, 1, 1)...)
	v := policytest.View(table, 1)
	now, others := int64(time.Hour), 0
	p := plugintest.Timed(t, "peak-ewma", "", func() int64 { return now })
	native, guest := plugintest.Picker(t, policies.PeakEWMA{}, table), plugintest.Picker(t, p, table)
	for seq := range uint64(20_000) {
		now += int64(time.Millisecond)
		r := policytest.Request(1, seq)
		r.Now = now
		again := r
		want, got := native.Pick(&r, v), guest.Pick(&again, v)
		if got != want {
			others++
		}
		// The seventh takes 30 times as long as the first, one in 50 fails, and one in 70 is given up.
		took := time.Duration(got*got+1) * time.Duration(1+seq%13) * time.Millisecond
		f := policies.Feedback{Outcome: policies.Outcome{Endpoint: got, Status: 200, Total: took, FirstByte: took / 2, Load: -1}, Now: now, Num: table.Endpoints[got].Num}
		switch {
		case seq%50 == 0:
			f.Class, f.Status, f.FirstByte = policies.Reset, 0, 0
		case seq%70 == 0:
			f.Class = policies.Cancelled
		}
		table.Endpoints[got].AddInflight(int32(seq%3) - 1)
		(policies.PeakEWMA{}).Observe(v, f)
		p.Observe(v, f)
		p.Advance(now)
	}
	if others > 0 {
		t.Errorf("%d of 20000 requests went elsewhere than by the built-in policy", others)
	}
}

func TestWhatWasLearnedIsHandedOn(t *testing.T) {
	table := policytest.Table(1, policytest.Weights(1, 1)...)
	v := policytest.View(table, 1)
	now := int64(time.Hour)
	clock := func() int64 { return now }
	old := plugintest.Timed(t, "peak-ewma", "", clock)
	first := policytest.Request(1, 0)
	plugintest.Picker(t, old, table).Pick(&first, v)
	for i, took := range []time.Duration{time.Second, time.Millisecond} {
		old.Observe(v, policies.Feedback{Outcome: policies.Outcome{Endpoint: i, Status: 200, Total: took, FirstByte: took, Load: -1}, Now: now, Num: table.Endpoints[i].Num})
	}
	old.Advance(now)
	next := plugintest.Timed(t, "peak-ewma", "", clock)
	next.Succeed(old)
	pk := plugintest.Picker(t, next, table)
	slow := 0
	for seq := range uint64(1000) {
		r := policytest.Request(1, seq)
		r.Now = now
		if pk.Pick(&r, v) == 0 {
			slow++
		}
	}
	if slow > 20 {
		t.Errorf("the slow one of two got %d of 1000 after the swap, want one in 256", slow)
	}
}

func TestConfigurationIsRefusedButForAnEmptyObject(t *testing.T) {
	for config, ok := range map[string]bool{"": true, "{}": true, "[]": false, `{"decay_ms":3}`: false} {
		if _, err := plugintest.Load(t, "peak-ewma", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
