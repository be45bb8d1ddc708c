package policies

import (
	"fmt"
	"sync/atomic"
)

// Endpoint is one entry of a [Table]: attributes that hold for one generation, and the live State that all
// generations of the same endpoint share.
type Endpoint struct {
	ID      string // identity across updates; with Consul node ID + service ID, never ip:port alone
	IDHash  uint64 // xxh64 of ID: the same in every process
	Num     uint32 // assigned at first sight, never reused within a process
	Address string // host:port
	Name    string // for people: service ID or address
	Weight  uint32 // 0..MaxWeight, relative; 0 gets no new requests
	Tier    uint8  // 0 is preferred; higher tiers are standbys
	Flags   EndpointFlags
	Zone    uint16 // index into Table.Zones; 0 is unknown
	Meta    []Pair // sorted by key
	*State
}

// Pair is one key and value of an endpoint's metadata.
type Pair struct{ Key, Value string }

// EndpointFlags are properties of an endpoint that policies may look at. Values are those of the guest ABI.
type EndpointFlags uint8

// Flags of an endpoint.
const (
	SameZone EndpointFlags = 1 << iota
	Canary
	Draining
	Spare
)

// Table is one immutable generation of a cluster's topology, ordered by ID. Rings and alias tables are built from it.
type Table struct {
	Gen       uint32 // increases by at least 1 with each table of a cluster
	Seed      uint64 // tells gateways apart that have had the same tables; 0 in simulations and replays, which are to repeat
	Endpoints []*Endpoint
	Zones     []string // Zones[0] is ""
	SelfZone  uint16   // index into Zones of the gateway's own zone; 0 if it has none
	Ejector   Ejector  // nil where nothing can be ejected: dry runs, shadows
}

// View is what is available of a Table now. A change of health makes a new View, never a new Table: a flapping
// endpoint rebuilds no ring. Views are immutable.
type View struct {
	Table   *Table
	Gen     uint32    // increases by at least 1 with each view of a cluster, across tables
	Up      []uint32  // indexes of endpoints that may get traffic, by tier, then by index
	TierEnd [4]uint32 // tier k is Up[TierEnd[k-1]:TierEnd[k]]; tiers above 3 are folded into the last
	Panic   bool      // health is ignored: Up holds every endpoint of the table with a weight above 0

	// Parts divide the requests; empty if all of them see this view. A request whose part has nothing left for it sees
	// the whole.
	Parts []Part

	bits []uint64
	kept []uint64
}

// NewView returns the view of t in which the endpoints for which up answers true get traffic. Endpoints of weight 0
// get no new sessions: they are not in Up. With panic set, up is not asked.
func NewView(t *Table, gen uint32, panic bool, up func(i int) bool) *View {
	words := (len(t.Endpoints) + 63) / 64
	v := &View{Table: t, Gen: gen, Panic: panic, bits: make([]uint64, words), kept: make([]uint64, words)}
	v.Up = make([]uint32, 0, len(t.Endpoints))
	last := uint8(len(v.TierEnd) - 1)
	for tier := range last + 1 {
		for i, e := range t.Endpoints {
			if min(e.Tier, last) != tier || !panic && !up(i) {
				continue
			}
			if e.Weight == 0 {
				v.kept[i/64] |= 1 << (i % 64)
				continue
			}
			v.Up = append(v.Up, uint32(i))
			v.bits[i/64] |= 1 << (i % 64)
		}
		v.TierEnd[tier] = uint32(len(v.Up))
	}
	return v
}

// Usable reports whether endpoint i may get traffic in v. It accepts any i, also out of range.
func (v *View) Usable(i int) bool {
	return uint(i) < uint(len(v.Table.Endpoints)) && v.bits[i/64]&(1<<(i%64)) != 0
}

// Keeps reports whether endpoint i gets no new sessions, its weight being 0, but may go on with those it has. It accepts
// any i.
func (v *View) Keeps(i int) bool {
	return uint(i) < uint(len(v.Table.Endpoints)) && v.kept[i/64]&(1<<(i%64)) != 0
}

// MayServe reports whether the next attempt of r may go to endpoint i: one that is usable, or the one of r's own
// session, and not tried before. It accepts any i.
func (v *View) MayServe(r *Request, i int) bool {
	return (v.Usable(i) || i == r.StickyEP && v.Keeps(i)) && !r.HasTried(uint32(i))
}

// Candidates returns the indexes of the first tier in which r has an endpoint left to try, or nil. The slice is part
// of v: it is not to be written.
func (v *View) Candidates(r *Request) []uint32 {
	var begin uint32
	for _, end := range v.TierEnd {
		for _, i := range v.Up[begin:end] {
			if !r.HasTried(i) {
				return v.Up[begin:end]
			}
		}
		begin = end
	}
	return nil
}

// Health is the effective state of an endpoint. Values are those of the guest ABI.
type Health uint32

// Effective states.
const (
	Down     Health = iota // gets no traffic
	Degraded               // gets traffic, but something is wrong: a Consul warning, a suspect heartbeat
	Up
)

// String returns "down", "degraded" or "up".
func (h Health) String() string {
	if h > Up {
		return fmt.Sprintf("Health(%d)", uint32(h))
	}
	return [...]string{"down", "degraded", "up"}[h]
}

// Column names one live figure of an endpoint. Numbers are those of the guest ABI.
type Column uint8

// Columns of an endpoint's State.
const (
	ColHealth            Column = iota // Health
	ColInflight                        // requests in flight
	ColEWMA                            // smoothed response time in microseconds
	ColErrPPM                          // smoothed share of failed attempts, in parts per million
	ColRPSMilli                        // attempts per second, times 1000
	ColConsecutiveFail                 // failed attempts since the last good one
	ColLoadPPM                         // load the endpoint reports, in parts per million; Unknown if it reports none
	ColHeartbeatAgeMilli               // milliseconds since its last heartbeat; Unknown if it sends none
	NumColumns           = 8
)

// Unknown is the value of a column for which there is no figure.
const Unknown = 0xffffffff

// State is what is known of an endpoint now. It outlives tables: counters carry over from one generation to the next.
// All of it is atomic and padded to whole cache lines, so that neighbours do not slow each other.
type State struct {
	cols [NumColumns]atomic.Uint32
	peak peak
	pace pace
	_    [256 - 4*NumColumns - 16 - 16*paceSlots]byte
}

// NewState returns the state of an endpoint of which nothing is known but h.
func NewState(h Health) *State {
	s := new(State)
	s.Store(ColHealth, uint32(h))
	s.Store(ColLoadPPM, Unknown)
	s.Store(ColHeartbeatAgeMilli, Unknown)
	return s
}

// Load returns column c.
func (s *State) Load(c Column) uint32 { return s.cols[c].Load() }

// Cell returns column c itself, for those who read it often.
func (s *State) Cell(c Column) *atomic.Uint32 { return &s.cols[c] }

// Store sets column c.
func (s *State) Store(c Column, x uint32) { s.cols[c].Store(x) }

// Health returns the effective state.
func (s *State) Health() Health { return Health(s.cols[ColHealth].Load()) }

// Inflight returns the number of requests in flight.
func (s *State) Inflight() uint32 { return s.cols[ColInflight].Load() }

// AddInflight adds d (1 or -1) to the number of requests in flight.
func (s *State) AddInflight(d int32) { s.cols[ColInflight].Add(uint32(d)) }

// AddConsecutiveFail counts one more failed attempt in a row and returns how many there are.
func (s *State) AddConsecutiveFail() uint32 { return s.cols[ColConsecutiveFail].Add(1) }
