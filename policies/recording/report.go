package recording

import (
	"cmp"
	"slices"

	"github.com/weir-lb/weir/policies"
)

// Report compares a policy with the recorded one on the same calls.
type Report struct {
	Cluster  string
	Streams  []Stream // of the cluster: more than one if the policy was swapped
	From, To int64    // nanoseconds, of the first and the last call

	Tables, Picks, Retries, Outcomes int
	DifferentPicks, DifferentRetries int
	Unasked                          int          // calls that a policy has no say in
	Differences                      []Difference // the first ones
	Shares                           []Share      // of picks, by name

	Unheld []string // text that the recorded policy read and the trace does not hold
	Gaps   int      // places where records are missing,
	Lost   uint64   // and how many
	Full   bool     // the recording ended at its limit
	Damage string   // why the trace ends where it ends; "" is at its end

	examples int
	shares   map[uint64]*Share
}

// Difference is a call that two policies answered differently.
type Difference struct {
	Call         string // "pick" or "retry"
	Now          int64  // nanoseconds
	Seq          uint64
	Attempt      uint8
	KeyHash      uint64 // 0 if there is no key
	Tried        []string
	Outcome      policies.Outcome // of the attempt before, for a retry
	Up, Of       int              // endpoints
	Recorded     Answer           // or that of the policy which is compared with
	Replayed     Answer
	RecordedName string // of the endpoint; "" if the answer is none
	ReplayedName string
}

// Share is how many picks went to an endpoint.
type Share struct {
	Endpoint           string
	Recorded, Replayed uint64
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
