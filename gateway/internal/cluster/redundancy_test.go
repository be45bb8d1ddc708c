package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// serves names the endpoints that requests go to first, and the shares of parts if there are several.
func serves(c *Cluster) string {
	s := c.Load()
	if len(s.View.Parts) == 0 {
		return "all"
	}
	var parts []string
	for k, p := range s.View.Parts {
		var ids []string
		for _, i := range p.View.Up {
			ids = append(ids, s.Endpoints[i].ID)
		}
		part := strings.Join(ids, " ")
		if len(s.View.Parts) > 1 {
			from := 0.0
			if k > 0 {
				from = float64(s.View.Parts[k-1].Upto)
			}
			part += fmt.Sprintf(":%.0f%%", (float64(p.Upto)-from)/float64(1<<32)*100)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func wantServes(t *testing.T, c *Cluster, when, want string) {
	t.Helper()
	synctest.Wait()
	if got := serves(c); got != want {
		t.Errorf("%s: %q serve, want %q", when, got, want)
	}
}

func redundant(mode policies.RedundancyMode, spares int) Settings {
	s := settings()
	s.Redundancy = &Redundancy{Spares: spares, Redundancy: policies.Redundancy{Mode: mode, Hold: 10 * time.Second}}
	return s
}

func override(t *testing.T, c *Cluster, id string, o Override) {
	t.Helper()
	if err := c.SetOverride(id, o); err != nil {
		t.Fatal(err)
	}
}

func TestOneActiveInACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redundant(policies.OneActive, 0)
		var heard []string
		s.Moved = func(detail string) { heard = append(heard, detail) }
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b")))
		wantServes(t, c, "at first", "a")
		if got := up(c); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("%v are there for a failed attempt, want a and b", got)
		}
		override(t, c, "a", ForceDown)
		wantServes(t, c, "a is out", "b")
		override(t, c, "a", NoOverride)
		time.Sleep(9 * time.Second)
		wantServes(t, c, "a is back for 9 s", "b")
		time.Sleep(1200 * time.Millisecond)
		wantServes(t, c, "a is back for 10 s", "a")
		override(t, c, "a", ForceDown)
		override(t, c, "a", NoOverride)
		if err := c.FailBack(); err != nil {
			t.Fatal(err)
		}
		wantServes(t, c, "the operator wants it back", "a")
		want := []string{"b takes over from a", "traffic goes back to a from b", "b takes over from a", "traffic goes back to a from b"}
		if !slices.Equal(heard, want) {
			t.Errorf("told %q, want %q", heard, want)
		}
		r := c.Status().Redundancy
		if r.Mode != "1+1" || !r.Satisfied || r.Moves != 4 || !slices.Equal(r.InService, []string{"a"}) || !slices.Equal(r.Standby, []string{"b"}) {
			t.Errorf("status %+v, want a in service, b in reserve, four moves", r)
		}
	})
}

func TestSparesInACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, redundant(policies.WithSpares, 1), nil)
		c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d")))
		wantServes(t, c, "at first", "a b c")
		if r := c.Status().Redundancy; r.State != "redundant" || r.Need != 3 || r.Capacity != 4 || !slices.Equal(r.Standby, []string{"d"}) {
			t.Errorf("status %+v, want need 3, capacity 4, d in reserve", r)
		}
		critical := instance("b")
		critical.Status = discovery.Critical
		c.Apply(live(instance("a"), critical, instance("c"), instance("d")))
		wantServes(t, c, "b is critical", "all")
		if r := c.Status().Redundancy; r.State != "exposed" || r.Satisfied || !slices.Equal(r.InService, []string{"a", "c", "d"}) {
			t.Errorf("status %+v, want exposed, a c d in service", r)
		}
		override(t, c, "a", ForceDrain)
		if r := c.Status().Redundancy; r.State != "short" || r.Capacity != 2 {
			t.Errorf("status %+v, want short", r)
		}
		override(t, c, "a", NoOverride)
		c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d")))
		time.Sleep(21 * time.Second)
		wantServes(t, c, "all are back", "a b c")
	})
}

// TestSparesComeInForTheWeak has an agent that takes half of an endpoint's weight away.
func TestSparesComeInForTheWeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, redundant(policies.WithSpares, 1), nil)
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		wantServes(t, c, "at first", "a b")
		c.mu.Lock()
		a := c.endpoints["a"]
		c.mu.Unlock()
		c.agentSaid(t.Context(), a, "50%")
		wantServes(t, c, "a has half its weight", "all")
		c.agentSaid(t.Context(), a, "100%")
		time.Sleep(11 * time.Second)
		wantServes(t, c, "a is whole again", "a b")
	})
}

func elsewhere(id string) discovery.Instance {
	in := instance("dc2/" + id)
	in.Datacenter, in.Failover = "dc2", 1
	return in
}

func TestFailoverToAnotherDatacenter(t *testing.T) {
	home := func(status ...discovery.Status) []discovery.Instance {
		var all []discovery.Instance
		for i, st := range status {
			in := instance(string(rune('a' + i)))
			in.Status, in.Tier = st, uint8(i%2) // two tiers of its own
			all = append(all, in)
		}
		return all
	}
	const good, bad = discovery.Passing, discovery.Critical
	for name, tc := range map[string]struct {
		spill            float64
		half, gone, back string
	}{
		"strictly":   {0, "all", "dc2/x dc2/y", "dc2/x dc2/y"},
		"by_degrees": {1.4, "a:70%, b d:30%", "dc2/x dc2/y", "dc2/x dc2/y"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := redundant(policies.ByTier, 0)
				s.Split.Overprovision = tc.spill
				var heard []string
				s.Moved = func(detail string) { heard = append(heard, detail) }
				c := start(t, s, nil)
				apply := func(status ...discovery.Status) {
					c.Apply(live(append(home(status...), elsewhere("x"), elsewhere("y"))...))
				}
				apply(good, good, good, good)
				wantServes(t, c, "at first", "all")
				for i, want := range []uint8{0, 1, 0, 1, 2, 2} {
					if got := c.Load().Table.Endpoints[i].Tier; got != want {
						t.Errorf("endpoint %d is in tier %d, want %d", i, got, want)
					}
				}
				apply(good, good, bad, good)
				wantServes(t, c, "half of the first tier is down", tc.half)
				apply(bad, bad, bad, bad)
				wantServes(t, c, "all here is down", tc.gone)
				apply(good, good, good, good)
				time.Sleep(9 * time.Second)
				wantServes(t, c, "it is back for 9 s", tc.back)
				time.Sleep(20 * time.Second)
				wantServes(t, c, "it has stayed", "all")
				if last := heard[len(heard)-1]; last != "tier 0 gets 100%" || !slices.Contains(heard, "tier 2 (datacenter dc2) gets 100%") {
					t.Errorf("told %q, want where the traffic went and that it came back", heard)
				}
				apply(bad, bad, bad, bad)
				c.Apply(live(home(good, good, good, good)...))
				wantServes(t, c, "nothing is up elsewhere, and what is here has not stayed", "all")
			})
		})
	}
}

// TestFlappingDatacenterMovesOnce has all endpoints of a datacenter go down and up once a second for five minutes.
func TestFlappingDatacenterMovesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, redundant(policies.ByTier, 0), nil)
		for range 300 {
			sick := instance("a")
			sick.Status = discovery.Critical
			c.Apply(live(instance("a"), elsewhere("x")))
			time.Sleep(500 * time.Millisecond)
			c.Apply(live(sick, elsewhere("x")))
			time.Sleep(500 * time.Millisecond)
		}
		if r := c.Status().Redundancy; r.Moves != 1 {
			t.Errorf("%d moves, want 1", r.Moves)
		}
	})
}

func TestSuspectEndpointsHaveHalfTheirWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings()
		s.Heartbeat = time.Second
		c := start(t, s, newLeases(&fakeCache{resident: map[uint64]*lease{}, queued: map[uint64]*lease{}}))
		c.Apply(live(instance("a"), instance("b")))
		beat := func() {
			if _, err := c.Beat("a", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(when string, w float64) {
			t.Helper()
			synctest.Wait()
			if got := c.Load().weights[0]; got != w {
				t.Errorf("%s: weight %v, want %v", when, got, w)
			}
		}
		beat()
		want("a beat", 1)
		time.Sleep(1200 * time.Millisecond)
		want("silence for longer than a ttl", 0.5)
		beat()
		want("the next beat", 1)
	})
}
