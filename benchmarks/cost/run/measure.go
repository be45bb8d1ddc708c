//go:build linux

package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/benchmarks/cost"
	"github.com/weir-lb/weir/benchmarks/peers"
)

// measure fills the report with what the flags ask for.
func (f *field) measure(ctx context.Context, m *cost.Meter, r *cost.Report, loads []cost.Load, endpoints []string) error {
	if len(loads) > 0 {
		entrants, err := f.start(ctx, peers.Setup{Endpoints: endpoints}, f.runners)
		if err != nil {
			return err
		}
		profiled := func() error { return nil }
		if *profile != "" {
			profiled = saveProfile(ctx, entrants[0].Admin, *profile, time.Duration(*rounds*len(loads)*len(entrants))*(*warm+*window))
		}
		if r.Series, err = cost.Compare(ctx, m, entrants, loads, *rounds, os.Stderr); err != nil {
			return f.explain(err)
		}
		if err := profiled(); err != nil {
			return err
		}
		for _, e := range entrants {
			if !strings.HasPrefix(e.Name, "weir") {
				continue
			}
			p, err := cost.ReadPauses(ctx, e)
			if err != nil {
				return err
			}
			r.Pauses = append(r.Pauses, p)
		}
		f.stop()
	}
	if *secure {
		if err := f.measureTLS(ctx, m, r, endpoints); err != nil {
			return err
		}
	}
	if *idle == 0 {
		return nil
	}
	for _, one := range f.runners { // each for itself: they share the number of files
		entrants, err := f.start(ctx, peers.Setup{Endpoints: endpoints}, []runner{one})
		if err != nil {
			return err
		}
		i, err := cost.MeasureIdle(ctx, entrants[0], *idle)
		if err != nil {
			return err
		}
		r.Idle = append(r.Idle, i)
		f.stop()
	}
	return nil
}

func (f *field) measureTLS(ctx context.Context, m *cost.Meter, r *cost.Report, endpoints []string) error {
	cert, key, err := cost.Certificate(f.dir)
	if err != nil {
		return err
	}
	runners := slices.DeleteFunc(slices.Clone(f.runners), func(r runner) bool { return r.kind == "reverseproxy" })
	entrants, err := f.start(ctx, peers.Setup{Endpoints: endpoints, Cert: cert, Key: key}, runners)
	if err != nil {
		return err
	}
	series, err := cost.Compare(ctx, m, entrants, cost.SecureLoads, *rounds, os.Stderr)
	r.Series = append(r.Series, series...)
	err = f.explain(err)
	f.stop()
	return err
}
