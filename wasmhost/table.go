package wasmhost

import (
	"encoding/binary"

	"github.com/weir-lb/weir/policies"
)

var le = binary.LittleEndian

// maxTableSize bounds the table of a cluster in guest memory, in bytes.
const maxTableSize = 64 << 20

// tableLayout says where the parts of a table lie, in bytes from its first.
type tableLayout struct {
	up   int
	cols [policies.NumColumns]int // 0 is absent
	str  int
	size int
}

func layoutTable(t *policies.Table, wanted []policies.Column) (l tableLayout) {
	n := len(t.Endpoints)
	column := (4*n + 7) &^ 7
	l.up = headerSize + endpointSize*n
	next := l.up + column
	l.cols[policies.ColHealth] = next
	next += column
	for _, c := range wanted {
		l.cols[c] = next
		next += column
	}
	l.str = next
	for _, e := range t.Endpoints {
		next += 4 + len(e.Name) + 4
		for _, p := range e.Meta {
			next += 8 + len(p.Key) + len(p.Value)
		}
	}
	l.size = next
	return l
}

// write puts t into b, with nothing up yet and no live columns: that is writeView's and writeColumn's.
func (l *tableLayout) write(b []byte, t *policies.Table) {
	n := len(t.Endpoints)
	clear(b[:l.str])
	le.PutUint32(b[tabMagic:], tableMagic)
	le.PutUint32(b[tabGen:], t.Gen)
	le.PutUint32(b[tabN:], uint32(n))
	le.PutUint32(b[tabEpOff:], headerSize)
	le.PutUint32(b[tabEpStride:], endpointSize)
	le.PutUint32(b[tabStrOff:], uint32(l.str))
	le.PutUint32(b[tabStrLen:], uint32(l.size-l.str))
	le.PutUint32(b[tabUpOff:], uint32(l.up))
	le.PutUint32(b[tabSelfZone:], uint32(t.SelfZone))
	for c, at := range l.cols {
		le.PutUint32(b[tabColOff+4*c:], uint32(at))
	}
	at := l.str
	text := func(s string) {
		le.PutUint32(b[at:], uint32(len(s)))
		at += 4 + copy(b[at+4:], s)
	}
	for i, e := range t.Endpoints {
		r := b[headerSize+endpointSize*i:][:endpointSize]
		le.PutUint64(r[epIDHash:], e.IDHash)
		le.PutUint32(r[epID:], e.Num)
		le.PutUint32(r[epWeight:], max(e.Weight, 1)) // guests divide by it; an endpoint of weight 0 is never in up[]
		r[epTier] = e.Tier
		flags := e.Flags
		if e.Weight == 0 {
			flags |= policies.Draining
		}
		r[epFlags] = byte(flags)
		le.PutUint16(r[epZone:], e.Zone)
		le.PutUint32(r[epName:], uint32(at))
		text(e.Name)
		le.PutUint32(r[epMeta:], uint32(at))
		le.PutUint32(b[at:], uint32(len(e.Meta)))
		at += 4
		for _, p := range e.Meta {
			text(p.Key)
			text(p.Value)
		}
	}
}

// writeView rewrites what changes with availability: up[], tier_end and column 0.
func (l *tableLayout) writeView(b []byte, v *policies.View) {
	le.PutUint32(b[tabUpGen:], v.Gen)
	le.PutUint32(b[tabNUp:], uint32(len(v.Up)))
	up := b[l.up:][:4*len(v.Up)]
	for i, e := range v.Up {
		le.PutUint32(up[4*i:], e)
	}
	for i, end := range v.TierEnd {
		le.PutUint32(b[tabTierEnd+4*i:], end)
	}
	flags := uint32(0)
	if v.Panic {
		flags = tablePanic
	}
	le.PutUint32(b[tabFlags:], flags)
}

// writeColumn rewrites column c from the endpoints' states.
func (l *tableLayout) writeColumn(b []byte, states []*policies.State, c policies.Column) {
	col := b[l.cols[c]:][:4*len(states)]
	for _, s := range states {
		le.PutUint32(col, s.Load(c))
		col = col[4:]
	}
}
