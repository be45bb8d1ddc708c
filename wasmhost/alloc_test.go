//go:build !race

package wasmhost_test

import (
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

func TestAllocations(t *testing.T) {
	tab := table(16)
	v, w := view(tab, 1), view(tab, 2, 3)
	for name, parts := range map[string]string{"honest": "rr", "bad index": "ii", "list": "LL", "host functions": "FF"} {
		t.Run(name, func(t *testing.T) {
			p := policy(t, actor(t, parts, wasmhost.Options{}))
			pk := build(t, p, tab)
			r := request(act)
			r.Attrs = attrs{}
			n := 0
			if got := testing.AllocsPerRun(1000, func() {
				if n++; n%2 == 0 {
					v, w = w, v
				}
				r.NTried, r.Attempt = 0, 0
				i := pk.Pick(r, v)
				r.MarkTried(uint32(i))
				r.Attempt++
				p.Next(r, v, policies.Outcome{Endpoint: i, Class: policies.Refused})
			}); got != 0 {
				t.Errorf("%v allocations a pick and retry, want 0", got)
			}
		})
	}
}
