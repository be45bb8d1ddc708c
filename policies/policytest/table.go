package policytest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/weir-lb/weir/policies"
)

// Table builds a table of generation gen. Of each endpoint it fills in what is empty: ID, hash, number, address and
// name follow from the position; the state is a new one in which the endpoint is up. A weight of 0 stays 0.
func Table(gen uint32, endpoints ...policies.Endpoint) *policies.Table {
	t := &policies.Table{Gen: gen, Zones: []string{"", "a", "b"}, SelfZone: 1}
	for i, e := range endpoints {
		if e.ID == "" {
			e.ID = fmt.Sprintf("ep-%04d", i)
		}
		h := fnv.New64a()
		h.Write([]byte(e.ID))
		e.IDHash = h.Sum64()
		e.Num = uint32(i) + 1
		e.Address = fmt.Sprintf("127.0.%d.%d:80", i/250, i%250+1)
		e.Name = e.ID
		if e.State == nil {
			e.State = policies.NewState(policies.Up)
		}
		t.Endpoints = append(t.Endpoints, &e)
	}
	return t
}

// Weights returns endpoints of these weights, for [Table].
func Weights(weights ...uint32) []policies.Endpoint {
	endpoints := make([]policies.Endpoint, len(weights))
	for i, w := range weights {
		endpoints[i].Weight = w
	}
	return endpoints
}

// View returns a view of t in which all endpoints are up but those at the indexes down. It stores the health column.
func View(t *policies.Table, gen uint32, down ...int) *policies.View {
	for i, e := range t.Endpoints {
		h := policies.Up
		if slices.Contains(down, i) {
			h = policies.Down
		}
		e.Store(policies.ColHealth, uint32(h))
	}
	return policies.NewView(t, gen, false, func(i int) bool { return !slices.Contains(down, i) })
}

// Request returns request number seq of a seeded stream: random numbers, every second one with a key, one a
// millisecond. Equal arguments give equal requests.
func Request(seed, seq uint64) policies.Request {
	g := rand.New(rand.NewPCG(seed, seq))
	r := policies.Request{
		Now: int64(1e18) + int64(seq)*1e6, Rand: g.Uint64(), Seq: seq, Method: policies.MethodGet,
		Flags: policies.Replayable | policies.Idempotent, ContentLength: 0,
		StickyEP: policies.None, Last: policies.Outcome{Endpoint: policies.None},
	}
	if seq%2 == 1 {
		r.KeyHash = g.Uint64()
		r.Flags |= policies.HasKey
	}
	return r
}

// table is Table with the shape that the policy under test asked for.
func (o Options) table(gen uint32, endpoints ...policies.Endpoint) *policies.Table {
	for i := range endpoints {
		if o.Shape != nil {
			o.Shape(i, &endpoints[i])
		}
	}
	return Table(gen, endpoints...)
}

// anyTable makes a table of up to 24 endpoints in up to 6 tiers, some of weight 0, with requests in flight. Every eighth
// has two at most.
func (o Options) anyTable(g *rand.Rand, gen uint32) *policies.Table {
	most := 24
	if gen%8 == 0 {
		most = 2
	}
	endpoints := make([]policies.Endpoint, g.IntN(most+1))
	scale := []uint32{1, 10, policies.MaxWeight}[g.IntN(3)]
	tiers := 1 + g.IntN(6)
	for i := range endpoints {
		endpoints[i].Weight = g.Uint32N(scale + 1)
		endpoints[i].Tier = uint8(g.IntN(tiers))
	}
	t := o.table(gen, endpoints...)
	for _, e := range t.Endpoints {
		e.AddInflight(g.Int32N(20))
	}
	return t
}

// anyView makes a view in which each endpoint is down with some probability, now and then in panic.
func anyView(g *rand.Rand, t *policies.Table, gen uint32) *policies.View {
	share := g.Float64()
	for _, e := range t.Endpoints {
		h := policies.Up
		if g.Float64() < share {
			h = policies.Down
		}
		e.Store(policies.ColHealth, uint32(h))
	}
	return policies.NewView(t, gen, g.IntN(8) == 0, func(i int) bool { return t.Endpoints[i].Health() != policies.Down })
}
