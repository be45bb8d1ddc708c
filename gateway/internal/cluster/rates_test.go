package cluster

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-lb/weir/internal/experiments"
	"github.com/weir-lb/weir/policies"
)

// attempts has e answer good attempts and fail bad ones, never five in a row.
func attempts(e *Endpoint, good, bad int) {
	for i := range good + bad {
		o := policies.Outcome{Status: 200, Load: -1}
		if bad > 0 && i%max((good+bad)/bad, 1) == 0 {
			bad--
			o.Class = policies.BadStatus
		}
		e.Begin()
		e.End(o)
	}
}

// TestPublishedE11SuccessRate has one of N endpoints fail: its distance from the mean is the root of N-1 deviations, so that 1.9 find
// it from five on; and k of a hundred that fail alike, which are found below a share of 1/(1+1.9^2).
func TestPublishedE11SuccessRate(t *testing.T) {
	rule := Rates{Factor: 1.9, Success: RateRule{Endpoints: 2, Attempts: 100}}
	found := func(n, k int) bool {
		rates, totals := make([]float64, n), make([]int, n)
		for i := range n {
			rates[i], totals[i] = 1, 100
			if i < k {
				rates[i] = 0.5
			}
		}
		return rates[0] < leastRate(rates, totals, rule)
	}
	least := 2
	for !found(least, 1) {
		least++
	}
	experiments.Hold(t, experiments.Row{
		ID: "E11", What: "success rate, 1.9 deviations: endpoints from which on one bad one is found", Source: "computed: root(N-1) > 1.9", Published: 5, Ours: float64(least),
	})
	most := 1
	for found(1000, most+1) {
		most++
	}
	experiments.Hold(t, experiments.Row{
		ID: "E11", What: "success rate: the greatest share of equally bad endpoints that are found", Source: "computed: 1/(1+1.9^2)",
		Published: 100 / (1 + 1.9*1.9), Ours: float64(most) / 10, Tolerance: 0.1, Unit: "%",
	})
}

func TestRatesEject(t *testing.T) {
	byRate := Rates{Interval: 10 * time.Second, Factor: 1.9, Success: RateRule{Endpoints: 5, Attempts: 100}}
	byShare := Rates{Interval: 10 * time.Second, Share: 0.85, Failure: RateRule{Endpoints: 3, Attempts: 50}}
	for name, tc := range map[string]struct {
		rates     Rates
		endpoints int
		attempts  int
		failing   int // percent, of the last endpoint; of others one percent
		want      string
	}{
		"one_that_fails_more_than_the_others":       {byRate, 5, 200, 20, "success rate"},
		"not_among_four":                            {byRate, 4, 200, 20, ""},
		"not_with_too_few_attempts":                 {byRate, 5, 99, 20, ""},
		"not_if_all_are_alike":                      {byRate, 5, 200, 1, ""},
		"one_that_fails_nearly_always":              {byShare, 3, 100, 90, "failure percentage"},
		"not_one_that_fails_often":                  {byShare, 3, 100, 80, ""},
		"not_without_rules":                         {Rates{Interval: 10 * time.Second}, 5, 200, 90, ""},
		"not_without_an_interval_as_in_the_default": {Rates{}, 5, 200, 90, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := settings()
				s.Outlier = Outlier{BaseEjection: 30 * time.Second, MaxEjected: 0.5, Rates: tc.rates}
				c := start(t, s, nil)
				var all []string
				for i := range tc.endpoints {
					all = append(all, string(rune('a'+i)))
				}
				st := live()
				for _, id := range all {
					st.Instances = append(st.Instances, instance(id))
				}
				c.Apply(st)
				es := c.Load().Endpoints
				for i, e := range es {
					failing := 1
					if i == len(es)-1 {
						failing = tc.failing
					}
					attempts(e, tc.attempts*(100-failing)/100, tc.attempts-tc.attempts*(100-failing)/100)
				}
				time.Sleep(10*time.Second + 2*reconcileEvery)
				synctest.Wait()
				if tc.want != "" {
					all = all[:len(all)-1]
				}
				last := c.Status().Endpoints[len(es)-1]
				if got := up(c); fmt.Sprint(got) != fmt.Sprint(all) || last.Evidence.EjectedBy != tc.want {
					t.Errorf("up are %v, ejected by %q; want %v, %q", got, last.Evidence.EjectedBy, all, tc.want)
				}
				time.Sleep(10*time.Second + 2*reconcileEvery)
				if got := c.Status().Endpoints[len(es)-1].Ejections; got > 1 {
					t.Errorf("%d ejections, want each interval judged by itself", got)
				}
			})
		})
	}
}

// TestProbation follows an endpoint from an ejection: it has a tenth of its weight until it has answered one request or half a
// second has gone by, and one failure ejects it again, for longer.
func TestProbation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings()
		s.Outlier = Outlier{Consecutive: 5, BaseEjection: 30 * time.Second, MaxEjected: 0.5}
		c := start(t, s, nil)
		c.Apply(live(instance("a"), instance("b"), instance("c")))
		e := c.Load().Endpoints[0]
		want := func(when string, weight float64, ups int) {
			t.Helper()
			synctest.Wait()
			if got := c.Load().weights[0]; math.Abs(got-weight) > 1e-9 || len(up(c)) != ups {
				t.Errorf("%s: weight %v, %d up; want %v, %d", when, got, len(up(c)), weight, ups)
			}
		}
		fail(e, 5)
		want("ejected", 1, 2)
		time.Sleep(30*time.Second + 2*reconcileEvery)
		want("back", 0.1, 3)
		if !c.Status().Endpoints[0].Evidence.Probation {
			t.Error("the status does not say that it is on probation")
		}
		time.Sleep(probationFor)
		want("nobody has asked it", 1, 3)
		fail(e, 1)
		time.Sleep(2 * reconcileEvery)
		want("the first answer was a failure", 1, 2)
		time.Sleep(30 * time.Second)
		want("30 s later", 1, 2)
		time.Sleep(30*time.Second + 2*reconcileEvery)
		want("60 s later", 0.1, 3)
		attempts(e, 1, 0)
		time.Sleep(2 * reconcileEvery)
		want("the first answer was good", 1, 3)
		fail(e, 4)
		time.Sleep(2 * reconcileEvery)
		want("four failures", 1, 3)
	})
}
