package cli

import (
	"fmt"
	"time"

	"github.com/weir-lb/weir/internal/workbench"
)

type policyBenchCmd struct {
	moduleFlags
	Endpoints int `default:"16" help:"How many, all of them up."`
}

// Run measures what the module costs.
func (c policyBenchCmd) Run(s *streams) error {
	if c.Endpoints < 1 || c.Endpoints > 100_000 {
		return fmt.Errorf("--endpoints %d, want 1..100000", c.Endpoints)
	}
	wasm, err := c.read()
	if err != nil {
		return err
	}
	subject := c.subject(wasm)
	if err := subject.Open(); err != nil {
		return err
	}
	defer subject.Close()
	p := paint(s.out)
	m, err := subject.Bench(c.Endpoints, func(what string) {
		if p.colours && !c.JSON {
			p.printf("\r\x1b[K%s", p.faint("measuring: "+what+" ..."))
		}
	})
	if p.colours && !c.JSON {
		p.printf("\r\x1b[K")
	}
	if err != nil {
		return c.refused(s, err)
	}
	if c.JSON {
		return printJSON(s.out, m)
	}
	c.show(p, m)
	return nil
}

func (c policyBenchCmd) show(p painter, m *workbench.Measurement) {
	p.printf("%s  %d bytes, %s, %s with %d KiB of memory, %s\n\n", p.bold(shortPath(c.File)), m.Size, count(m.Endpoints, "endpoint", "endpoints"),
		count(m.Instances, "instance", "instances"), m.ModulePage>>10, m.Engine)
	p.printf("%-22s %9s %8s %8s\n", "a pick", "ns", "fuel", "allocs")
	line := func(name string, k workbench.Pick, fuel string) {
		p.printf("  %-20s %9.1f %8s %8g\n", name, k.Nanos, fuel, k.Allocations)
	}
	line("null", m.Null, "-")
	line("built-in p2c", m.Native, "-")
	line(m.Module, m.Picks, fmt.Sprintf("%.0f", m.Fuel))
	p.printf("  %-20s %9.1f\n", "  from 2 goroutines", m.Contended)
	p.printf("\n%-22s %9s %8s\n", "a start", "cold", "cached")
	p.printf("  %-20s %9s %8s\n", "compile", nanos(m.Compile.Cold), nanos(m.Compile.Cached))
	p.printf("  %-20s %9s %8s\n", "file to first pick", nanos(m.FirstPick.Cold), nanos(m.FirstPick.Cached))
	p.printf("  %-20s %9s\n", "instance", nanos(m.Instance))
	if m.Unasked > 0.01 {
		p.printf("\n%s\n", p.red(fmt.Sprintf("%.0f%% of the picks were decided by the fallback, not by the module: these figures say little", m.Unasked*100)))
	}
}

func nanos(n int64) string { return short(time.Duration(n)) }
