package proxy

import (
	"encoding/json"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weir-lb/weir/policies"
)

// Explanation says how a request was decided, or, if it was rehearsed, how it would be.
type Explanation struct {
	Time      time.Time `json:"time,omitzero"` // when the request came
	Rehearsed bool      `json:"rehearsed,omitempty"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"` // the first 256 bytes
	Client    string    `json:"client"`

	Route   string `json:"route,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Digest  string `json:"digest,omitempty"` // of its module
	Keyed   bool   `json:"keyed,omitempty"`  // it has an affinity key
	Sticky  string `json:"sticky,omitempty"` // the endpoint that its affinity cookie names
	Up      int    `json:"up"`               // endpoints that the request may go to
	Of      int    `json:"of"`               // endpoints in all

	Part *ExplainedPart `json:"part,omitempty"` // nil if all requests see the same

	Excluded  []Exclusion         `json:"excluded,omitempty"` // at the last pick
	Decisions []ExplainedDecision `json:"decisions,omitempty"`
	Attempts  []ExplainedAttempt  `json:"attempts,omitempty"`

	Status  int    `json:"status,omitempty"`  // of the response; 0 in a rehearsal in which an endpoint would answer
	Problem string `json:"problem,omitempty"` // name of the gateway's own answer
	Micros  int64  `json:"us,omitempty"`      // from the request's arrival to the end of its response
	Cut     bool   `json:"cut,omitempty"`     // there was more than there is room for
}

// ExplainedPart says which part of the cluster a request was given: traffic is divided among tiers, among zones, or, in
// panic, among all that there is.
type ExplainedPart struct {
	Number int     `json:"number"` // from 1; 0 if it had the whole from the beginning
	Of     int     `json:"of"`
	Share  float64 `json:"share,omitempty"` // of the requests, 0..1
	Panic  bool    `json:"panic,omitempty"` // health is ignored there
	Left   string  `json:"left,omitempty"`  // why it went on with the whole
}

// Exclusion is an endpoint that a pick could not take.
type Exclusion struct {
	Endpoint string `json:"endpoint"`
	// Reason is "weight 0", "tried", "other tier", "other part", or "down", "draining" or "ejected" with a colon and what says so.
	Reason string `json:"reason"`
}

// ExplainedDecision is a policies.Decision with names in place of indexes. Policy and Digest are "" where they are those
// of the explanation.
type ExplainedDecision struct {
	Policy   string `json:"policy,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Call     string `json:"call"`
	Result   string `json:"result"`
	Answer   *int32 `json:"answer,omitempty"`   // of a guest, as it came
	Endpoint string `json:"endpoint,omitempty"` // "" if none was decided on
	Reason   uint32 `json:"reason,omitempty"`
	Fuel     int64  `json:"fuel,omitempty"`
	Nanos    int64  `json:"ns,omitempty"`
	Fallback string `json:"fallback,omitempty"`
	Why      string `json:"why,omitempty"`
}

// ExplainedAttempt is one attempt. In a rehearsal it is what would be tried if all before it ended by a reset.
type ExplainedAttempt struct {
	Endpoint string `json:"endpoint"`
	Address  string `json:"address"`
	Began    int64  `json:"began_us"`          // after the request's arrival
	Outcome  string `json:"outcome,omitempty"` // a class; "" while it is under way
	Status   int    `json:"status,omitempty"`
	Micros   int64  `json:"us,omitempty"`      // until the head of the response is there; later, its end
	Verdict  string `json:"verdict,omitempty"` // why another attempt followed, or none
	Hedge    bool   `json:"hedge,omitempty"`   // it ran beside another
	Loser    bool   `json:"loser,omitempty"`   // the other one answered first
}

const (
	maxExplainHeader = 4 << 10 // bytes of the Weir-Explain field
	maxExplainPath   = 256
	maxExcluded      = 64
	keptExplanations = 256
)

// header returns e as one line of ASCII that fits into a header field. What does not fit goes, the least telling first.
func (e Explanation) header() []byte {
	for {
		b, _ := json.Marshal(e) // no field of it can fail
		if b = ascii(b); len(b) <= maxExplainHeader {
			return b
		}
		e.Cut = true
		switch n, d := len(e.Excluded), len(e.Decisions); {
		case n > 0:
			e.Excluded = e.Excluded[:n/2]
		case d > 0:
			e.Decisions = e.Decisions[:d/2]
		case len(e.Attempts) > 0:
			e.Attempts = e.Attempts[:len(e.Attempts)/2]
		case e.Path != "":
			e.Path = ""
		default:
			e = Explanation{Cut: true}
		}
	}
}

// ascii escapes what JSON leaves as UTF-8. Control characters it has escaped already.
func ascii(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if b[0] < utf8.RuneSelf && b[0] != 0x7f {
			out = append(out, b[0])
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		if r > 0xffff {
			r -= 0x10000
			out = appendEscape(out, 0xd800|r>>10)
			r = 0xdc00 | r&0x3ff
		}
		out = appendEscape(out, r)
	}
	return out
}

func appendEscape(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}

// explained turns a decision over endpoints of t into words.
func explained(d *policies.Decision, t *policies.Table, e *Explanation) ExplainedDecision {
	x := ExplainedDecision{
		Call: d.Call, Result: d.Result, Reason: d.Reason, Fuel: d.Fuel, Nanos: d.Nanos, Fallback: d.Fallback, Why: d.Why,
	}
	if d.Policy != e.Policy || d.Digest != e.Digest {
		x.Policy, x.Digest = d.Policy, d.Digest
	}
	if d.Digest != "" {
		answer := d.Answer
		x.Answer = &answer
	}
	if d.Endpoint >= 0 && d.Endpoint < len(t.Endpoints) {
		x.Endpoint = t.Endpoints[d.Endpoint].ID
	}
	return x
}

// explanations keeps the last of them.
type explanations struct {
	mu   sync.Mutex // taken by requests that are explained alone
	ring []Explanation
	next int // where the next one goes, once the ring is full
}

func (x *explanations) add(e Explanation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.ring) < keptExplanations {
		x.ring = append(x.ring, e)
		return
	}
	x.ring[x.next] = e
	x.next = (x.next + 1) % keptExplanations
}

// Explanations returns the last n explanations of requests that asked for one, the newest first. At most 256 are kept.
func (s *Server) Explanations(n int) []Explanation {
	x := &s.explained
	x.mu.Lock()
	defer x.mu.Unlock()
	k := len(x.ring)
	out := make([]Explanation, max(0, min(n, k)))
	for i := range out {
		out[i] = x.ring[(x.next-1-i+2*k)%k]
	}
	return out
}
