package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies"
)

// TestPublishedG3Order holds that gateways which hear of endpoints in different orders send a key to the same one.
func TestPublishedG3Order(t *testing.T) {
	for _, name := range []string{"maglev", "ring_hash", "rendezvous"} {
		p, _ := policies.ByName(name)
		var first []string
		moved := 0.0
		g := rand.New(rand.NewPCG(3, 3))
		for range 4 {
			s := settings()
			s.Policy = p
			c := start(t, s, nil)
			var heard []discovery.Instance
			for _, k := range g.Perm(30) {
				in := instance(fmt.Sprintf("web-%d", k))
				in.Weight = 1 + k%3
				heard = append(heard, in)
			}
			ctx, stop := context.WithCancel(t.Context())
			discovery.NewStatic(heard).Run(ctx, func(s discovery.State) { c.Apply(s); stop() })
			now := c.Load()
			var at []string
			for k := range uint64(5000) {
				i := now.Picker.Pick(&policies.Request{Flags: policies.HasKey, KeyHash: k * 0x9e3779b97f4a7c15}, now.View)
				at = append(at, now.Table.Endpoints[i].ID)
			}
			if first == nil {
				first = at
			}
			for k := range at {
				if at[k] != first[k] {
					moved++
				}
			}
		}
		experiments.Hold(t, experiments.Row{
			ID: "G3", What: name + ", endpoints in another order: keys that move", Source: "Eisenbud et al.: Maglev, NSDI 2016, section 3.4", Ours: moved,
		})
	}
}
