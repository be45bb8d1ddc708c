package cluster

import (
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// newTable makes the table of instances, which are sorted by ID. endpoints holds an endpoint for each of them; weights are
// in the order of instances.
func newTable(
	gen uint32, self string, instances []discovery.Instance, endpoints map[string]*Endpoint, weights []uint32,
) *policies.Table {
	t := &policies.Table{Gen: gen, Zones: zones(self, instances)}
	zone := func(name string) uint16 {
		i, _ := slices.BinarySearch(t.Zones, name) // "" sorts first, so it is 0
		return uint16(i)
	}
	t.SelfZone = zone(self)
	for i, in := range instances {
		e := endpoints[in.ID]
		pe := &policies.Endpoint{
			ID: in.ID, IDHash: xxhash.Sum64String(in.ID), Num: e.num, Address: in.Address, Name: in.Name,
			Weight: weights[i], Tier: in.Tier, Zone: zone(in.Zone),
			Meta: pairs(in.Meta), State: e.State,
		}
		if t.SelfZone != 0 && pe.Zone == t.SelfZone {
			pe.Flags |= policies.SameZone
		}
		if pe.Weight == 0 {
			pe.Flags |= policies.Draining
		}
		if in.Canary {
			pe.Flags |= policies.Canary
		}
		if in.Spare {
			pe.Flags |= policies.Spare
		}
		t.Endpoints = append(t.Endpoints, pe)
	}
	return t
}

func zones(self string, instances []discovery.Instance) []string {
	names := map[string]struct{}{"": {}, self: {}}
	for _, in := range instances {
		names[in.Zone] = struct{}{}
	}
	return slices.Sorted(maps.Keys(names))
}

func pairs(meta map[string]string) []policies.Pair {
	var out []policies.Pair
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		out = append(out, policies.Pair{Key: k, Value: meta[k]})
	}
	return out
}

// sameTopology reports whether instances differ from the snapshot's table in status alone, so that a new view is
// enough and no ring needs building.
func sameTopology(s *Snapshot, instances []discovery.Instance) bool {
	return slices.EqualFunc(s.Endpoints, instances, func(e *Endpoint, in discovery.Instance) bool {
		return e.ID == in.ID && sameAttributes(e.instance, in)
	})
}

func sameAttributes(x, y discovery.Instance) bool {
	return x.ID == y.ID && x.Address == y.Address && x.Name == y.Name && x.Weight == y.Weight && x.Tier == y.Tier &&
		x.Zone == y.Zone && x.Datacenter == y.Datacenter && x.Failover == y.Failover && x.Canary == y.Canary && x.Spare == y.Spare &&
		slices.Equal(x.Tags, y.Tags) && maps.Equal(x.Meta, y.Meta)
}
