package wasmhost

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weir-lb/weir/policies"
)

// Shadow is a policy beside which another decides, on the same requests and for nobody: what the candidate answers is
// counted and forgotten. It implements what a Policy does, and acts as the active one.
type Shadow struct {
	active, candidate *Policy

	picks, agreed     atomic.Uint64
	retries, concords atomic.Uint64

	mu     sync.Mutex
	shares map[uint32]*share // by number of the endpoint
}

// share counts how often an endpoint was chosen.
type share struct {
	id                string
	active, candidate atomic.Uint64
}

// ShadowReport compares a candidate with the policy that serves.
type ShadowReport struct {
	Picks   uint64 // on which both were asked; where the candidate failed or deferred, its fallback answered
	Agreed  uint64 // of them, with the same endpoint, or both with a refusal
	Retries uint64 // the same of what follows a failed attempt
	Concord uint64
	Shares  []ShadowShare // by ID, of endpoints that are there or were chosen
}

// ShadowShare is how often each of both chose an endpoint.
type ShadowShare struct {
	Endpoint          string // ID
	Active, Candidate uint64
}

// NewShadow puts candidate, which is new, beside active. Both are of one cluster. Close closes both; who has another use
// for one of them closes the other by itself instead.
func NewShadow(active, candidate *Policy) *Shadow {
	candidate.inert = true
	candidate.shards = candidate.shards[:1] // so that its outcomes find the instance that picked
	return &Shadow{active: active, candidate: candidate, shares: map[uint32]*share{}}
}

// Active returns the policy that serves.
func (s *Shadow) Active() *Policy { return s.active }

// Candidate returns the policy that does not.
func (s *Shadow) Candidate() *Policy { return s.candidate }

// shadowPicker answers as the active picker for one table.
type shadowPicker struct {
	shadow            *Shadow
	active, candidate policies.Picker
	shares            []*share // by index
}

// Build implements policies.Policy.
func (s *Shadow) Build(t *policies.Table) (policies.Picker, error) {
	active, err := s.active.Build(t)
	if err != nil {
		return nil, err
	}
	candidate, err := s.candidate.Build(t)
	if err != nil {
		return nil, err
	}
	pk := &shadowPicker{shadow: s, active: active, candidate: candidate}
	s.mu.Lock()
	defer s.mu.Unlock()
	here := make(map[uint32]bool, len(t.Endpoints))
	for _, e := range t.Endpoints {
		here[e.Num] = true
		sh := s.shares[e.Num]
		if sh == nil {
			sh = &share{id: e.ID}
			s.shares[e.Num] = sh
		}
		pk.shares = append(pk.shares, sh)
	}
	for num := range s.shares {
		if len(s.shares) > maxGone && !here[num] {
			delete(s.shares, num)
		}
	}
	return pk, nil
}

// maxGone bounds for how many endpoints a shadow counts if some of them are gone.
const maxGone = 1000

// scratch holds requests that candidates are asked about.
var scratch = sync.Pool{New: func() any { return new(policies.Request) }}

// Pick implements policies.Picker.
func (pk *shadowPicker) Pick(r *policies.Request, v *policies.View) int {
	q := scratch.Get().(*policies.Request)
	*q = *r
	q.Trace = nil
	i := pk.active.Pick(r, v)
	j := pk.candidate.Pick(q, v)
	r.ShadowTag = q.Tag
	s := pk.shadow
	if i < 0 {
		s.unmade(q, v, j)
	}
	*q = policies.Request{}
	scratch.Put(q)
	s.picks.Add(1)
	if i == j {
		s.agreed.Add(1)
	}
	if i >= 0 {
		pk.shares[i].active.Add(1)
	}
	if j >= 0 {
		pk.shares[j].candidate.Add(1)
	}
	return i
}

// Next implements policies.Failover.
func (s *Shadow) Next(r *policies.Request, v *policies.View, o policies.Outcome) policies.Verdict {
	q := scratch.Get().(*policies.Request)
	*q = *r
	q.Trace, q.Instance, q.NList = nil, 0, 0
	a := s.active.Next(r, v, o)
	b := s.candidate.Next(q, v, o)
	r.ShadowTag = q.Tag
	if b.Action == policies.Retry && (a.Action != policies.Retry || a.Endpoint < 0) {
		s.unmade(q, v, b.Endpoint)
	}
	*q = policies.Request{}
	scratch.Put(q)
	s.retries.Add(1)
	if a.Action == b.Action && a.Endpoint == b.Endpoint {
		s.concords.Add(1)
	}
	return a
}

// unmade tells the candidate that nothing comes of its answer j to q, if that names an endpoint. Where the active one names
// an endpoint too, the end of that attempt is the end of both answers.
func (s *Shadow) unmade(q *policies.Request, v *policies.View, j int) {
	if j < 0 {
		return
	}
	s.candidate.Observe(v, policies.Feedback{
		Outcome: policies.Outcome{Endpoint: j, Class: policies.Cancelled, Load: -1}, Now: q.Now, Num: v.Table.Endpoints[j].Num,
		Tag: q.Tag, Attempt: q.Attempt, Unmade: true,
	})
}

// Observe implements policies.Observer. The candidate hears how an attempt ended that the active one chose, with the tag
// that the candidate set for it.
func (s *Shadow) Observe(v *policies.View, f policies.Feedback) {
	s.active.Observe(v, f)
	f.Tag, f.Instance = f.Shadow, 0
	s.candidate.Observe(v, f)
}

// Advance lets time pass for both.
func (s *Shadow) Advance(now int64) {
	s.active.Advance(now)
	s.candidate.Advance(now)
}

// Rehearse implements policies.Rehearser.
func (s *Shadow) Rehearse(t *policies.Table) (policies.Rehearsal, error) { return s.active.Rehearse(t) }

// Report returns what was counted so far.
func (s *Shadow) Report() ShadowReport {
	r := ShadowReport{Picks: s.picks.Load(), Agreed: s.agreed.Load(), Retries: s.retries.Load(), Concord: s.concords.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shares {
		r.Shares = append(r.Shares, ShadowShare{sh.id, sh.active.Load(), sh.candidate.Load()})
	}
	slices.SortFunc(r.Shares, func(a, b ShadowShare) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	return r
}

// Close closes both.
func (s *Shadow) Close() error { return errors.Join(s.active.Close(), s.candidate.Close()) }
