package policies_test

import (
	"testing"

	"github.com/weir-lb/weir/policies"
)

func TestAnEndpointOfWeightZeroServesItsOwnSessionsAlone(t *testing.T) {
	tab := &policies.Table{Gen: 1}
	for _, w := range []uint32{1, 0, 0, 2} {
		tab.Endpoints = append(tab.Endpoints, &policies.Endpoint{Weight: w, State: policies.NewState(policies.Up)})
	}
	v := policies.NewView(tab, 1, false, func(i int) bool { return i != 2 }) // 2 is down as well
	for _, c := range []struct {
		name   string
		sticky int
		tried  []uint32
		i      int
		want   bool
	}{
		{"one that is up serves anybody", policies.None, nil, 0, true},
		{"but nobody twice", policies.None, []uint32{0}, 0, false},
		{"one of weight 0 serves nobody new", policies.None, nil, 1, false},
		{"nor somebody else's session", 0, nil, 1, false},
		{"but its own", 1, nil, 1, true},
		{"once", 1, []uint32{1}, 1, false},
		{"not while it is down", 2, nil, 2, false},
		{"an index out of range is none", 4, nil, 4, false},
		{"nor is -1", policies.None, nil, -1, false},
	} {
		r := policies.Request{StickyEP: c.sticky}
		for _, i := range c.tried {
			r.MarkTried(i)
		}
		if got := v.MayServe(&r, c.i); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if len(v.Up) != 2 || !v.Keeps(1) || v.Keeps(2) || v.Keeps(0) {
		t.Errorf("%+v", v)
	}
}
