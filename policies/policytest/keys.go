package policytest

import (
	"slices"

	"github.com/weir-lb/weir/policies"
)

const keys = 5000

// places returns the endpoint of each of many keys. Chance and the rest of the request differ from one turn to the next.
func (t *trial) places(pk policies.Picker, v *policies.View, turn uint64) []*policies.Endpoint {
	at := make([]*policies.Endpoint, keys)
	for k := range at {
		r := Request(seed+turn, uint64(k))
		r.Flags |= policies.HasKey
		r.KeyHash = uint64(k)*0x9e3779b97f4a7c15 ^ seed
		if i := t.pick(pk, &r, v, "key %d", k); i >= 0 {
			at[k] = v.Table.Endpoints[i]
		}
	}
	return at
}

// keyedTables are what the laws of keys are held in: even weights, and others.
func (t *trial) keyedTables() []*policies.Table {
	return []*policies.Table{
		t.table(1, Weights(slices.Repeat([]uint32{1}, 10)...)...),
		t.table(1, Weights(1, 2, 3, 4, 5, 5, 4, 3, 2, 1)...),
	}
}

// keysStay holds that a key alone decides: neither chance nor the process, nor the number of the table.
func keysStay(t *trial) {
	for _, table := range t.keyedTables() {
		first := t.places(t.picker(t.policy(), table), View(table, 1), 0)
		later := *table
		later.Gen = 7
		for k, e := range t.places(t.picker(t.policy(), &later), View(&later, 9), 1) {
			if e != first[k] {
				t.fatalf("key %d went to %s, and to %s of a policy that was made later", k, first[k].ID, e.ID)
			}
		}
	}
}

// keysMove holds that a key moves if its endpoint goes, and no other beyond what is claimed: where one is down, where it
// leaves the table, and when it comes back.
func keysMove(t *trial) {
	for _, table := range t.keyedTables() {
		p := t.policy()
		pk := t.picker(p, table)
		before := t.places(pk, View(table, 1), 0)
		for gone, e := range table.Endpoints {
			if moved := others(before, t.places(pk, View(table, uint32(gone)+2, gone), 0), e); moved > 0 {
				t.errorf("%s is down and %d of %d keys of others moved, want none", e.ID, moved, keys)
			}
		}
		const gone = 3
		e := table.Endpoints[gone]
		less := &policies.Table{Gen: 2, Endpoints: slices.Delete(slices.Clone(table.Endpoints), gone, gone+1), Zones: table.Zones, SelfZone: table.SelfZone}
		if moved := others(before, t.places(t.picker(p, less), View(less, 20), 0), e); moved > int(t.Moves*keys) {
			t.errorf("%s left and %d of %d keys of others moved, want at most %g of them", e.ID, moved, keys, t.Moves)
		}
		back := *table
		back.Gen = 3
		after := t.places(t.picker(p, &back), View(&back, 21), 0)
		for k, was := range before {
			if after[k] != was {
				t.fatalf("%s left and came back, and key %d is at %s, want %s as before", e.ID, k, after[k].ID, was.ID)
			}
		}
	}
}

// others counts the keys that moved though they were not at gone.
func others(before, after []*policies.Endpoint, gone *policies.Endpoint) (moved int) {
	for k, was := range before {
		if was != gone && after[k] != was {
			moved++
		}
	}
	return moved
}
