package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/weir-lb/weir/wasmhost"
)

// Summary says what a valid configuration holds.
type Summary struct{ Listeners, Routes, Clusters, Policies int }

// Check validates the configuration at path and loads every policy it names, without serving. The error has one line
// for each mistake.
func Check(path string) (Summary, error) {
	cfg, err := load(path)
	if err != nil {
		return Summary{}, err
	}
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Summary{}, err
	}
	g := &Gateway{host: host}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies)) {
		p, err := g.loadPolicy(context.Background(), cfg, name)
		errs = append(errs, err)
		p.close()
	}
	errs = append(errs, host.Close())
	return Summary{len(cfg.Listeners), len(cfg.Routes), len(cfg.Clusters), len(cfg.Policies)}, errors.Join(errs...)
}
