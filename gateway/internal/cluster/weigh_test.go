package cluster

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// shares returns the share of its instance's weight that each endpoint has in the table now.
func shares(c *Cluster) (out []float64) {
	s, most := c.Load(), 0.0
	for _, e := range s.Table.Endpoints {
		most = max(most, float64(e.Weight))
	}
	for _, e := range s.Table.Endpoints {
		out = append(out, math.Round(float64(e.Weight)/most*100)/100)
	}
	return out
}

func slowly() Settings {
	s := settings()
	s.SlowStart = policies.SlowStart{Window: 30 * time.Second, Aggression: 1, Minimum: 0.1}
	return s
}

func TestSlowStart(t *testing.T) {
	run := func(name string, f func(t *testing.T, c *Cluster)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, start(t, slowly(), nil)) })
		})
	}
	is := func(t *testing.T, c *Cluster, want string) {
		t.Helper()
		synctest.Wait()
		if got := fmt.Sprint(shares(c)); got != want {
			t.Errorf("shares %s, want %s", got, want)
		}
	}
	run("the_first_answer_is_no_start", func(t *testing.T, c *Cluster) {
		c.Apply(live(instance("a"), instance("b")))
		is(t, c, "[1 1]")
	})
	run("an_endpoint_that_comes_ramps_and_the_table_ends_as_it_was", func(t *testing.T, c *Cluster) {
		c.Apply(live(instance("a"), instance("b")))
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		is(t, c, "[1 1 0.1]")
		gen := c.Load().Table.Gen
		time.Sleep(15*time.Second + 100*time.Millisecond)
		synctest.Wait()
		if got := shares(c)[2]; got < 0.43 || got > 0.51 {
			t.Errorf("half way its share is %v, want about a half", got)
		}
		time.Sleep(17 * time.Second)
		is(t, c, "[1 1 1]")
		if w := c.Load().Table.Endpoints[0].Weight; w != 1 {
			t.Errorf("weight %d after the ramp, want that of the instance, 1", w)
		}
		n := c.Load().Table.Gen - gen
		if n < 8 || n > 20 {
			t.Errorf("%d tables in one window, want 8..20", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.Load().Table.Gen != gen+n {
			t.Error("tables are built while nobody ramps")
		}
	})
	run("an_endpoint_that_comes_back_ramps_and_loses_it_when_it_falls", func(t *testing.T, c *Cluster) {
		bad := instance("c")
		bad.Status = discovery.Critical
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		c.Apply(live(instance("a"), instance("b"), bad))
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		is(t, c, "[1 1 0.1]")
		time.Sleep(20 * time.Second)
		c.Apply(live(instance("a"), instance("b"), bad))
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		is(t, c, "[1 1 0.1]")
	})
	run("never_more_than_half", func(t *testing.T, c *Cluster) {
		c.Apply(live(instance("a"), instance("b")))
		c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d"), instance("e")))
		is(t, c, "[1 1 1 1 1]")
		c.Apply(live(instance("a"), instance("b"), instance("c"), instance("d"), instance("e"), instance("f")))
		is(t, c, "[1 1 1 1 1 0.1]")
		c.Apply(live(instance("f")))
		is(t, c, "[1]")
	})
	t.Run("a_steep_ramp_ends_too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := slowly()
			s.SlowStart.Aggression = 10 // its last steps are below what is worth a table
			c := start(t, s, nil)
			c.Apply(live(instance("a"), instance("b")))
			c.Apply(live(instance("a"), instance("b"), instance("c")))
			time.Sleep(35 * time.Second)
			synctest.Wait()
			if w := c.Load().Table.Endpoints[2].Weight; w != 1 {
				t.Errorf("weight %d, want that of the instance, 1", w)
			}
		})
	})
	t.Run("a_policy_that_cannot_serve_the_new_weights_keeps_the_old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := slowly()
			p := &lowest{}
			s.Policy = p
			c := start(t, s, nil)
			c.Apply(live(instance("a"), instance("b")))
			c.Apply(live(instance("a"), instance("b"), instance("c")))
			p.fail.Store(true)
			time.Sleep(40 * time.Second)
			is(t, c, "[1 1 0.1]")
			if c.Status().Error == "" {
				t.Error("the status says nothing")
			}
		})
	})
}

func byLoad() Settings {
	s := settings()
	s.Load = &policies.LoadWeights{Blackout: 2 * time.Second, Expiration: 3 * time.Minute, Penalty: 1}
	return s
}

func TestWeightsByLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, byLoad(), nil)
		none := instance("z")
		none.Weight = 0
		c.Apply(live(instance("a"), instance("b"), instance("c"), none))
		es := c.Load().Endpoints
		report := func(a, b float64) {
			es[0].Report(policies.LoadReport{Utilisation: a, QPS: 100})
			es[1].Report(policies.LoadReport{Utilisation: b, QPS: 100})
		}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			var got []float64
			for _, e := range c.Status().Endpoints {
				got = append(got, math.Round(e.Effective*100)/100)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("weights %v, want %s", got, want)
			}
		}
		report(0.25, 0.5)
		time.Sleep(1500 * time.Millisecond)
		is("[1 1 1 0]") // the blackout
		time.Sleep(3 * time.Second)
		is("[1.33 0.67 1 0]") // the third reports nothing: the average
		gen := c.Load().Table.Gen
		report(0.2525, 0.5)
		time.Sleep(3 * time.Second)
		if got := c.Load().Table.Gen; got != gen {
			t.Error("a change of one percent built a table")
		}
		report(0.5, 0.5)
		time.Sleep(2 * time.Second)
		is("[1 1 1 0]")
		es[1].Report(policies.LoadReport{Utilisation: 0.5, QPS: 100, EPS: 50})
		time.Sleep(2 * time.Second)
		is("[1.33 0.67 1 0]") // half of its requests fail
		time.Sleep(4 * time.Minute)
		is("[1 1 1 0]") // all has expired
		if ppm := es[0].State.Load(policies.ColLoadPPM); ppm != policies.Unknown {
			t.Errorf("load %d ppm long after the last report", ppm)
		}
	})
}

func TestRequestsAreCountedForEndpointsThatDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, byLoad(), nil)
		c.Apply(live(instance("a"), instance("b")))
		es := c.Load().Endpoints
		for range 60 { // tenths of a second
			for k, e := range es {
				for range 3 - k { // a has 30 requests a second, b 20
					e.Begin()
					e.End(policies.Outcome{Load: 0.5})
				}
				e.Report(policies.LoadReport{Utilisation: 0.5})
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		st := c.Status().Endpoints
		if r := st[0].Effective / st[1].Effective; math.Abs(r-1.5) > 0.1 {
			t.Errorf("weights %v and %v, want 3 to 2", st[0].Effective, st[1].Effective)
		}
	})
}

func TestWhole(t *testing.T) {
	for _, c := range []struct {
		weights []float64
		want    string
	}{
		{[]float64{1, 2, 0, 65535}, "[1 2 0 65535]"},
		{[]float64{0.5, 1.5}, "[500 1500]"},
		{[]float64{1e-9, 2}, "[1 2000]"},
		{[]float64{0.1, 60000}, "[1 60000]"},
		{[]float64{70000, 7}, "[65535 7]"},
		{[]float64{0, 0}, "[0 0]"},
		{nil, "[]"},
	} {
		if got := fmt.Sprint(whole(c.weights)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.weights, got, c.want)
		}
	}
}

func TestSubsets(t *testing.T) {
	var all []discovery.Instance
	for i := range 40 {
		in := instance(fmt.Sprintf("%02d", i))
		in.Tier = uint8(i / 30)
		all = append(all, in)
	}
	s := settings()
	s.Subset = Subset{Size: 8, ID: "gateway-1"}
	c := start(t, s, nil)
	c.Apply(live(all...))
	tiers := map[uint8]int{}
	for _, e := range c.Load().Table.Endpoints {
		tiers[e.Tier]++
	}
	if tiers[0] != 8 || tiers[1] != 8 || c.Status().Unused != 24 {
		t.Errorf("%v of each tier and %d unused, want 8, 8 and 24", tiers, c.Status().Unused)
	}
	before := c.Load()
	used := before.Table.Endpoints[0].ID
	all = slices.Clone(all)
	for i := range all {
		if all[i].ID == used {
			all[i].Status = discovery.Critical
		}
	}
	c.Apply(live(all...))
	if c.Load().Table != before.Table || c.Load().View == before.View {
		t.Error("an endpoint that went down changed the table, want the view alone")
	}
	s.Subset.ID = "gateway-2"
	if err := c.Configure(s); err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, e := range c.Load().Table.Endpoints {
		for _, o := range before.Table.Endpoints {
			if e.ID == o.ID {
				same++
			}
		}
	}
	if same == 16 {
		t.Error("another gateway has the same subset")
	}
	s.Subset = Subset{}
	if err := c.Configure(s); err != nil || len(c.Load().Endpoints) != 40 {
		t.Errorf("%d endpoints without subsets, %v; want 40", len(c.Load().Endpoints), err)
	}
}
