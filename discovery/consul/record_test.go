package consul

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record keeps every state that a source publishes.
type record struct {
	mu     sync.Mutex
	states []told
	read   int           // states before this one have been waited for
	news   chan struct{} // holds one item if states came since the last look
}

type told struct {
	discovery.State
	when time.Time
}

// watching runs a source until the test ends.
func watching(t testing.TB, s discovery.Source) *record {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &record{news: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx, r.add) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

func (r *record) add(s discovery.State) {
	r.mu.Lock()
	r.states = append(r.states, told{s, time.Now()})
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *record) all() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.states)
}

func (r *record) last() told {
	all := r.all()
	if len(all) == 0 {
		return told{}
	}
	return all[len(all)-1]
}

// until waits for a state that is as wanted and came after the one that it returned before.
func (r *record) until(t testing.TB, what string, ok func(discovery.State) bool) told {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		for all := r.all(); r.read < len(all); {
			s := all[r.read]
			r.read++
			if ok(s.State) {
				return s
			}
		}
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("waited 30 s for %s; of %d states the last is %s, error %v",
				what, len(r.all()), sketch(r.last().State), r.last().Err)
		}
	}
}

// sketch writes a state as "live a=passing/10 b=critical/1".
func sketch(s discovery.State) string {
	var b strings.Builder
	b.WriteString(s.Origin.String())
	for _, in := range s.Instances {
		b.WriteString(" " + in.Name + "=" + in.Status.String())
	}
	return b.String()
}

func is(want string) func(discovery.State) bool {
	return func(s discovery.State) bool { return sketch(s) == want && s.Err == nil }
}

func stale(want string, k ProblemKind) func(discovery.State) bool {
	return func(s discovery.State) bool { return sketch(s) == want && kind(s.Err) == k }
}

func client(t testing.TB, o Options) *Client {
	t.Helper()
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 100 * time.Millisecond
	}
	o.Seed = 1
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
