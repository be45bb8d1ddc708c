package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/weir-lb/weir/wasmhost"
)

type policyCheckCmd struct {
	moduleFlags
}

// checked is what there is to say of a module, in JSON.
type checked struct {
	Module  string         `json:"module"`
	OK      bool           `json:"ok"`
	Refused *refusal       `json:"refused,omitempty"`
	Info    *wasmhost.Info `json:"info,omitempty"`
}

// Run takes the module through every step that it would pass in a gateway.
func (c policyCheckCmd) Run(s *streams) error {
	wasm, err := c.read()
	if err != nil {
		return err
	}
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.NewTextHandler(s.err, nil))})
	if err != nil {
		return err
	}
	defer host.Close()
	o := c.options()
	o.Name, o.Config = policyName(c.File), c.config()
	m, err := host.Load(context.Background(), wasm, o)
	if err != nil {
		if r := refusalOf(err); r != nil && c.JSON {
			return cmp.Or(printJSON(s.out, checked{Module: c.File, Refused: r}), errTold)
		}
		return c.refused(s, err)
	}
	defer m.Close()
	i := m.Info()
	if c.JSON {
		return printJSON(s.out, checked{Module: c.File, OK: true, Info: &i})
	}
	return c.show(s, i)
}

func (c policyCheckCmd) show(s *streams, i wasmhost.Info) error {
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
	row("module", fmt.Sprintf("%s, %d bytes, memory of %d KiB at start", c.File, i.Size, i.MemoryPages*64))
	row("sha256", i.SHA256)
	row("compiled", fmt.Sprintf("in %v, %s", i.Compile.Round(10_000), i.Engine))
	row("exports", i.Exports...)
	row("imports", i.Imports...)
	row("columns", cmp.Or(strings.Join(i.Columns, " "), "none"))
	row("instances", map[bool]string{true: "one a processor (REPLICABLE)", false: "one"}[i.Replicable])
	row("failover", map[bool]string{true: "its own (lb_retry)", false: "the cluster's"}[i.Retry])
	row("outcomes", map[bool]string{true: "are told it (lb_feedback)", false: "are not told it"}[i.Feedback])
	row("state", map[bool]string{true: "goes on after a swap (lb_save, lb_restore)", false: "begins anew after a swap"}[i.Save && i.Restore])
	results := make([]string, 0, len(i.DryRun.Results))
	for _, r := range slices.Sorted(maps.Keys(i.DryRun.Results)) {
		results = append(results, fmt.Sprintf("%d %s", i.DryRun.Results[r], r))
	}
	row("dry run", fmt.Sprintf("%d picks: %s; fuel %d on average, %d at most", i.DryRun.Picks, strings.Join(results, ", "),
		i.DryRun.Fuel/int64(max(i.DryRun.Picks, 1)), i.DryRun.MaxFuel))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.out, "\n%s: a gateway would serve with it\n", paint(s.out).green("ok"))
	return err
}

// refusal says at which step a module is refused, and why.
type refusal struct {
	Step    wasmhost.Step `json:"step"`
	Reasons []string      `json:"reasons"`
	Hints   []string      `json:"hints,omitempty"`
}

// refusalOf returns nil if err is no refusal.
func refusalOf(err error) *refusal {
	step, ok := errors.AsType[*wasmhost.StepError](err)
	if !ok {
		return nil
	}
	r := &refusal{Step: step.Step, Reasons: strings.Split(step.Err.Error(), "; ")}
	for _, h := range hints {
		if strings.Contains(err.Error(), h.sign) {
			r.Hints = append(r.Hints, h.hint)
		}
	}
	return r
}

func (r *refusal) show(p painter, file string) {
	p.printf("%s  %s, at step %s: %s\n", p.red("refused"), shortPath(file), p.bold(string(r.Step)), steps[r.Step])
	for _, reason := range r.Reasons {
		p.printf("  %s\n", reason)
	}
	for _, h := range r.Hints {
		p.printf("  %s %s\n", p.faint("hint:"), indented(h, 8))
	}
}

// steps say what happens in each.
var steps = map[wasmhost.Step]string{
	wasmhost.StepSize:      "its size, and its digest where one is wanted",
	wasmhost.StepParse:     "reading the file",
	wasmhost.StepVet:       "what a host allows a policy to do and to import",
	wasmhost.StepCompile:   "compiling it",
	wasmhost.StepExports:   "the functions that a policy has",
	wasmhost.StepInit:      "starting an instance, up to lb_init",
	wasmhost.StepEndpoints: "handing it a table of endpoints",
	wasmhost.StepDryRun:    "64 picks over a made-up table",
	wasmhost.StepRestore:   "taking over the state of the version before",
}

const large = "A module that carries a language runtime, such as Go's? Say --large here, and large: true in the gateway's configuration."

// hints are for people who see the message for the first time: what it tends to mean, and what to do.
var hints = []struct{ sign, hint string }{
	{`it begins ""`, "The file is empty. Did the compiler fail, or write elsewhere?"},
	{`it begins "(`, "This is WebAssembly in text form. Build it: wat2wasm FILE.wat -o FILE.wasm"},
	{"a WebAssembly component", "Build a core module: target wasm32-unknown-unknown or wasip1, without wit-bindgen, jco or componentize."},
	{"another version of the ABI", "Build it with the header of this version: 'weir policy new' writes one into a project."},
	{`there is no module "env"`, "A function that is declared and not defined becomes an import of \"env\". Policies have no C library; what the\nhost offers is in module \"lb\": docs/ABI.md, section 5."},
	{"want a function", "Is it exported? C: LB_EXPORT(name); Rust: #[no_mangle] extern \"C\"; Zig: export fn; Go: //go:wasmexport name;\nAssemblyScript: export function."},
	{"code of ", large},
	{"body of ", large},
	{"out of fuel", "Every call has a budget (lb_pick: 100000; --profile gc: 5000000), so that no loop stops the gateway. Is there a loop that\ndoes not end, or work that belongs into lb_endpoints? Guests that collect garbage in a pick want --profile gc."},
	{"rejects the config of 0 bytes", "lb_init was given no configuration, and is to accept that if it can. Give one by --config '{...}'."},
	{"which overlaps", "lb_alloc is called once for each region, and each is kept: hand out memory that nothing else uses. The SDKs have one."},
	{"which is bad_index", "lb_pick answers the index of an endpoint in the table, 0 to n-1, not its id."},
}
