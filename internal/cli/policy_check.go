package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/weir-lb/weir/wasmhost"
)

type policyCheckCmd struct {
	File   string `arg:"" type:"path" placeholder:"FILE.wasm" help:"The module."`
	Config string `help:"Configuration handed to lb_init, such as '{\"percent\": 5}'."`
}

// Run takes the module through every step that it would pass in a gateway.
func (c policyCheckCmd) Run(s *streams) error {
	wasm, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.NewTextHandler(s.err, nil))})
	if err != nil {
		return err
	}
	defer host.Close()
	m, err := host.Load(context.Background(), wasm, wasmhost.Options{Name: c.File, Config: []byte(c.Config)})
	if err != nil {
		return fmt.Errorf("%s: refused at step %w", c.File, err)
	}
	defer m.Close()
	i := m.Info()
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	row := func(name string, values ...string) {
		if len(values) == 0 {
			values = []string{"none"}
		}
		for k, v := range values {
			if k > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%s\t%s\n", name, v)
		}
	}
	row("module", fmt.Sprintf("%s, %d bytes", c.File, i.Size))
	row("sha256", i.SHA256)
	row("compiled", fmt.Sprintf("in %v, %s", i.Compile.Round(10_000), i.Engine))
	row("exports", i.Exports...)
	row("imports", i.Imports...)
	row("columns", cmp.Or(strings.Join(i.Columns, " "), "none"))
	if i.Retry {
		row("failover", "its own (lb_retry)")
	} else {
		row("failover", "the cluster's")
	}
	results := make([]string, 0, len(i.DryRun.Results))
	for _, r := range slices.Sorted(maps.Keys(i.DryRun.Results)) {
		results = append(results, fmt.Sprintf("%d %s", i.DryRun.Results[r], r))
	}
	row("dry run", fmt.Sprintf("%d picks: %s; fuel %d on average, %d at most", i.DryRun.Picks, strings.Join(results, ", "),
		i.DryRun.Fuel/int64(max(i.DryRun.Picks, 1)), i.DryRun.MaxFuel))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "\nok: a gateway would serve with it")
	return err
}
