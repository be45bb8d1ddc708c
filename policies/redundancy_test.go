package policies_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/policies"
)

// stage is a reserve with members that are called a, b, c and so on, and a clock.
type stage struct {
	reserve policies.Reserve
	rules   policies.Redundancy
	members []policies.Member
	now     time.Time
	moves   int
}

// newStage has members of weight 1; a capital is a spare, a digit ahead of a name its tier.
func newStage(rules policies.Redundancy, names string) *stage {
	s := &stage{rules: rules, now: time.Unix(1000, 0)}
	for i, name := range strings.Fields(names) {
		tier := uint8(0)
		if name[0] >= '0' && name[0] <= '9' {
			tier, name = name[0]-'0', name[1:]
		}
		s.members = append(s.members, policies.Member{Num: uint32(i + 1), Tier: tier, Spare: name == strings.ToUpper(name), Weight: 1, Capacity: 1})
	}
	s.wait(0)
	return s
}

// wait lets time pass in steps of 100 ms, as a gateway does.
func (s *stage) wait(d time.Duration) {
	for end := s.now.Add(d); ; s.now = s.now.Add(100 * time.Millisecond) {
		moves, _ := s.reserve.Step(s.now, s.rules, s.members)
		if len(moves) > 0 {
			s.moves++
		}
		if !s.now.Before(end) {
			return
		}
	}
}

// set gives member i what it can bear.
func (s *stage) set(i int, capacity float64) {
	s.members[i].Capacity = capacity
	s.wait(0)
}

// serving are the indexes of members in service.
func (s *stage) serving() []int {
	var in []int
	for i, m := range s.members {
		if !s.reserve.Held(m.Num) && m.Capacity > 0 {
			in = append(in, i)
		}
	}
	return in
}

func (s *stage) want(t *testing.T, when string, want ...int) {
	t.Helper()
	if got := s.serving(); !slices.Equal(got, want) {
		t.Errorf("%s: %v serve, want %v", when, got, want)
	}
}

const hold = 10 * time.Second

func TestOneActive(t *testing.T) {
	rules := policies.Redundancy{Mode: policies.OneActive, Hold: hold}
	t.Run("the_first_by_tier_serves_and_spares_come_last", func(t *testing.T) {
		newStage(rules, "1a B c").want(t, "at first", 2)
	})
	t.Run("the_standby_takes_over_at_once_and_gives_back_after_the_hold", func(t *testing.T) {
		s := newStage(rules, "a b")
		s.set(0, 0)
		s.want(t, "a is down", 1)
		s.set(0, 1)
		s.wait(hold - 100*time.Millisecond)
		s.want(t, "a is back for less than the hold", 1)
		s.wait(200 * time.Millisecond)
		s.want(t, "a is back for longer", 0)
	})
	t.Run("it_does_not_go_back_by_itself_if_that_is_manual", func(t *testing.T) {
		manual := rules
		manual.Manual = true
		s := newStage(manual, "a b")
		s.set(0, 0)
		s.set(0, 1)
		s.wait(time.Hour)
		s.want(t, "an hour later", 1)
		s.reserve.FailBack()
		s.wait(0)
		s.want(t, "the operator said so", 0)
		s.set(0, 0)
		s.want(t, "a fails again", 1)
		s.set(1, 0)
		s.set(0, 1)
		s.want(t, "b fails too, and a is there", 0)
	})
	t.Run("a_standby_that_flaps_is_not_chosen_while_another_is_steady", func(t *testing.T) {
		s := newStage(rules, "a b c")
		s.set(1, 0)
		s.set(1, 1)
		s.set(0, 0)
		s.want(t, "b has just come back", 2)
	})
	t.Run("with_everything_down_the_last_one_keeps_its_place", func(t *testing.T) {
		s := newStage(rules, "a b")
		s.set(0, 0)
		s.set(1, 0)
		s.set(1, 1)
		s.want(t, "b is back first", 1)
	})
}

func TestWithSpares(t *testing.T) {
	rules := policies.Redundancy{Mode: policies.WithSpares, Hold: hold}
	t.Run("spares_come_in_for_the_dead_as_many_as_it_takes", func(t *testing.T) {
		s := newStage(rules, "a b c D E")
		s.want(t, "all is well", 0, 1, 2)
		s.set(1, 0)
		s.want(t, "b is down", 0, 2, 3)
		s.set(2, 0)
		s.want(t, "c too", 0, 3, 4)
		s.set(1, 1)
		s.wait(2 * hold)
		s.want(t, "b is back", 0, 1, 3)
	})
	t.Run("and_for_the_weak", func(t *testing.T) {
		s := newStage(rules, "a b c D")
		s.set(0, 0.9)
		s.want(t, "a has 90% of its weight", 0, 1, 2, 3)
		s.set(0, 1)
		s.wait(hold + time.Second)
		s.want(t, "a is well again", 0, 1, 2)
	})
	t.Run("need_may_be_less_than_all_of_them", func(t *testing.T) {
		less := rules
		less.Need = 2
		s := newStage(less, "a b c D")
		s.set(0, 0)
		s.want(t, "two of three are left", 1, 2)
		s.set(1, 0)
		s.want(t, "one is left", 2, 3)
	})
	t.Run("tiers_behind_the_first_are_not_its_spares", func(t *testing.T) {
		s := newStage(rules, "a 1b 1C")
		s.set(0, 0)
		s.want(t, "nothing is held in tier 1", 1, 2)
	})
}

// TestFlappingMovesNothing lets the preferred endpoint go down and up once a second for an hour: traffic leaves it once.
func TestFlappingMovesNothing(t *testing.T) {
	for _, c := range []struct {
		mode   policies.RedundancyMode
		names  string
		period time.Duration
	}{
		{policies.OneActive, "a b", time.Second},
		{policies.OneActive, "a b c", time.Second},
		{policies.WithSpares, "a b C", time.Second},
		{policies.OneActive, "a b", 24 * time.Second}, // it stays for longer than the hold each time
		{policies.WithSpares, "a b C", 24 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s_of_%s_every_%v", c.mode, c.names, c.period), func(t *testing.T) {
			s := newStage(policies.Redundancy{Mode: c.mode, Hold: hold}, c.names)
			worst, begun := 0, s.moves
			for range 60 {
				for minute := s.now.Add(time.Minute); s.now.Before(minute); {
					s.set(0, 0)
					s.wait(c.period / 2)
					s.set(0, 1)
					s.wait(c.period / 2)
				}
				worst = max(worst, s.moves-begun)
				begun = s.moves
			}
			if limit := 1; c.period == time.Second && (worst > limit || s.moves > limit) {
				t.Errorf("%d moves in an hour, %d in one minute, want 1", s.moves, worst)
			}
			if worst >= 6 || s.moves > 6 {
				t.Errorf("%d moves in an hour, %d in one minute, want few", s.moves, worst)
			}
			s.wait(20 * hold)
			if got := s.serving()[0]; got != 0 {
				t.Errorf("long after the last flap %v serve, want the first one", s.serving())
			}
		})
	}
}

// TestReserveIsNeverShortForItsOwnRules walks at random and holds each step to what redundancy promises.
func TestReserveIsNeverShortForItsOwnRules(t *testing.T) {
	g := rand.New(rand.NewPCG(6, 1))
	for range 60 {
		mode := []policies.RedundancyMode{policies.OneActive, policies.WithSpares}[g.IntN(2)]
		var names []string
		for i := range 2 + g.IntN(6) {
			names = append(names, []string{"a", "B"}[min(i, g.IntN(2))])
		}
		s := newStage(policies.Redundancy{Mode: mode, Hold: hold, Manual: g.IntN(2) == 0}, strings.Join(names, " "))
		for range 80 {
			s.members[g.IntN(len(s.members))].Capacity = []float64{0, 0.5, 1}[g.IntN(3)]
			s.wait(time.Duration(g.IntN(30)) * time.Second)
			up, held, bears := 0.0, 0, 0.0
			for _, m := range s.members {
				up += m.Capacity
				if s.reserve.Held(m.Num) && m.Capacity > 0 {
					held++
				} else {
					bears += m.Capacity
				}
			}
			cover := s.reserve.Cover()
			switch {
			case mode == policies.OneActive && up > 0 && len(s.serving()) != 1:
				t.Fatalf("%s %v: %v serve, want one", mode, s.members, s.serving())
			case mode == policies.WithSpares && held > 0 && bears < cover.Need:
				t.Fatalf("%s %v: %v bear %v of %v while spares are in reserve", mode, s.members, s.serving(), bears, cover.Need)
			}
		}
	}
}

func TestCover(t *testing.T) {
	for _, c := range []struct {
		cover policies.Cover
		want  policies.CoverState
	}{
		{policies.Cover{Need: 3, Capacity: 4, Largest: 1}, policies.Redundant},
		{policies.Cover{Need: 3, Capacity: 3, Largest: 1}, policies.Exposed},
		{policies.Cover{Need: 3, Capacity: 2, Largest: 1}, policies.Short},
		{policies.Cover{Need: 3, Capacity: 5, Largest: 3}, policies.Exposed},
		{policies.Cover{Need: 1, Capacity: 2, Largest: 1}, policies.Redundant},
		{policies.Cover{}, policies.Short},
	} {
		if got := c.cover.State(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.cover, got, c.want)
		}
	}
	s := newStage(policies.Redundancy{Mode: policies.WithSpares, Hold: hold}, "a b C")
	for i, want := range []policies.CoverState{policies.Redundant, policies.Exposed, policies.Short} {
		if i > 0 {
			s.set(i-1, 0)
		}
		if got := s.reserve.Cover().State(); got != want {
			t.Errorf("N=2 with 1 spare and %d down: %v, want %v", i, got, want)
		}
	}
}

// TestTiersComeBackAfterTheHold divides by tier what counts, not what is up.
func TestTiersComeBackAfterTheHold(t *testing.T) {
	var tbl policies.Table
	for i, tier := range []uint8{0, 0, 1, 1} {
		tbl.Endpoints = append(tbl.Endpoints, &policies.Endpoint{ID: fmt.Sprint(i), Num: uint32(i + 1), Weight: 1, Tier: tier, State: policies.NewState(policies.Up)})
	}
	counts := []float64{1, 1, 1, 1}
	up := []bool{true, true, true, true}
	parts := func(spill float64) string {
		v := policies.NewView(&tbl, 1, false, func(i int) bool { return up[i] })
		shares := policies.Split{Overprovision: spill, Counts: func(i int) float64 { return counts[i] }}.Shares(v)
		return fmt.Sprintf("%.2f %.2f", shares[0].Part, shares[1].Part)
	}
	for _, c := range []struct {
		name   string
		up     []bool
		counts []float64
		want   [2]string // without spill, with 140%
	}{
		{"all is well", []bool{true, true, true, true}, []float64{1, 1, 1, 1}, [2]string{"1.00 0.00", "1.00 0.00"}},
		{"half of the first is down", []bool{true, false, true, true}, []float64{1, 0, 1, 1}, [2]string{"1.00 0.00", "0.70 0.30"}},
		{"all of it is", []bool{false, false, true, true}, []float64{0, 0, 1, 1}, [2]string{"0.00 1.00", "0.00 1.00"}},
		{"it is back, and does not count", []bool{true, true, true, true}, []float64{0, 0, 1, 1}, [2]string{"0.00 1.00", "0.00 1.00"}},
		{"one of it counts", []bool{true, true, true, true}, []float64{1, 0, 1, 1}, [2]string{"1.00 0.00", "0.70 0.30"}},
		{"nothing else is up, and it does not count", []bool{true, true, false, false}, []float64{0, 0, 0, 0}, [2]string{"1.00 0.00", "1.00 0.00"}},
	} {
		copy(up, c.up)
		copy(counts, c.counts)
		if got := [2]string{parts(0), parts(1.4)}; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
