package scenario

import (
	"bufio"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

// parts is into how many parts a run is divided for what is shown over time.
const parts = 120

// slice is how long a part is, of a run at so many requests a second.
func (s *Scenario) slice(rate float64) time.Duration {
	d := s.Duration
	if d == 0 && rate > 0 {
		d = time.Duration(float64(s.Requests) / rate * 1e9)
	}
	return max(d/parts, 1)
}

// changed returns s as a case has it.
func (s *Scenario) changed(c Case) *Scenario {
	n := *s
	if c.Rate > 0 || c.Load > 0 {
		n.Arrivals.Rate, n.Arrivals.Load, n.Arrivals.Steps, n.Arrivals.Trace = c.Rate, c.Load, nil, ""
	}
	n.Requests = cmp.Or(c.Requests, s.Requests)
	n.Runs = cmp.Or(c.Runs, s.Runs)
	n.Gateways = cmp.Or(c.Gateways, s.Gateways)
	n.Fan = cmp.Or(c.Fan, s.Fan)
	n.Service = cmp.Or(c.Service, s.Service)
	n.Keys = cmp.Or(c.Keys, s.Keys)
	n.Hedge = cmp.Or(c.Hedge, s.Hedge)
	n.Retry.Budget = cmp.Or(c.Budget, s.Retry.Budget)
	n.Queue = cmp.Or(c.Queue, s.Queue)
	if c.Weights != "same" {
		n.Weights.From = c.Weights
	}
	if len(c.Compare) > 0 {
		n.Compare = c.Compare
	}
	return &n
}

var disciplines = map[string]sim.Discipline{"queue": sim.FIFO, "sharing": sim.Sharing, "delay": sim.Delay}

// times is parseTimes of a text that was checked; nil of "".
func times(s string) sim.Dist {
	if s == "" {
		return nil
	}
	d, _ := parseTimes(s)
	return d
}

// named returns the numbers of the servers that name means: one, or those of a group.
func (s *Scenario) named(name string) (all []int) {
	for i, one := range s.servers() {
		if group := strings.TrimRight(one.Name, "0123456789"); one.Name == name || group == name {
			all = append(all, i)
		}
	}
	return all
}

func (s *Scenario) servers() (all []sim.Server) {
	numbers := map[string]int{}
	for _, g := range s.Servers {
		one := sim.Server{
			Weight: uint32(g.Weight), Tier: uint8(g.Tier), Zone: g.Zone, Meta: g.Meta, Discipline: disciplines[g.Serves],
			Speed: g.Speed, Workers: g.Workers, Cores: g.Cores, Service: times(cmp.Or(g.Service, s.Service)), Queue: s.Queue.Limit,
			Order: sim.Order{Drop: s.Queue.DropExpired, Limit: s.Queue.Wait, Tight: s.Queue.TightWait},
		}
		if s.Weights.From == "equal" {
			one.Weight = 1
		}
		for range g.Count {
			one.Name = g.Name + strconv.Itoa(numbers[g.Name])
			numbers[g.Name]++
			all = append(all, one)
		}
	}
	return all
}

// capacity is the number of requests a second that servers can do.
func capacity(servers []sim.Server) float64 {
	sum := 0.0
	for _, one := range servers {
		hands := float64(one.Workers)
		if one.Discipline == sim.Sharing {
			hands = one.Cores
		}
		sum += hands * one.Speed / one.Service.Mean().Seconds()
	}
	return sum
}

// config makes one run of s, but for the policy.
func (s *Scenario) config(seed uint64) (sim.Config, error) {
	servers := s.servers()
	c := sim.Config{
		Seed: seed, Servers: servers, Requests: s.Requests, Until: s.Duration, WarmUp: s.WarmUp, Fan: s.Fan,
		Gateways: s.Gateways, Zone: s.Zone, Timeout: s.Timeout, PerTry: s.Retry.PerTry, Attempts: s.Retry.Attempts,
		Budget: s.Retry.Budget, Backoff: s.Retry.Backoff, Hedge: s.Hedge, Abandon: s.Abandon,
		Detect: times(s.Detect), Recover: times(s.Recover), Bound: s.Bound,
	}
	if c.Budget == 0 {
		c.Budget = -1
	}
	if s.Hedge > 0 {
		c.Attempts = max(c.Attempts, 2)
	}
	if s.Keys != "" {
		c.Keys, _ = parseKeys(s.Keys)
	}
	if s.Weights.From == "load" {
		c.Weights = &sim.Weights{Blackout: s.Weights.Blackout, Every: s.Weights.Every}
	}
	rate := s.Arrivals.Rate
	if s.Arrivals.Load > 0 {
		rate = s.Arrivals.Load * capacity(servers) / float64(s.Fan)
	}
	switch {
	case s.Arrivals.Trace != "":
		trace, err := readTrace(filepath.Join(filepath.Dir(s.File), s.Arrivals.Trace))
		if err != nil {
			return c, err
		}
		c.Arrivals = trace
		if n := len(trace); n > 0 {
			rate = float64(n) / max(trace[n-1].Seconds(), 1e-9)
		}
	case len(s.Arrivals.Steps) > 0:
		var ramp sim.Ramp
		for _, step := range s.Arrivals.Steps {
			r := step.Rate
			if step.Load > 0 {
				r = step.Load * capacity(servers) / float64(s.Fan)
			}
			ramp = append(ramp, sim.Step{From: step.At, Rate: r})
			rate = max(rate, r)
		}
		c.Arrivals = ramp
	case s.Arrivals.Pattern == "paced":
		c.Arrivals = sim.Paced(rate)
	default:
		c.Arrivals = sim.Poisson(rate)
	}
	c.Slice = s.slice(rate)
	c.Faults = append(s.faults(), s.trouble(len(servers), seed)...)
	slices.SortStableFunc(c.Faults, func(a, b sim.Fault) int { return cmp.Compare(a.At, b.At) })
	return c, nil
}

var kinds = map[string]sim.FaultKind{
	"crash": sim.Crash, "hang": sim.Hang, "fail": sim.Fail, "pause": sim.Pause, "heal": sim.Heal, "slow": sim.SetSpeed, "serve": sim.SetService,
	"partition": sim.Cut,
}

func (s *Scenario) faults() (all []sim.Fault) {
	for _, f := range s.Faults {
		for _, name := range f.Servers {
			for _, i := range s.named(name) {
				for k := range f.Times {
					once := f
					once.At += time.Duration(k) * f.Every
					all = append(all, once.of(i)...)
				}
			}
		}
	}
	return all
}

// of is what happens to server i at f.At, and what ends it.
func (f Fault) of(i int) (all []sim.Fault) {
	one := sim.Fault{At: f.At, Server: i, Kind: kinds[f.What], Speed: f.Speed, Cores: f.Cores, Service: times(f.Service)}
	end := sim.Fault{At: f.At + f.For, Server: i, Kind: one.Kind}
	switch f.What {
	case "slow", "serve":
	case "partition":
		end.Kind = sim.Mend
	default:
		end.Kind = sim.Heal
	}
	gateways := f.Gateways
	if len(gateways) == 0 {
		gateways = []int{0} // nobody looks at it
	}
	for _, g := range gateways {
		one.Gateway, end.Gateway = g, g
		if all = append(all, one); f.For > 0 {
			all = append(all, end)
		}
	}
	return all
}

// trouble lays out who has bad neighbours when: times on and off are exponential, the share of the time on is the same
// at the start as ever.
func (s *Scenario) trouble(servers int, seed uint64) (all []sim.Fault) {
	t := s.Trouble
	if t.Share == 0 {
		return nil
	}
	g := rand.New(rand.NewPCG(seed, 3))
	off := float64(t.Mean) * (1 - t.Share) / t.Share
	for i := range servers {
		on := g.Float64() < t.Share
		for at := time.Duration(0); at < s.Duration; on = !on {
			f := sim.Fault{At: at, Server: i, Kind: sim.SetSpeed}
			if on {
				f.Speed, f.Cores = t.Speed, t.Cores
				at += time.Duration(g.ExpFloat64() * float64(t.Mean))
			} else {
				at += time.Duration(g.ExpFloat64() * off)
			}
			all = append(all, f)
		}
	}
	return all
}

// trace is the times at which requests come.
type trace []time.Duration

// Next implements [sim.Arrivals].
func (t trace) Next(now time.Duration, _ *rand.Rand) time.Duration {
	i, found := slices.BinarySearch(t, now)
	if found {
		i++
	}
	if i == len(t) {
		return -1
	}
	return t[i] - now
}

// readTrace reads a file of one time a line, in seconds from the start, growing.
func readTrace(path string) (trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all trace
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		x, err := strconv.ParseFloat(text, 64)
		at := time.Duration(x * 1e9)
		if err != nil || x < 0 || x > 1e9 || len(all) > 0 && at <= all[len(all)-1] {
			return nil, fmt.Errorf("%s:%d: got %q, want a time in seconds, after the one before", path, n, text)
		}
		all = append(all, at)
	}
	return all, lines.Err()
}
