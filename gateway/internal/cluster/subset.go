package cluster

import (
	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Subset limits a gateway to some of a large cluster's instances; see policies.Subset.
type Subset struct {
	Size int    // of each tier; 0: all
	ID   string // of the gateway: the same in each run, another one at each gateway
}

// of returns the instances that are used, in their order. Their health does not matter: it changes views, not tables.
func (s Subset) of(all []discovery.Instance) []discovery.Instance {
	if s.Size == 0 || len(all) <= s.Size {
		return all
	}
	tiers := map[uint8][]int{}
	for i, in := range all {
		tiers[in.Tier] = append(tiers[in.Tier], i)
	}
	used := make([]bool, len(all))
	for _, members := range tiers {
		hashes := make([]uint64, len(members))
		for k, i := range members {
			hashes[k] = xxhash.Sum64String(all[i].ID)
		}
		for _, k := range policies.Subset(hashes, xxhash.Sum64String(s.ID), s.Size) {
			used[members[k]] = true
		}
	}
	var out []discovery.Instance
	for i, in := range all {
		if used[i] {
			out = append(out, in)
		}
	}
	return out
}
