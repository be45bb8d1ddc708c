// Command run is `make chaos`: what faults cost behind Weir, HAProxy, nginx and Caddy, and how many of Weir's takeovers are clean.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/benchmarks/chaos"
	"github.com/weir-lb/weir/benchmarks/peers"
)

type flags struct {
	gateways, faults, caddy, weir, out, json string
	gets, posts, trials, lanes               int
	seed                                     uint64
}

func main() {
	chaos.Main()
	var f flags
	flag.StringVar(&f.gateways, "gateways", "weir,haproxy,nginx,caddy", "which `names` to run, with commas")
	flag.StringVar(&f.faults, "faults", "", "which `names` to run, with commas; all if empty, none if \"none\"")
	flag.StringVar(&f.caddy, "caddy", "", "`file` of Caddy; that in PATH if empty")
	flag.StringVar(&f.weir, "weir", "", "`file` of Weir; built if empty")
	flag.StringVar(&f.out, "out", "", "`file` for what is printed, beside standard output")
	flag.StringVar(&f.json, "json", "", "`file` for all that was measured, as JSON")
	flag.IntVar(&f.gets, "gets", 2000, "GETs a second, of the table; trials have the tenth")
	flag.IntVar(&f.posts, "posts", 500, "POSTs a second")
	flag.IntVar(&f.trials, "trials", 200, "takeovers of Weir to try in each layout")
	flag.IntVar(&f.lanes, "lanes", 8, "trials at a time")
	flag.Uint64Var(&f.seed, "seed", 1, "of what trials leave to chance")
	flag.Parse()
	if err := f.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (f *flags) run(ctx context.Context) error {
	noGround := chaos.Enter()
	if f.weir == "" {
		dir, err := os.MkdirTemp("", "weir-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		f.weir = filepath.Join(dir, "weir")
		if err := peers.BuildWeir(ctx, f.weir); err != nil {
			return err
		}
	}
	o := chaos.Options{
		Gets: f.gets, Posts: f.posts, Programs: map[string]string{"weir": f.weir, "caddy": f.caddy}, Ground: &chaos.Ground{Namespaces: noGround == nil},
		Before: time.Second, After: 1500 * time.Millisecond,
	}
	var text bytes.Buffer
	w := io.MultiWriter(os.Stdout, &text)
	f.preface(w, o, noGround)
	var all struct {
		Faults []chaos.Result
		Trials []chaos.Trial
	}
	var err error
	if f.faults != "none" {
		if all.Faults, err = f.table(ctx, o); err != nil {
			return err
		}
		fmt.Fprintf(w, "\n%d GETs and %d POSTs a second at even distances, 4 endpoints; times in milliseconds\n\n", f.gets, f.posts)
		chaos.Print(w, all.Faults)
		verdict(w, all.Faults)
	}
	if f.trials > 0 {
		o.Gets, o.Posts = f.gets/10, f.posts/10
		err := chaos.Trials(ctx, o, f.trials, f.lanes, f.seed, func(t chaos.Trial) {
			all.Trials = append(all.Trials, t)
			progress(t.Fault, t.Layout, t.Clean)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n%d trials with Weir, %d at a time, at %d GETs and %d POSTs a second each: random faults at random moments (seed %d)\n\n",
			len(all.Trials), f.lanes, o.Gets, o.Posts, f.seed)
		if err := chaos.PrintCoverage(w, all.Trials); err != nil {
			return err
		}
	}
	if f.out != "" {
		err = os.WriteFile(f.out, text.Bytes(), 0o644)
	}
	if f.json != "" {
		b, wrong := json.Marshal(all)
		err = errors.Join(err, wrong, os.WriteFile(f.json, append(b, '\n'), 0o644))
	}
	return err
}

// verdict says which promises Weir has not kept.
func verdict(w io.Writer, results []chaos.Result) {
	broken := 0
	for _, r := range results {
		if r.Gateway != "weir" {
			continue
		}
		for _, p := range append(r.Broken(), r.TooLate()...) {
			fmt.Fprintf(w, "\nWeir, promise not kept: %s\n", p)
			broken++
		}
	}
	if broken == 0 {
		fmt.Fprintln(w, "\nWeir: every promise was kept (docs/CHAOS.md)")
	}
}

// table runs each fault behind each gateway.
func (f *flags) table(ctx context.Context, o chaos.Options) (results []chaos.Result, err error) {
	stage, err := chaos.NewStage(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	for i := range chaos.Faults {
		x := &chaos.Faults[i]
		if f.faults != "" && !slices.Contains(strings.Split(f.faults, ","), x.Name) {
			continue
		}
		for name := range strings.SplitSeq(f.gateways, ",") {
			r, err := stage.Run(ctx, x, name)
			if errors.Is(err, chaos.ErrNotHere) {
				continue
			}
			if err != nil {
				return results, err
			}
			results = append(results, r)
			progress(r)
		}
	}
	return results, nil
}

// progress says that there is some, to whoever waits.
func progress(what ...any) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		b, _ := json.Marshal(what)
		fmt.Fprintf(os.Stderr, "%s\n", b)
	}
}

// preface says what ran where.
func (f *flags) preface(w io.Writer, o chaos.Options, noGround error) {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs (%s)\n", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpu())
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		fmt.Fprintf(w, "commit   %s", commit)
	}
	for name := range strings.SplitSeq(f.gateways, ",") {
		version, err := peers.Version(name, o.Programs[name])
		if err != nil {
			version = err.Error()
		}
		fmt.Fprintf(w, "%-8s %s\n", name, version)
	}
	if noGround != nil {
		fmt.Fprintf(w, "everything is on loopback, and faults of the network and of Consul are left out: %v\n", noGround)
	}
}

func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name\t: ")
	model, _, _ := strings.Cut(rest, "\n")
	return model
}
