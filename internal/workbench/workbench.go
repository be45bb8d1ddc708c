// Package workbench is where policies are made: it writes projects, holds modules to the laws and to cases in virtual
// time, and measures them. No gateway is needed.
package workbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost"
)

// Subject is a module on the bench.
type Subject struct {
	Name    string // of the policy: it seeds the guest's chance
	Wasm    []byte
	File    string           // where it came from, if from a file
	Options wasmhost.Options // how it is loaded; Name, Config, Now and Manual are set by the bench
	Config  []byte           // handed to lb_init unless a case has its own; nil: what the file of cases says
	Seed    uint64           // of all chance
	Only    string           // laws and cases whose name has this in it

	host    *wasmhost.Host
	held    *wasmhost.Module // so that its native code is made once
	journal journal
}

var quiet = slog.New(slog.DiscardHandler)

// Open makes the bench ready. Close it.
func (s *Subject) Open() (err error) {
	s.host, err = wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(&s.journal)})
	return err
}

// Close ends what Open began.
func (s *Subject) Close() error {
	var err error
	if s.held != nil {
		err = s.held.Close()
	}
	return errors.Join(err, s.host.Close())
}

// Admit takes the module through every step on the way to a policy, and is called once. The error says which step refuses it.
func (s *Subject) Admit(c *Cases) (wasmhost.Info, error) {
	m, err := s.load(c.config(nil, s.Config), nil)
	if err != nil {
		return wasmhost.Info{}, err
	}
	s.held = m
	return m.Info(), nil
}

// load takes the module through every step.
func (s *Subject) load(config []byte, now func() int64) (*wasmhost.Module, error) {
	o := s.Options
	o.Name, o.Config, o.Now, o.Manual = s.Name, config, now, true
	m, err := s.host.Load(context.Background(), s.Wasm, o)
	if err != nil {
		return nil, fmt.Errorf("refused at step %w", err)
	}
	return m, nil
}

// wants reports whether a law or case of that name is asked for.
func (s *Subject) wants(name string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(s.Only))
}

// judged finishes a result.
func (s *Subject) judged(r Result, begin time.Time) Result {
	r.Took = time.Since(begin)
	if lines := s.journal.take(); !r.OK() {
		r.Log = lines
	}
	return r
}

// Guest is a policy of a module of its own: counters and key-value store are shared with no other.
type Guest struct {
	*wasmhost.Policy
	module *wasmhost.Module
}

// conditions are what a gateway repeats unless its configuration says otherwise.
var conditions = policies.Conditions{
	Classes: 1<<policies.Refused | 1<<policies.ConnectTimeout | 1<<policies.TLSFailed | 1<<policies.Unresolvable |
		1<<policies.PoolExhausted | 1<<policies.Reset | 1<<policies.Malformed | 1<<policies.HeaderTimeout,
	Statuses: []int{502, 503, 504},
}

// Guest makes a policy that has served nothing. fallback is the name of a built-in.
func (s *Subject) Guest(cluster, fallback string, config []byte, now func() int64) (*Guest, error) {
	native, ok := policies.ByName(fallback)
	if !ok {
		return nil, fmt.Errorf("fallback %q, want a built-in policy", fallback)
	}
	m, err := s.load(config, now)
	if err != nil {
		return nil, err
	}
	return &Guest{m.NewPolicy(cluster, native, &policies.NextEndpoint{Conditions: conditions}), m}, nil
}

// Close ends the policy.
func (g *Guest) Close() error { return errors.Join(g.Policy.Close(), g.module.Close()) }

// fault says what speaks against the guest so far, or "".
func (g *Guest) fault() string {
	s := g.Stats()
	for f, n := range s.Failures {
		if n > 0 {
			return fmt.Sprintf("the guest failed %s: %s", times(n), because(wasmhost.Failure(f), s.LastFailure))
		}
	}
	if n := s.Picks[wasmhost.Stale]; n > 0 {
		return fmt.Sprintf("the guest named an endpoint that is down or was tried %s: the fallback decided instead", times(n))
	}
	return ""
}

func because(f wasmhost.Failure, last string) string {
	switch f {
	case wasmhost.FailBadIndex:
		return "it named an endpoint that is not in the table, or a list of which none is usable"
	case wasmhost.FailBadReturn:
		return "it answered something that means nothing: want an index, or -1 DEFER, -2 REJECT, -3 LIST, -4 STOP with fitting answers"
	}
	return last
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
