package gateway

import (
	"context"
	"errors"
	"log/slog"

	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// Summary says what a valid configuration holds.
type Summary struct{ Listeners, Routes, Clusters, Policies int }

// Check validates the configuration at path and loads every policy it names, without serving. The error has one line
// for each mistake.
func Check(path string) (Summary, error) {
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Summary{}, err
	}
	g := &Gateway{options: Options{Path: path}, host: host}
	ctx := context.Background()
	cfg, err := g.load(ctx)
	if err != nil {
		return Summary{}, errors.Join(err, host.Close())
	}
	var errs config.Errors
	for name := range cfg.Policies {
		p, mistake := g.loadPolicy(ctx, cfg, name)
		if mistake != nil {
			errs = append(errs, mistake)
		}
		p.close()
	}
	if len(errs) > 0 {
		errs.Sort()
		return Summary{}, errors.Join(errs, host.Close())
	}
	return Summary{len(cfg.Listeners), len(cfg.Routes), len(cfg.Clusters), len(cfg.Policies)}, host.Close()
}
