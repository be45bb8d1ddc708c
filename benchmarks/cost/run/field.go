//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weir-lb/weir/benchmarks/cost"
	"github.com/weir-lb/weir/benchmarks/peers"
)

// field is who takes part.
type field struct {
	dir, cpu string
	runners  []runner
	running  []*peers.Peer
	peers    map[string]string // what each is
	first    string            // "@NAME" of the first of several programs of Weir
}

type runner struct{ name, kind, program string }

// gather finds or builds every program, and says at once what is missing.
func (f *field) gather(ctx context.Context, kinds []string, weirs string) error {
	var weirPrograms []string
	if weirs != "" {
		for w := range strings.SplitSeq(weirs, ",") {
			path, err := absolute(w)
			if err != nil {
				return fmt.Errorf("-weir: %w", err)
			}
			weirPrograms = append(weirPrograms, path)
		}
	}
	if len(weirPrograms) > 1 {
		f.first = "@" + filepath.Base(weirPrograms[0])
	}
	var missing []error
	for _, kind := range kinds {
		programs, err := f.programs(ctx, kind, &weirPrograms)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		for _, p := range programs {
			name := kind
			if len(programs) > 1 {
				name += "@" + filepath.Base(p)
			}
			if f.peers[name] != "" {
				missing = append(missing, fmt.Errorf("%s takes part twice", name))
				continue
			}
			version, err := peers.Version(kind, p)
			if err != nil {
				missing = append(missing, err)
				continue
			}
			f.peers[name] = version
			f.runners = append(f.runners, runner{name, kind, p})
		}
	}
	return errors.Join(missing...)
}

// programs are the files to execute; "" is what is found in PATH.
func (f *field) programs(ctx context.Context, kind string, weirs *[]string) ([]string, error) {
	switch {
	case strings.HasPrefix(kind, "weir"):
		if len(*weirs) == 0 {
			out := filepath.Join(f.dir, "weir")
			if err := peers.BuildWeir(ctx, out); err != nil {
				return nil, err
			}
			*weirs = []string{out}
		}
		return *weirs, nil
	case strings.HasPrefix(kind, "caddy"):
		program, err := peers.BuildCaddy(ctx)
		return []string{program}, err
	case kind == "reverseproxy":
		out := filepath.Join(f.dir, "reverseproxy")
		return []string{out}, peers.BuildReverseProxy(ctx, out)
	}
	return []string{""}, nil
}

// start starts every gateway as setup says, and returns them for a comparison.
func (f *field) start(ctx context.Context, setup peers.Setup, runners []runner) ([]cost.Entrant, error) {
	var entrants []cost.Entrant
	for _, r := range runners {
		setup.Program, setup.CPU = r.program, f.cpu
		p, err := peers.Start(ctx, r.kind, setup)
		if err != nil {
			return nil, err
		}
		f.running = append(f.running, p)
		entrants = append(entrants, cost.Entrant{Name: r.name, Target: cost.Target{Address: p.Address, PID: p.Pid()}, Admin: p.Admin})
	}
	return entrants, nil
}

func (f *field) stop() {
	for _, p := range f.running {
		p.Stop()
	}
	f.running = nil
}

// explain adds to an error what gateways have said.
func (f *field) explain(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, f.logs())
}

// logs is what gateways have said.
func (f *field) logs() error {
	var all []error
	for _, p := range f.running {
		if l := p.Log(); l != "" {
			all = append(all, fmt.Errorf("%s said: %s", p.Name, l))
		}
	}
	return errors.Join(all...)
}

// bases adds the first of several programs of Weir.
func (f *field) bases(asked []string) []string {
	if f.first != "" {
		asked = append(asked, f.first)
	}
	return asked
}
