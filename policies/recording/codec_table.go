package recording

import "github.com/weir-lb/weir/policies"

// change is a new value of a live figure.
type change struct {
	at    int // index of the endpoint * policies.NumColumns + column
	delta int64
}

func (c *codec) changes(all *[]change) {
	n := c.length(len(*all))
	at := 0
	if c.reading {
		*all = (*all)[:0]
	}
	for i := range n {
		var one change
		if !c.reading {
			one = (*all)[i]
		}
		delta(c, &one.at, at)
		at = one.at
		signed(c, &one.delta)
		if c.reading {
			*all = append(*all, one)
		}
	}
}

func (c *codec) flags(all *[]bool) {
	n := c.length(len(*all))
	if c.reading {
		*all = make([]bool, n)
	}
	for i := range *all {
		c.flag(&(*all)[i])
	}
}

func (c *codec) fields(values []field) {
	for i := range values {
		c.flag(&values[i].there)
		if values[i].there {
			c.text(&values[i].text)
		}
	}
}

func (c *codec) texts(all *[]string) {
	n := c.length(len(*all))
	if c.reading {
		*all = make([]string, n)
	}
	for i := range *all {
		c.text(&(*all)[i])
	}
}

// table describes t with all live figures. In reading, state gives the state of an endpoint by its number.
func (c *codec) table(t *policies.Table, state func(num uint32) *policies.State) {
	num(c, &t.Gen)
	c.texts(&t.Zones)
	num(c, &t.SelfZone)
	n := c.length(len(t.Endpoints))
	if c.reading {
		t.Endpoints = make([]*policies.Endpoint, 0, n)
	}
	for i := range n {
		var e policies.Endpoint
		if !c.reading {
			e = *t.Endpoints[i]
		}
		c.text(&e.ID)
		c.text(&e.Name)
		c.hash(&e.IDHash)
		num(c, &e.Num)
		num(c, &e.Weight)
		num(c, &e.Tier)
		num(c, &e.Flags)
		num(c, &e.Zone)
		c.meta(&e.Meta)
		if c.reading {
			e.State = state(e.Num)
			t.Endpoints = append(t.Endpoints, &e)
		}
		for col := range policies.Column(policies.NumColumns) {
			x := e.Load(col)
			num(c, &x)
			e.Store(col, x)
		}
	}
}

func (c *codec) meta(pairs *[]policies.Pair) {
	n := c.length(len(*pairs))
	if c.reading {
		*pairs = make([]policies.Pair, n)
	}
	for i := range *pairs {
		c.text(&(*pairs)[i].Key)
		c.text(&(*pairs)[i].Value)
	}
}

// viewRecord is a view of the table in slot table.
type viewRecord struct {
	table int
	gen   uint32
	panic bool
	up    []uint32 // those of weight 0 that keep sessions, too
}

func newViewRecord(f *frozenView) *viewRecord {
	v := &viewRecord{table: f.table, gen: f.own.Gen, panic: f.own.Panic}
	for i := range f.own.Table.Endpoints {
		if f.own.Usable(i) || f.own.Keeps(i) {
			v.up = append(v.up, uint32(i))
		}
	}
	return v
}

func (c *codec) view(v *viewRecord) {
	num(c, &v.table)
	num(c, &v.gen)
	c.flag(&v.panic)
	n := c.length(len(v.up))
	if c.reading {
		v.up = make([]uint32, n)
	}
	before := uint32(0)
	for i := range v.up {
		delta(c, &v.up[i], before)
		before = v.up[i]
	}
}
