package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

type simAvailabilityCmd struct {
	MTBF       time.Duration `name:"mtbf" default:"1000h" help:"Mean time between failures of a unit."`
	MTTR       time.Duration `name:"mttr" default:"1h" help:"Mean time to repair it."`
	Units      string        `default:"1+1" placeholder:"N+K" help:"Units needed, and spares."`
	Coverage   float64       `default:"1" help:"The share of failures that a spare takes over as it should, 0..1."`
	Switchover time.Duration `default:"0s" help:"From a failure to the spare's work: detection and all."`
	Crews      int           `default:"1" help:"Repairs at a time; 0 is one for each unit."`
	Failures   int           `default:"2000000" help:"Failures of units to simulate."`
	Seed       uint64        `default:"1" help:"Of all chance."`
	JSON       bool          `name:"json" help:"Print JSON."`
}

// availability is what the command prints.
type availability struct {
	Units        string  `json:"units"`
	Formula      float64 `json:"unavailability_formula"`
	Simulated    float64 `json:"unavailability_simulated"`
	Exhausted    float64 `json:"exhausted"`
	Switchover   float64 `json:"switchover"`
	Uncovered    float64 `json:"uncovered"`
	Nines        float64 `json:"nines"`
	MinutesAYear float64 `json:"minutes_a_year"`
}

// Run says how available the units are.
func (c simAvailabilityCmd) Run(s *streams) error {
	needed, spare, found := strings.Cut(c.Units, "+")
	n, err1 := strconv.Atoi(needed)
	k, err2 := strconv.Atoi(spare)
	if !found || err1 != nil || err2 != nil {
		return fmt.Errorf("--units %q, want N+K such as 3+1", c.Units)
	}
	if c.Failures < 1 || c.Failures > 1e9 {
		return fmt.Errorf("--failures %d, want 1..1000000000", c.Failures)
	}
	r := sim.Redundancy{
		Needed: n, Spare: k, MTBF: c.MTBF, MTTR: c.MTTR, Coverage: c.Coverage, Switchover: c.Switchover, Crews: c.Crews,
	}
	u, err := r.Unavailability()
	if err != nil {
		return err
	}
	simulated, err := r.Simulate(c.Failures, c.Seed)
	if err != nil {
		return err
	}
	a := availability{
		Units: c.Units, Formula: u.Sum(), Simulated: simulated, Exhausted: u.Exhausted, Switchover: u.Switchover,
		Uncovered: u.Uncovered, Nines: -math.Log10(u.Sum()), MinutesAYear: u.Sum() * 365.25 * 24 * 60,
	}
	if c.JSON {
		return printJSON(s.out, a)
	}
	p := paint(s.out)
	p.printf("%s units, MTBF %s, MTTR %s, coverage %g, switchover %s, %s\n\n", p.bold(c.Units), hours(c.MTBF), hours(c.MTTR), c.Coverage,
		c.Switchover, crews(c.Crews))
	p.printf("  %-34s %14s %18s\n", "not available", "share", "minutes a year")
	line := func(what string, x float64) { p.printf("  %-34s %14.4g %18.2f\n", what, x, x*365.25*24*60) }
	line("more units failed than spares", u.Exhausted)
	line("a spare is taking over", u.Switchover)
	line("no spare took over", u.Uncovered)
	line("formula", a.Formula)
	line(fmt.Sprintf("simulated, %d failures", c.Failures), simulated)
	p.printf("\n  available %s: %.1f nines\n", strconv.FormatFloat(1-a.Formula, 'f', 8, 64), a.Nines)
	return nil
}

// hours shows a duration as such figures are given.
func hours(d time.Duration) string { return fmt.Sprintf("%gh", d.Hours()) }

func crews(n int) string {
	if n == 0 {
		return "a repair crew for each"
	}
	return count(n, "repair crew", "repair crews")
}
