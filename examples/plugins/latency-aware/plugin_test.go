package latencyaware_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/weir-lb/weir/examples/plugins/plugintest"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

var claims = policytest.Options{Shares: policytest.ByLoad}

func build(t *testing.T) policies.Policy { return plugintest.Policy(t, "latency-aware", "") }

func TestLaws(t *testing.T) { policytest.Run(t, build, claims) }

func TestAllocations(t *testing.T) { policytest.NoAllocations(t, build, claims) }

// fleet is traffic to n equal endpoints.
func fleet(t *testing.T, name, config string, n int) *plugintest.Traffic {
	return plugintest.NewTraffic(t, name, config, policytest.Table(1, policytest.Weights(slices.Repeat([]uint32{1}, n)...)...))
}

// send sends requests at a rate a second, and counts where they go and how long they take on average.
func send(x *plugintest.Traffic, rate float64, requests int, become func(a *plugintest.Attempt)) (count []int, mean time.Duration) {
	count = make([]int, len(x.Table.Endpoints))
	var total time.Duration
	for range requests {
		x.Run(time.Duration(x.Rand.ExpFloat64() / rate * float64(time.Second)))
		a := x.Send(func(a *plugintest.Attempt) { become(a); total += a.Takes })
		count[a.Endpoint]++
	}
	return count, total / time.Duration(requests)
}

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// TestFiveIdenticalEndpointsShareEvenly holds against what Traefik's leasttime did: of 1,500 requests to five identical
// endpoints one got 5 (traefik/traefik#12306).
func TestFiveIdenticalEndpointsShareEvenly(t *testing.T) {
	for name, takes := range map[string]func(x *plugintest.Traffic) time.Duration{
		"constant":        func(*plugintest.Traffic) time.Duration { return ms(10) },
		"exponential":     func(x *plugintest.Traffic) time.Duration { return ms(10 * x.Rand.ExpFloat64()) },
		"sometimes_slow":  func(x *plugintest.Traffic) time.Duration { return ms(5 + 200*math.Floor(x.Rand.Float64()*1.03)) },
		"slow_at_first":   func(x *plugintest.Traffic) time.Duration { return ms(10 + 300*math.Exp(-float64(x.Now()-1e18)/1e9)) },
		"under_a_milli":   func(x *plugintest.Traffic) time.Duration { return ms(0.2 + 0.1*x.Rand.Float64()) },
		"log_normal_tail": func(x *plugintest.Traffic) time.Duration { return ms(10 * math.Exp(x.Rand.NormFloat64())) },
	} {
		for _, rate := range []float64{20, 1000} {
			t.Run(fmt.Sprintf("%s/%g_a_second", name, rate), func(t *testing.T) {
				x := fleet(t, "latency-aware", "", 5)
				count, _ := send(x, rate, 1500, func(a *plugintest.Attempt) { a.Takes = takes(x) })
				if slices.Min(count) < 200 {
					t.Errorf("1500 requests went to %v, want at least 200 at each of five identical endpoints", count)
				}
			})
		}
	}
}

// TestFailuresDoNotAttract lets endpoint 0 answer at once with what is no answer.
func TestFailuresDoNotAttract(t *testing.T) {
	for name, fail := range map[string]func(a *plugintest.Attempt){
		"500":     func(a *plugintest.Attempt) { a.Takes, a.Class, a.Status = ms(0.2), policies.BadStatus, 500 },
		"429":     func(a *plugintest.Attempt) { a.Takes, a.Status = ms(0.2), 429 },
		"refused": func(a *plugintest.Attempt) { a.Takes, a.Class, a.Status = ms(0.1), policies.Refused, 0 },
		"timeout": func(a *plugintest.Attempt) { a.Takes, a.Class, a.Status = ms(500), policies.HeaderTimeout, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			x := fleet(t, "latency-aware", "", 5)
			count, _ := send(x, 200, 4000, func(a *plugintest.Attempt) {
				a.Takes = ms(20 * x.Rand.ExpFloat64())
				if a.Endpoint == 0 {
					fail(a)
				}
			})
			// Explored are 5 % of the picks, a fifth of them here: 40. Beside it, what it takes to learn.
			if count[0] < 15 || count[0] > 130 {
				t.Errorf("4000 requests went to %v, want about 40 and not above 130 at endpoint 0, which only fails", count)
			}
		})
	}
	t.Run("one_in_ten", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		count, _ := send(x, 200, 4000, func(a *plugintest.Attempt) {
			a.Takes = ms(20 * x.Rand.ExpFloat64())
			if a.Endpoint == 0 && x.Rand.IntN(10) == 0 {
				a.Takes, a.Class, a.Status = ms(0.2), policies.BadStatus, 503
			}
		})
		if count[0] > 400 {
			t.Errorf("4000 requests went to %v, want at most 400 at endpoint 0, which fails one in ten", count)
		}
	})
	t.Run("of_clients_that_leave_say_nothing", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		count, _ := send(x, 200, 4000, func(a *plugintest.Attempt) {
			a.Takes = ms(20 * x.Rand.ExpFloat64())
			if a.Endpoint == 0 && x.Rand.IntN(2) == 0 {
				a.Takes, a.Class, a.Status = ms(0.2), policies.Cancelled, 0
			}
		})
		if count[0] < 500 || count[0] > 1100 {
			t.Errorf("4000 requests went to %v, want about 800 at endpoint 0, whose clients leave early", count)
		}
	})
}

func TestASlowEndpoint(t *testing.T) {
	slow := func(x *plugintest.Traffic) func(a *plugintest.Attempt) {
		return func(a *plugintest.Attempt) {
			a.Takes = ms(10 * x.Rand.ExpFloat64())
			if a.Endpoint == 0 {
				a.Takes *= 10
			}
		}
	}
	equal := func(x *plugintest.Traffic) func(a *plugintest.Attempt) {
		return func(a *plugintest.Attempt) { a.Takes = ms(10 * x.Rand.ExpFloat64()) }
	}
	t.Run("is_avoided_but_measured", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		count, _ := send(x, 200, 10_000, slow(x))
		if count[0] < 70 || count[0] > 350 { // explored: 100
			t.Errorf("10000 requests went to %v, want 70 to 350 at endpoint 0, which takes ten times as long", count)
		}
	})
	t.Run("is_explored_as_often_as_is_said", func(t *testing.T) {
		x := fleet(t, "latency-aware", `{"explore_percent": 40}`, 5)
		count, _ := send(x, 200, 10_000, slow(x))
		if count[0] < 740 || count[0] > 1100 { // explored: 800
			t.Errorf("10000 requests went to %v, want 740 to 1100 at endpoint 0", count)
		}
	})
	t.Run("is_found_to_have_recovered", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		send(x, 200, 4000, slow(x))
		send(x, 200, 4000, equal(x)) // 20 s
		count, _ := send(x, 200, 4000, equal(x))
		if count[0] < 640 {
			t.Errorf("4000 requests went to %v 20 seconds after endpoint 0 recovered, want about 800 at it", count)
		}
	})
	t.Run("is_known_after_a_swap", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		send(x, 200, 4000, slow(x))
		x.Swap()
		count, _ := send(x, 2000, 400, slow(x))
		if count[0] > 25 {
			t.Errorf("400 requests went to %v after a swap, want at most 25 at endpoint 0, known to take ten times as long", count)
		}
	})
	t.Run("is_known_in_another_table", func(t *testing.T) {
		x := fleet(t, "latency-aware", "", 5)
		send(x, 200, 4000, slow(x))
		x.SetTable(policytest.Table(2, policytest.Weights(1, 1, 1, 1, 1, 1)...))
		count, _ := send(x, 2000, 400, slow(x))
		if count[0] > 25 || count[5] < 40 {
			t.Errorf("400 requests went to %v, want at most 25 at endpoint 0, and the new endpoint 5 taken for average", count)
		}
	})
	t.Run("costs_less_than_with_p2c", func(t *testing.T) {
		mean := map[string]time.Duration{}
		for _, name := range []string{"p2c", "latency-aware"} {
			x := fleet(t, name, "", 5)
			_, mean[name] = send(x, 200, 10_000, slow(x))
		}
		// Of 5 endpoints one takes 100 ms and four 10: 11.1 ms if 1 % are explored, 28 ms at equal shares.
		if a, b := mean["latency-aware"], mean["p2c"]; a > ms(13) || b < ms(15) {
			t.Errorf("a request took %v on average, and %v with p2c; want at most 13ms, where p2c takes at least 15ms", a, b)
		}
	})
}

// TestQueues has endpoints that serve one request at a time: what counts is how many wait, and latency follows from it.
func TestQueues(t *testing.T) {
	mean := map[string]time.Duration{}
	for _, name := range []string{"p2c", "latency-aware"} {
		x := fleet(t, name, "", 10)
		free := make([]int64, 10)
		_, mean[name] = send(x, 700, 40_000, func(a *plugintest.Attempt) {
			begin := max(free[a.Endpoint], x.Now())
			free[a.Endpoint] = begin + int64(ms(10*x.Rand.ExpFloat64()))
			a.Takes = time.Duration(free[a.Endpoint] - x.Now())
		})
	}
	if a, b := mean["latency-aware"], mean["p2c"]; float64(a) > 1.25*float64(b) {
		t.Errorf("a request took %v on average, and %v with p2c; want at most a quarter more where all endpoints are equal", a, b)
	}
}

func TestConfiguration(t *testing.T) {
	for config, ok := range map[string]bool{
		"":                        true,
		"{}":                      true,
		`{"explore_percent":0}`:   true,
		`{"explore_percent":2.5}`: true,
		`{"explore_percent":100,"error_penalty":0,"decay_ms":100}`: true,
		`{"explore_percent":101}`:                                  false,
		`{"explore_percent":2.}`:                                   false,
		`{"explore_percent":.5}`:                                   false,
		`{"explore_percent":1e1}`:                                  false,
		`{"explore_percent":"5"}`:                                  false,
		`{"error_penalty":1001}`:                                   false,
		`{"decay_ms":99}`:                                          false,
		`{"decay":1000}`:                                           false,
	} {
		if _, err := plugintest.Load(t, "latency-aware", config); (err == nil) != ok {
			t.Errorf("configuration %q: got error %v, want accepted %t", config, err, ok)
		}
	}
}
