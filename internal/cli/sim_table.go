package cli

import (
	"fmt"
	"strings"

	"github.com/weir-lb/weir/internal/scenario"
	"github.com/weir-lb/weir/wasmhost"
)

// simTable shows what scenarios came to.
type simTable struct{ painter }

func (p simTable) show(r *scenario.Report) {
	p.printf("%s\n", p.bold(r.Scenario.Name))
	if about := strings.TrimSpace(r.Scenario.About); about != "" {
		p.printf("%s\n", about)
	}
	p.printf("%s\n", p.faint(fmt.Sprintf("seed %d", r.Seed)))
	last := "\x00"
	for _, one := range r.Runs {
		if one.Case != last {
			last = one.Case
			p.head(last)
		}
		p.run(one)
	}
	p.guests(r)
	p.verdicts(r)
}

func (p simTable) head(name string) {
	if name == "" {
		name = "policy"
	}
	p.printf("\n%s %9s %9s %9s %9s %9s %8s %8s %10s %9s\n", p.bold(fmt.Sprintf("%-24s", name)), "mean", "p50", "p90", "p99", "p99.9",
		"failed", "retries", "max/mean", "busy")
}

func (p simTable) run(one *scenario.Run) {
	r := one.Result
	q := func(x float64) string { return scenario.Duration(r.Quantile(x).Seconds()) }
	failed := fmt.Sprintf("%8s", percentOf(1-r.Availability()))
	if r.Failed > 0 {
		failed = p.red(failed)
	}
	least, most := scenario.Utilisation(r)
	busy := "-"
	if most > 0 {
		busy = fmt.Sprintf("%.0f-%.0f%%", least*100, most*100)
	}
	p.printf("  %-22s %9s %9s %9s %9s %9s %s %8d %10.3f %9s\n", one.Policy, scenario.Duration(r.Mean().Seconds()), q(0.5), q(0.9), q(0.99),
		q(0.999), failed, r.Retries, scenario.MaxOverMean(r), busy)
}

// percentOf shows a share in few digits, and 0 only if it is.
func percentOf(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.0001:
		return "<0.01%"
	}
	return fmt.Sprintf("%.2f%%", x*100)
}

// guests tells of modules that did not decide everything themselves.
func (p simTable) guests(r *scenario.Report) {
	for _, one := range r.Runs {
		if one.Guest == nil {
			continue
		}
		for n, line := range one.Guest.Faults() {
			if n == 0 {
				p.printf("\n%s\n", p.red(strings.Trim(one.Case+", "+one.Policy, ", ")+":"))
			}
			p.printf("  %s\n", line)
		}
		if n := one.Guest.Picks[wasmhost.Deferred]; n > 0 {
			p.printf("\n%s\n", p.faint(fmt.Sprintf("%s left %d picks to its fallback.", one.Policy, n)))
		}
	}
}

func (p simTable) verdicts(r *scenario.Report) {
	n, met := 0, 0
	names, whats := 22, 18 // widths
	for _, one := range r.Runs {
		for _, v := range one.Verdicts {
			names, whats = max(names, len(one.Case)), max(whats, len(v.What()))
		}
	}
	for _, one := range r.Runs {
		for _, v := range one.Verdicts {
			if n++; n == 1 {
				p.printf("\n%s %-22s %-*s %-26s got\n", p.bold(fmt.Sprintf("%-*s", names+2, "expected")), "", whats, "", "want")
			}
			word := p.green("ok")
			if v.OK {
				met++
			} else {
				word = p.red("FAIL")
			}
			p.printf("  %-*s %-22s %-*s %-26s %-12s %s\n", names, one.Case, one.Policy, whats, v.What(), v.Wanted(), v.Had(), word)
		}
	}
	if n > 0 {
		p.printf("%d of %d expectations met.\n", met, n)
		if source := strings.TrimSpace(r.Scenario.Source); source != "" {
			p.printf("%s\n", p.faint("Source: "+source))
		}
	}
}
