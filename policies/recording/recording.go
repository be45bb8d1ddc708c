// Package recording keeps a bounded trace of what policies were asked and what they answered, and runs any policy over
// such a trace again.
//
// A [Writer] wraps the policies of clusters. While it records, the calls to the policy of one cluster come one after
// the other, and the policy sees copies of the endpoints' live figures, refreshed right before each call: what it saw is
// what the trace holds, so the same policy answers the same, to the bit, when [Replay] asks it again. Time is the
// writer's: policies that are told of it ([Advancer]) hear of it from the writer alone.
//
// A trace holds endpoints with names and metadata, clients' addresses, and hashes of keys, paths and hosts. It holds no
// text of requests, except for the header fields that the user names; what a policy reads beyond that is absent in a
// replay, and the trace says which fields these were.
package recording

import (
	"cmp"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies"
)

// Options say what is recorded. The zero value is good.
type Options struct {
	Limit   int64    // most bytes written; then the recording ends. 0 is DefaultLimit
	Headers []string // names of header fields whose text is recorded
	Log     *slog.Logger
}

// DefaultLimit bounds a trace unless told otherwise, in bytes.
const DefaultLimit = 256 << 20

func (o *Options) fill() {
	o.Limit = cmp.Or(o.Limit, DefaultLimit)
	o.Log = cmp.Or(o.Log, slog.Default())
	for i, h := range o.Headers {
		o.Headers[i] = strings.ToLower(h)
	}
	slices.Sort(o.Headers)
	o.Headers = slices.Compact(o.Headers)
}

// Advancer is a policy to which time is told: it does nothing between calls. now is in nanoseconds.
type Advancer interface{ Advance(now int64) }

// A trace is magic and blocks. A block is two little-endian u32, its length and the CRC-32C of what follows, and
// records; a record is a varint, its length, and a payload: kind, stream (a varint) and what codec says.
const (
	magic     = "WEIRTRC1"
	maxBlock  = 64 << 10
	maxRecord = 16 << 20
	advance   = 10 * time.Millisecond
	flush     = 100 * time.Millisecond
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kind is what a record tells.
type kind uint8

const (
	kindStream  kind = iota + 1 // a policy of a cluster begins
	kindTable                   // a table of the stream, with what is known of its endpoints
	kindBuild                   // the policy was given a table
	kindView                    // a view of a table
	kindPick                    // a call of Picker.Pick
	kindNext                    // a call of Failover.Next
	kindObserve                 // a call of Observer.Observe
	kindAdvance                 // a call of Advancer.Advance
	kindUnheld                  // the policy read text that the trace does not hold
	kindGap                     // records are missing
	kindEnd                     // the limit is reached
)

// Tables and views stand in slots: a record names its slot, and a new one in a slot takes the place of the old.
const (
	tableSlots = 4
	viewSlots  = 16
)

// Answer is what a policy answered to one call.
type Answer struct {
	Action   policies.Action           `json:"action"`   // of Failover.Next; Retry of a pick
	Endpoint int                       `json:"endpoint"` // index, None or Rejected
	After    time.Duration             `json:"after"`
	Status   int                       `json:"status"` // of a rejection
	Timeout  time.Duration             `json:"timeout"`
	Hedge    time.Duration             `json:"hedge"`
	Tag      uint64                    `json:"tag"`
	Reason   uint32                    `json:"reason"`
	Sticky   bool                      `json:"sticky"`
	NoRetry  bool                      `json:"no_retry"`
	NList    uint8                     `json:"nlist"`
	List     [policies.MaxTried]uint32 `json:"list"`
}

// answerOf collects what a policy left in r.
func answerOf(r *policies.Request, v policies.Verdict) Answer {
	a := Answer{
		Action: v.Action, Endpoint: v.Endpoint, After: v.After, Status: r.RejectStatus, Timeout: r.Timeout, Hedge: r.Hedge, Tag: r.Tag,
		Reason: r.Reason, Sticky: r.SetSticky, NoRetry: r.NoRetry, NList: r.NList,
	}
	copy(a.List[:], r.List[:r.NList])
	return a
}

// leave puts a where answerOf found it.
func (a *Answer) leave(r *policies.Request) {
	r.RejectStatus, r.Timeout, r.Hedge, r.Tag, r.Reason, r.SetSticky, r.NoRetry = a.Status, a.Timeout, a.Hedge, a.Tag, a.Reason, a.Sticky, a.NoRetry
	r.NList, r.List = a.NList, a.List
}
