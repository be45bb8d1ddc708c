package wasmhost

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/policies"
)

// DryRun is what the picks of a dry run came to.
type DryRun struct {
	Picks   int
	Results map[string]int // by name of Result
	Fuel    int64          // of all picks together
	MaxFuel int64          // of the dearest
}

const (
	dryRunPicks     = 64
	dryRunEndpoints = 5
)

// dryRunTable has five endpoints in two tiers.
func dryRunTable() *policies.Table {
	t := &policies.Table{Gen: 1, Zones: []string{"", "a", "b"}, SelfZone: 1}
	for i := range dryRunEndpoints {
		id := fmt.Sprintf("dry-run-%d", i)
		e := &policies.Endpoint{
			ID: id, IDHash: xxhash.Sum64String(id), Num: uint32(i + 1), Address: fmt.Sprintf("192.0.2.%d:80", i+1), Name: id,
			Weight: uint32(1 + i%3), Zone: uint16(1 + i%2), Meta: []policies.Pair{{Key: "version", Value: fmt.Sprintf("v%d", 1+i%2)}},
			State: policies.NewState(policies.Up),
		}
		if e.Zone == t.SelfZone {
			e.Flags |= policies.SameZone
		}
		if i >= 3 {
			e.Tier = 1
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	return t
}

// TryOn is the dry run over a cluster's own table, before the module gets its traffic. Neither t nor the states of its
// endpoints are changed.
func (m *Module) TryOn(t *policies.Table) error {
	own := *t
	own.Ejector = nil
	own.Endpoints = make([]*policies.Endpoint, len(t.Endpoints))
	for i, e := range t.Endpoints {
		c := *e
		c.State = policies.NewState(policies.Up)
		own.Endpoints[i] = &c
	}
	in, err := m.newInstance("dry-run", m.shared.copy())
	if err != nil {
		return &StepError{StepInit, err}
	}
	defer in.close()
	in.inert = true
	_, err = in.dryRun(&own)
	return err
}

// dryRun takes in through lb_endpoints and 64 picks over t. One endpoint is down in the second half. Any answer is good
// but one that is none: what a policy wants is its own affair.
func (in *instance) dryRun(t *policies.Table) (DryRun, error) {
	d := DryRun{Results: map[string]int{}}
	if err := in.setTable(t); err != nil {
		return d, &StepError{StepEndpoints, err}
	}
	v := policies.NewView(t, 1, false, func(int) bool { return true })
	now := in.module.options.Now()
	seed := callContext{rand: 1}
	for n := range dryRunPicks {
		if n == dryRunPicks/2 && len(t.Endpoints) > 1 {
			t.Endpoints[1].Store(policies.ColHealth, uint32(policies.Down))
			v = policies.NewView(t, 2, false, func(i int) bool { return i != 1 })
		}
		r := policies.Request{
			Now: now + int64(n)*1e6, Rand: seed.next(), Seq: uint64(n), Method: policies.MethodGet,
			Flags: policies.Idempotent | policies.Replayable, ContentLength: 0, StickyEP: policies.None,
			Last: policies.Outcome{Endpoint: policies.None},
		}
		if n%2 == 1 {
			r.Flags |= policies.HasKey
			r.KeyHash = seed.next()
		}
		if err := in.ask(in.pick, &r, v, &r.Last); err != nil {
			return d, &StepError{StepDryRun, fmt.Errorf("lb_pick, call %d of %d: %w", n+1, dryRunPicks, err)}
		}
		result, _ := settle(in.answer, in.req.view, &r, v, false)
		if result == BadIndex || result == BadReturn {
			return d, &StepError{StepDryRun, fmt.Errorf("lb_pick, call %d of %d: it answered %d, which is %v: want an index below %d, or -1..-3 with fitting answers",
				n+1, dryRunPicks, in.answer, result, len(t.Endpoints))}
		}
		d.Picks++
		d.Results[result.String()]++
		d.Fuel += in.used
		d.MaxFuel = max(d.MaxFuel, in.used)
	}
	return d, nil
}
