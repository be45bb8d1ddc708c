package workbench

import (
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// Result is what became of a law or of a case.
type Result struct {
	Name     string        `json:"name"`
	At       string        `json:"at,omitempty"` // file:line of a case
	Took     time.Duration `json:"took_ns"`
	Skipped  string        `json:"skipped,omitempty"` // why it was not asked
	Failures []Failure     `json:"failures,omitempty"`
	Log      []string      `json:"log,omitempty"` // what the guest logged, if it failed
}

// Failure is one thing that is not as it should be.
type Failure struct {
	At   string `json:"at,omitempty"` // file:line: step
	What string `json:"what"`
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

// OK reports whether nothing is wrong.
func (r *Result) OK() bool { return len(r.Failures) == 0 }

// Laws holds the module to each law, and tells each result as soon as it is there.
func (s *Subject) Laws(c *Cases, tell func(Result)) {
	claims := Claims{Shares: "none"}
	if c != nil {
		claims = c.Laws
	}
	o := claims.options()
	for _, law := range policytest.Laws() {
		r := Result{Name: strings.ReplaceAll(law.Name, "_", " ")}
		if !s.wants(r.Name) {
			continue
		}
		if r.Skipped = law.Unclaimed(o); r.Skipped != "" {
			tell(r)
			continue
		}
		begin := time.Now()
		var guests []*Guest
		err := law.Hold(func() (policies.Policy, error) {
			g, err := s.Guest("laws", "p2c", c.config(nil, s.Config), func() int64 { return epoch })
			if err != nil {
				return nil, err
			}
			guests = append(guests, g)
			return g, nil
		}, o)
		if err != nil {
			r.Failures = append(r.Failures, Failure{What: err.Error()})
		}
		for _, g := range guests {
			if f := g.fault(); f != "" {
				r.Failures = append(r.Failures, Failure{What: f})
				break
			}
		}
		for _, g := range guests {
			if err := g.Close(); err != nil {
				r.Failures = append(r.Failures, Failure{What: err.Error()})
			}
		}
		tell(s.judged(r, begin))
	}
}

// Claims are what a policy promises beside the laws that hold for all.
type Claims struct {
	Shares    string            `yaml:"shares" default:"none" oneof:"none some by_weight evenly by_load"`
	Keyed     bool              `yaml:"keyed"`
	Moves     float64           `yaml:"moves" as:"percent" default:"0%" min:"0%" max:"100%"`
	AnyTier   bool              `yaml:"any_tier"`
	MayReject bool              `yaml:"may_reject"`
	Meta      map[string]string `yaml:"meta"` // of every endpoint of the laws
}

func (c *Claims) options() policytest.Options {
	o := policytest.Options{
		Shares: map[string]policytest.Shares{
			"none": policytest.Unclaimed, "some": policytest.Some,
			"by_weight": policytest.ByWeight, "evenly": policytest.Evenly, "by_load": policytest.ByLoad,
		}[c.Shares],
		Keyed:     c.Keyed,
		Moves:     c.Moves,
		AnyTier:   c.AnyTier,
		MayReject: c.MayReject,
	}
	if len(c.Meta) > 0 {
		pairs := metadata(c.Meta)
		o.Shape = func(_ int, e *policies.Endpoint) { e.Meta = pairs }
	}
	return o
}

func metadata(m map[string]string) []policies.Pair {
	pairs := make([]policies.Pair, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, policies.Pair{Key: k, Value: v})
	}
	slices.SortFunc(pairs, func(a, b policies.Pair) int { return strings.Compare(a.Key, b.Key) })
	return pairs
}
