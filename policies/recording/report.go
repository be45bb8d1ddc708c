package recording

import (
	"cmp"
	"slices"

	"github.com/weir-lb/weir/policies"
)

// Report compares a policy with the recorded one on the same calls.
type Report struct {
	Cluster string   `json:"cluster"`
	Streams []Stream `json:"streams"` // of the cluster: more than one if the policy was swapped
	From    int64    `json:"from_ns"` // the first call
	To      int64    `json:"to_ns"`   // the last call

	Tables           int          `json:"tables"`
	Picks            int          `json:"picks"`
	Retries          int          `json:"retries"`
	Outcomes         int          `json:"outcomes"`
	DifferentPicks   int          `json:"different_picks"`
	DifferentRetries int          `json:"different_retries"`
	OtherEndpoints   int          `json:"other_endpoints"`       // of those that differ, to another endpoint or none
	Unasked          int          `json:"unasked"`               // calls that a policy has no say in
	Differences      []Difference `json:"differences,omitempty"` // the first ones
	Shares           []Share      `json:"shares"`                // of picks, by name

	Unheld []string `json:"unheld,omitempty"` // text that the recorded policy read and the trace does not hold
	Gaps   int      `json:"gaps"`             // places where records are missing,
	Lost   uint64   `json:"lost"`             // and how many
	Full   bool     `json:"full"`             // the recording ended at its limit
	Damage string   `json:"damage,omitempty"` // why the trace ends where it ends; "" is at its end

	examples int
	shares   map[uint64]*Share
}

// Difference is a call that two policies answered differently.
type Difference struct {
	Call         string           `json:"call"` // "pick" or "retry"
	Now          int64            `json:"now"`  // nanoseconds
	Seq          uint64           `json:"seq"`
	Attempt      uint8            `json:"attempt"`
	KeyHash      uint64           `json:"key_hash"` // 0 if there is no key
	Tried        []string         `json:"tried"`
	Outcome      policies.Outcome `json:"outcome"`  // of the attempt before, for a retry
	Up           int              `json:"up"`       // endpoints that were up,
	Of           int              `json:"of"`       // of so many
	Recorded     Answer           `json:"recorded"` // or that of the policy which is compared with
	Replayed     Answer           `json:"replayed"`
	RecordedName string           `json:"recorded_name"` // of the endpoint; "" if the answer is none
	ReplayedName string           `json:"replayed_name"`
}

// Share is how many picks went to an endpoint.
type Share struct {
	Endpoint string `json:"endpoint"`
	Recorded uint64 `json:"recorded"`
	Replayed uint64 `json:"replayed"`
}

func newReport(cluster string, examples int) *Report {
	return &Report{Cluster: cluster, examples: examples, shares: map[uint64]*Share{}}
}

func (r *Report) unheld(u unheld) {
	name := u.kind
	if u.name != "" {
		name += " " + u.name
	}
	r.Unheld = append(r.Unheld, name)
}

// know takes notice of the endpoints of a table.
func (r *Report) know(t *policies.Table) {
	for _, e := range t.Endpoints {
		if r.shares[e.IDHash] == nil {
			r.shares[e.IDHash] = &Share{Endpoint: e.Name}
		}
	}
}

// nameOf returns the name of endpoint i, "" if there is none.
func nameOf(t *policies.Table, i int) string {
	if i < 0 || i >= len(t.Endpoints) {
		return ""
	}
	return t.Endpoints[i].Name
}

func (r *Report) compare(next bool, q *policies.Request, v *policies.View, o policies.Outcome, was, is Answer) {
	if r.From == 0 {
		r.From = q.Now
	}
	r.To = max(r.To, q.Now)
	if next {
		r.Retries++
	} else {
		r.Picks++
		for _, side := range []struct {
			endpoint int
			recorded bool
		}{{was.Endpoint, true}, {is.Endpoint, false}} {
			if uint(side.endpoint) < uint(len(v.Table.Endpoints)) {
				s := r.shares[v.Table.Endpoints[side.endpoint].IDHash]
				if side.recorded {
					s.Recorded++
				} else {
					s.Replayed++
				}
			}
		}
	}
	if was == is {
		return
	}
	if was.Action != is.Action || was.Endpoint != is.Endpoint {
		r.OtherEndpoints++
	}
	d := Difference{
		Call: "pick", Now: q.Now, Seq: q.Seq, Attempt: q.Attempt, Outcome: o, Up: len(v.Up), Of: len(v.Table.Endpoints), Recorded: was,
		Replayed: is, RecordedName: nameOf(v.Table, was.Endpoint), ReplayedName: nameOf(v.Table, is.Endpoint),
	}
	if q.Flags&policies.HasKey != 0 {
		d.KeyHash = q.KeyHash
	}
	for _, i := range q.Tried[:min(int(q.NTried), len(q.Tried))] {
		d.Tried = append(d.Tried, nameOf(v.Table, int(i)))
	}
	if next {
		d.Call = "retry"
		r.DifferentRetries++
	} else {
		r.DifferentPicks++
	}
	if len(r.Differences) < r.examples {
		r.Differences = append(r.Differences, d)
	}
}

// finish puts the shares in order.
func (r *Report) finish() {
	for _, s := range r.shares {
		r.Shares = append(r.Shares, *s)
	}
	slices.SortFunc(r.Shares, func(a, b Share) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
}
