package recording

import "github.com/weir-lb/weir/policies"

// frozen holds what the policy of one stream sees of the world: tables, views and states of its own.
type frozen struct {
	tables [tableSlots]frozenTable
	views  [viewSlots]frozenView
	// The slot that the next newcomer takes.
	nextTable, nextView int
	built               int // slot of the table that the policy was built with last

	states map[uint32]*policies.State // by number of the endpoint
}

type frozenTable struct {
	live, own *policies.Table
	written   bool // the trace has it
}

type frozenView struct {
	live, own *policies.View
	table     int // slot
	written   bool
}

// tableSlot returns the slot of live, or of the one to put it in.
func (f *frozen) tableSlot(live *policies.Table) (slot int, there bool) {
	for i := range f.tables {
		if f.tables[i].live == live {
			return i, true
		}
	}
	if f.nextTable == f.built && f.tables[f.built].own != nil {
		f.nextTable = (f.nextTable + 1) % tableSlots
	}
	slot = f.nextTable
	f.nextTable = (slot + 1) % tableSlots
	return slot, false
}

func (f *frozen) viewSlot(live *policies.View) (slot int, there bool) {
	for i := range f.views {
		if f.views[i].live == live {
			return i, true
		}
	}
	slot = f.nextView
	f.nextView = (slot + 1) % viewSlots
	return slot, false
}

// putTable gives live a copy in slot. Views of the table that was there go with it.
func (f *frozen) putTable(slot int, live *policies.Table, e policies.Ejector) {
	own := *live
	own.Ejector = nil
	if live.Ejector != nil {
		own.Ejector = e
	}
	own.Endpoints = make([]*policies.Endpoint, len(live.Endpoints))
	for i, ep := range live.Endpoints {
		c := *ep
		c.State = f.state(ep.Num)
		own.Endpoints[i] = &c
	}
	f.clear(slot)
	f.tables[slot] = frozenTable{live: live, own: &own}
	f.forget()
}

// clear empties a slot of tables.
func (f *frozen) clear(slot int) {
	for i := range f.views {
		if v := f.views[i].own; v != nil && v.Table == f.tables[slot].own {
			f.views[i] = frozenView{}
		}
	}
	f.tables[slot] = frozenTable{}
}

// state returns the state of endpoint num.
func (f *frozen) state(num uint32) *policies.State {
	s := f.states[num]
	if s == nil {
		s = new(policies.State)
		f.states[num] = s
	}
	return s
}

// forget drops the states of endpoints that no table has.
func (f *frozen) forget() {
	n := 0
	for _, t := range f.tables {
		if t.own != nil {
			n += len(t.own.Endpoints)
		}
	}
	if len(f.states) <= 2*n+16 {
		return
	}
	kept := make(map[uint32]*policies.State, n)
	for _, t := range f.tables {
		if t.own != nil {
			for _, e := range t.own.Endpoints {
				kept[e.Num] = e.State
			}
		}
	}
	f.states = kept
}

// putView gives live a copy in slot, of the table in slot table.
func (f *frozen) putView(slot, table int, live *policies.View) {
	own := policies.NewView(f.tables[table].own, live.Gen, live.Panic, func(i int) bool { return live.Usable(i) || live.Keeps(i) })
	f.views[slot] = frozenView{live: live, own: own, table: table}
}
