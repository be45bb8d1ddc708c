package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

type transport struct{ rescued, closed atomic.Int32 }

func (t *transport) Rescue() { t.rescued.Add(1) }
func (t *transport) Close()  { t.closed.Add(1) }

func (t *transport) End(bool) (ended, left int) { return 0, 0 }

// lowest picks the first usable endpoint that was not tried. With fail set it refuses every table.
type lowest struct{ fail atomic.Bool }

func (p *lowest) Build(*policies.Table) (policies.Picker, error) {
	if p.fail.Load() {
		return nil, errors.New("refused")
	}
	return p, nil
}

func (p *lowest) Pick(r *policies.Request, v *policies.View) int {
	for _, i := range v.Candidates(r) {
		if !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

func settings() Settings {
	return Settings{
		Policy: &lowest{}, Failover: &policies.NextEndpoint{},
		Transport: func(string) Transport { return &transport{} },
	}
}

func start(t *testing.T, s Settings, leases *Leases) *Cluster {
	t.Helper()
	c, err := New("web", s, leases, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func live(in ...discovery.Instance) discovery.State {
	return discovery.State{Instances: in, At: time.Now(), Origin: discovery.OriginLive}
}

func instance(id string) discovery.Instance {
	return discovery.Instance{ID: id, Name: id, Address: "127.0.0.1:1", Weight: 1}
}

// as is an instance under another ID.
func as(in discovery.Instance, id string) discovery.Instance {
	in.ID = id
	return in
}

func up(c *Cluster) []string {
	var ids []string
	s := c.Load()
	for _, i := range s.View.Up {
		ids = append(ids, s.Endpoints[i].ID)
	}
	return ids
}

func wantUp(t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	gatewaytest.Eventually(t, fmt.Sprintf("up is %v", want), func() bool { return fmt.Sprint(up(c)) == fmt.Sprint(want) })
}

func TestApply(t *testing.T) {
	t.Run("endpoints_survive_by_identity_with_their_counters", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a"), instance("b")))
		a := c.Load().Endpoints[0]
		a.Begin()
		heavier := instance("a")
		heavier.Weight = 5
		c.Apply(live(heavier, instance("c")))
		s := c.Load()
		if s.Endpoints[0] != a || s.Table.Endpoints[0].Weight != 5 || s.Table.Endpoints[0].Inflight() != 1 {
			t.Errorf("endpoint a: %p weight %d in flight %d, want %p, 5, 1", s.Endpoints[0], s.Table.Endpoints[0].Weight,
				s.Table.Endpoints[0].Inflight(), a)
		}
		a.End(policies.Outcome{})
	})
	t.Run("an_endpoint_that_left_is_closed_once", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a"), instance("b")))
		b := c.Load().Endpoints[1]
		c.Apply(live(instance("a")))
		if n := b.Transport.(*transport).closed.Load(); n != 1 {
			t.Errorf("closed %d times, want 1", n)
		}
	})
	t.Run("another_address_is_another_endpoint", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a")))
		old := c.Load().Endpoints[0]
		moved := instance("a")
		moved.Address = "127.0.0.1:2"
		c.Apply(live(moved))
		if now := c.Load().Endpoints[0]; now == old || old.Transport.(*transport).closed.Load() != 1 {
			t.Errorf("same endpoint %v, old one closed %d times; want another, and 1", now == old, old.Transport.(*transport).closed.Load())
		}
	})
	t.Run("a_change_of_status_makes_a_view_not_a_table", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a"), instance("b")))
		before := c.Load()
		sick := instance("a")
		sick.Status = discovery.Critical
		c.Apply(live(sick, instance("b")))
		after := c.Load()
		if after.Table != before.Table || after.View == before.View || after.View.Gen <= before.View.Gen {
			t.Errorf("table kept %v, view generations %d then %d", after.Table == before.Table, before.View.Gen, after.View.Gen)
		}
		wantUp(t, c, "b")
	})
	t.Run("attempts_are_rescued_from_an_endpoint_that_goes_down_but_not_from_one_that_drains", func(t *testing.T) {
		c := start(t, settings(), nil)
		a, b := instance("a"), instance("b")
		c.Apply(live(a, b, instance("c")))
		a.Status, b.Status = discovery.Critical, discovery.Maintenance
		c.Apply(live(a, b, instance("c")))
		for i, want := range []int32{1, 0} {
			if n := c.Load().Endpoints[i].Transport.(*transport).rescued.Load(); n != want {
				t.Errorf("endpoint %d: rescued %d times, want %d", i, n, want)
			}
		}
	})
	t.Run("the_same_answer_publishes_nothing", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a")))
		before := c.Load()
		c.Apply(live(instance("a")))
		if c.Load() != before {
			t.Error("a new snapshot for the same answer")
		}
	})
	t.Run("no_answer_removes_nobody", func(t *testing.T) {
		c := start(t, settings(), nil)
		c.Apply(live(instance("a")))
		c.Apply(discovery.State{Err: errors.New("agent gone")})
		wantUp(t, c, "a")
		if got := c.Status().Error; got != "agent gone" {
			t.Errorf("status says %q, want the error", got)
		}
	})
	t.Run("a_policy_that_refuses_the_table_leaves_the_old_one_and_is_asked_again", func(t *testing.T) {
		s := settings()
		c := start(t, s, nil)
		c.Apply(live(instance("a")))
		s.Policy.(*lowest).fail.Store(true)
		c.Apply(live(instance("a"), instance("b")))
		wantUp(t, c, "a")
		s.Policy.(*lowest).fail.Store(false)
		c.Apply(live(instance("a"), instance("b")))
		wantUp(t, c, "a", "b")
	})
	t.Run("maintenance_drains_and_weight_zero_gets_nothing", func(t *testing.T) {
		c := start(t, settings(), nil)
		m, z := instance("m"), instance("z")
		m.Status, z.Weight = discovery.Maintenance, 0
		c.Apply(live(instance("a"), m, z))
		wantUp(t, c, "a")
		if got := c.Status().Endpoints[1].State; got != "draining" {
			t.Errorf("state %q, want draining", got)
		}
		for i, want := range []policies.EndpointFlags{0, 0, policies.Draining} {
			if got := c.Load().Table.Endpoints[i].Flags; got != want {
				t.Errorf("flags of endpoint %d are %d, want %d", i, got, want)
			}
		}
	})
	t.Run("who wants to know hears of each change", func(t *testing.T) {
		var heard []string
		s := settings()
		s.Changed = func(endpoint, from, to, why string) { heard = append(heard, endpoint+" "+from+" "+to+" "+why) }
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b")))
		sick := instance("b")
		sick.Status = discovery.Critical
		for range 2 {
			c.Apply(live(instance("a"), sick))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if want := "[b up down discovery]"; fmt.Sprint(heard) != want {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
	t.Run("a_snapshot_is_degraded_until_the_catalogue_confirms", func(t *testing.T) {
		c := start(t, settings(), nil)
		s := live(instance("a"))
		s.Origin = discovery.OriginSnapshot
		c.Apply(s)
		if got := c.Load().Endpoints[0].Health(); got != policies.Degraded {
			t.Errorf("health %v, want degraded", got)
		}
		c.Apply(live(instance("a")))
		if got := c.Load().Endpoints[0].Health(); got != policies.Up {
			t.Errorf("health %v, want up", got)
		}
	})
}

func fail(e *Endpoint, times int) {
	for range times {
		e.Begin()
		e.End(policies.Outcome{Class: policies.Refused})
	}
}

func TestOutlier(t *testing.T) {
	s := settings()
	s.Outlier = Outlier{Consecutive: 5, BaseEjection: time.Hour, MaxEjected: 0.5}
	three := live(instance("a"), instance("b"), instance("c"))
	t.Run("five_failures_in_a_row_eject", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(three)
		a := c.Load().Endpoints[0]
		fail(a, 4)
		a.Begin()
		a.End(policies.Outcome{Class: policies.OK}) // starts the count afresh
		fail(a, 4)
		wantUp(t, c, "a", "b", "c")
		fail(a, 1)
		wantUp(t, c, "b", "c")
	})
	t.Run("a_cancelled_attempt_says_nothing", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(three)
		a := c.Load().Endpoints[0]
		for range 10 {
			a.Begin()
			a.End(policies.Outcome{Class: policies.Cancelled})
		}
		if n := a.State.Load(policies.ColConsecutiveFail); n != 0 {
			t.Errorf("%d failures in a row, want 0", n)
		}
	})
	t.Run("no_more_than_the_allowed_share_is_out", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d")))
		for _, e := range c.Load().Endpoints {
			fail(e, 5)
		}
		gatewaytest.Eventually(t, "two are out", func() bool { return len(up(c)) == 2 })
		c.wake <- struct{}{}
		if n := len(up(c)); n != 2 {
			t.Errorf("%d up, want 2", n)
		}
	})
	t.Run("the_only_endpoint_stays", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(instance("a")))
		fail(c.Load().Endpoints[0], 20)
		c.mu.Lock()
		c.detectOutliers(time.Now())
		c.mu.Unlock()
		wantUp(t, c, "a")
	})
	t.Run("an_ejection_ends", func(t *testing.T) {
		brief := s
		brief.Outlier.BaseEjection = 150 * time.Millisecond
		c := start(t, brief, nil)
		c.Apply(three)
		a := c.Load().Endpoints[0]
		fail(a, 5)
		wantUp(t, c, "b", "c")
		wantUp(t, c, "a", "b", "c")
		if n := a.State.Load(policies.ColConsecutiveFail); n != 0 {
			t.Errorf("%d failures in a row after readmission, want 0", n)
		}
	})
	t.Run("the_operator_readmits", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(three)
		fail(c.Load().Endpoints[0], 5)
		wantUp(t, c, "b", "c")
		if err := c.SetOverride("a", NoOverride); err != nil {
			t.Fatal(err)
		}
		wantUp(t, c, "a", "b", "c")
	})
}

func TestProbe(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" || r.Host != "web.internal" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer srv.Close()
	in := instance("a")
	in.Address = srv.Listener.Addr().String()
	s := settings()
	s.Outlier = Outlier{Consecutive: 5, BaseEjection: time.Hour, MaxEjected: 1}
	s.Probe = &Probe{Path: "/healthz", Host: "web.internal", Interval: 10 * time.Millisecond, Timeout: time.Second, Fall: 2, Rise: 2}

	t.Run("http_takes_out_and_brings_back", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(in, instance("z")))
		gatewaytest.Eventually(t, "a passes", func() bool { return c.Status().Endpoints[0].Evidence.Probe == "passing" })
		status.Store(503)
		wantUp(t, c)
		if got, want := c.Status().Endpoints[0].Evidence.ProbeError, "status 503, want 200..399"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
		status.Store(200)
		wantUp(t, c, "a")
	})
	t.Run("a_probe_that_failed_and_is_good_again_ends_an_ejection", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(in, as(in, "b")))
		fail(c.Load().Endpoints[0], 5)
		wantUp(t, c, "b")
		status.Store(503)
		wantUp(t, c)
		status.Store(200)
		wantUp(t, c, "a", "b")
	})
	t.Run("a_probe_that_was_good_all_the_time_does_not_end_an_ejection", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(in, as(in, "b")))
		fail(c.Load().Endpoints[0], 5)
		wantUp(t, c, "b")
		probed := func() time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.endpoints["a"].probe.at
		}
		for range 2 * s.Probe.Rise {
			last := probed()
			gatewaytest.Eventually(t, "one more probe", func() bool { return probed().After(last) })
		}
		wantUp(t, c, "b")
	})
	t.Run("another_interval_keeps_what_probes_said", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(instance("a"), as(in, "z"))) // nothing listens at the address of a
		wantUp(t, c, "z")
		slower := s
		slower.Probe = &Probe{Path: "/healthz", Host: "web.internal", Interval: time.Hour, Timeout: time.Second, Fall: 2, Rise: 2}
		if err := c.Configure(slower); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(up(c)); got != "[z]" {
			t.Errorf("up is %s, want z alone", got)
		}
	})
	t.Run("tcp_sees_a_closed_port", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp := s
		tcp.Probe = &Probe{Interval: 10 * time.Millisecond, Timeout: time.Second, Fall: 2, Rise: 1}
		c := start(t, tcp, nil)
		at := instance("a")
		at.Address = ln.Addr().String()
		c.Apply(live(at))
		gatewaytest.Eventually(t, "a passes", func() bool { return c.Status().Endpoints[0].Evidence.Probe == "passing" })
		_ = ln.Close()
		wantUp(t, c)
	})
	t.Run("turning_probes_off_forgets_what_they_said", func(t *testing.T) {
		c := start(t, s, nil)
		c.Apply(live(instance("a")))
		wantUp(t, c) // nothing listens on port 1
		if err := c.Configure(settings()); err != nil {
			t.Fatal(err)
		}
		wantUp(t, c, "a")
	})
}

func TestHeartbeat(t *testing.T) {
	leases, err := NewLeases(16)
	if err != nil {
		t.Fatal(err)
	}
	defer leases.Close()
	s := settings()
	s.Heartbeat = 300 * time.Millisecond
	c, err := New("web", s, leases, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Apply(live(instance("a"), instance("b")))
	beat := func(id string, known bool) {
		t.Helper()
		if got, err := c.Beat(id, time.Time{}); got != known || err != nil {
			t.Fatalf("beat of %s: known %v, %v; want %v", id, got, err, known)
		}
	}
	beat("a", true)
	wantUp(t, c, "a", "b")
	gatewaytest.Eventually(t, "a is suspect", func() bool { return c.Load().Endpoints[0].Health() == policies.Degraded })
	wantUp(t, c, "b") // b never sent a beat: neutral
	beat("a", true)
	wantUp(t, c, "a", "b")
	beat("early", false)
	early := leaseKey("web", "early", 0)
	gatewaytest.Eventually(t, "the early beat is in ristretto", func() bool { _, ok := leases.cache.Get(early); return ok })
	c.Apply(live(instance("a"), instance("b"), instance("early")))
	if got := c.Status().Endpoints[2].Evidence.Lease; got != "alive" {
		t.Errorf("the lease of an endpoint that sent a beat before discovery reported it is %q, want alive", got)
	}
}

// TestHammer runs requests, discovery, health and configuration against each other; at the end nothing is in flight.
func TestHammer(t *testing.T) {
	s := settings()
	s.Outlier = Outlier{Consecutive: 3, BaseEjection: time.Millisecond, MaxEjected: 0.5}
	c := start(t, s, nil)
	sets := []discovery.State{
		live(instance("a"), instance("b"), instance("c")), live(instance("b"), instance("c"), instance("d")),
	}
	c.Apply(sets[0])
	seen := map[*Endpoint]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			mine := map[*Endpoint]bool{}
			for i := range 3000 {
				snap := c.Load()
				if len(snap.View.Up) == 0 {
					continue
				}
				e := snap.Endpoints[snap.View.Up[i%len(snap.View.Up)]]
				mine[e] = true
				e.Begin()
				e.End(policies.Outcome{Class: policies.Class((i + g) % 4), Total: time.Millisecond})
				c.NextSeq()
			}
			mu.Lock()
			defer mu.Unlock()
			for e := range mine {
				seen[e] = true
			}
		})
	}
	wg.Go(func() {
		for i := range 300 {
			c.Apply(sets[i%2])
			c.Status()
			if err := c.Configure(s); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if len(seen) < 2 {
		t.Errorf("traffic reached %d endpoints, want several", len(seen))
	}
	for e := range seen {
		if n := e.Inflight(); n != 0 {
			t.Errorf("endpoint %s: %d in flight at the end, want 0", e.ID, n)
		}
	}
}

func TestRequestPathAllocatesNothing(t *testing.T) {
	c := start(t, settings(), nil)
	c.Apply(live(instance("a"), instance("b")))
	n := testing.AllocsPerRun(1000, func() {
		s := c.Load()
		e := s.Endpoints[c.NextSeq()%2]
		e.Begin()
		e.End(policies.Outcome{Class: policies.OK, Total: time.Millisecond})
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestTablesOfOneClusterHaveOneSeed, and those of others another: gateways of equal histories do not go in step.
func TestTablesOfOneClusterHaveOneSeed(t *testing.T) {
	a, b := start(t, settings(), nil), start(t, settings(), nil)
	seed := a.Load().Table.Seed
	a.Apply(live(instance("x")))
	if got := a.Load().Table.Seed; got != seed || len(a.Load().Endpoints) != 1 {
		t.Errorf("the next table has seed %d, want %d", got, seed)
	}
	if other := b.Load().Table.Seed; other == seed {
		t.Errorf("another gateway has seed %d too", other)
	}
}
