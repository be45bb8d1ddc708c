package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/internal/scenario"
)

type simRunCmd struct {
	File   string   `arg:"" type:"path" placeholder:"SCENARIO.yaml" help:"The scenario: docs/SIMULATOR.md."`
	Policy []string `help:"A built-in policy, one of the scenario, or FILE.wasm; as many as you like. Default: those that the scenario compares." placeholder:"NAME|FILE.wasm" sep:"none"`
	Case   []string `help:"Only the cases of that name." sep:"none"`
	Seed   uint64   `default:"1" help:"Of all chance. The same seed gives the same figures."`
	Scale  float64  `default:"1" help:"Of the number of requests, for a quick look."`
	JSON   bool     `name:"json" help:"Print JSON."`
	HTML   string   `name:"html" type:"path" placeholder:"FILE" help:"Write one page with plots, for a browser."`
}

// Run runs policies through a scenario.
func (c simRunCmd) Run(s *streams) error {
	if c.Scale <= 0 || c.Scale > 1 {
		return fmt.Errorf("--scale %g, want more than 0, at most 1", c.Scale)
	}
	sc, err := scenario.Load(c.File)
	if all, ok := errors.AsType[form.Errors](err); ok {
		for _, e := range all {
			e.File = shortPath(e.File)
			fmt.Fprintln(s.err, e)
		}
		return errTold
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := paint(s.out)
	progress := newProgress(p, c.JSON)
	report, err := sc.Run(ctx, scenario.Options{Seed: c.Seed, Policies: c.Policy, Cases: c.Case, Scale: c.Scale, Progress: progress.show})
	progress.clear()
	if err != nil {
		return fmt.Errorf("%s: %w", shortPath(c.File), err)
	}
	if c.HTML != "" {
		if err := writePage(c.HTML, report); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := printJSON(s.out, report.JSON()); err != nil {
			return err
		}
	} else {
		simTable{painter: p}.show(report)
		if c.HTML != "" {
			p.printf("\n%s\n", shortPath(c.HTML))
		}
	}
	if !report.OK() {
		return errTold
	}
	return nil
}

func writePage(path string, r *scenario.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(f), f.Close())
}

// progress is a line on a terminal, after a second.
type progress struct {
	painter
	begin, last time.Time
	shown       bool
}

func newProgress(p painter, quiet bool) *progress {
	p.colours = p.colours && !quiet
	return &progress{painter: p, begin: time.Now()}
}

func (p *progress) show(n, of int, share float64) bool {
	if now := time.Now(); p.colours && now.Sub(p.begin) > time.Second && now.Sub(p.last) > 100*time.Millisecond {
		p.last, p.shown = now, true
		done := (float64(n) + share) / float64(of)
		bar := strings.Repeat("█", int(done*30))
		p.printf("\r\x1b[K%-30s %3.0f%%  run %d of %d", bar, done*100, n+1, of)
	}
	return true
}

func (p *progress) clear() {
	if p.shown {
		p.printf("\r\x1b[K")
	}
}
