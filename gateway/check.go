package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// Summary says what a valid configuration holds.
type Summary struct {
	Listeners, Routes, Clusters, Policies int

	Warnings []string // what is no mistake but needs a look, one a line, with its place
}

// Check validates the configuration at path and loads every policy and certificate it names, without serving. The error has one line
// for each mistake.
func Check(path string) (Summary, error) {
	host, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Summary{}, err
	}
	g := &Gateway{options: Options{Path: path}, host: host, certs: certs.New(time.Now)}
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
	mistakes, warnings := g.checkCerts(cfg)
	if errs = append(errs, mistakes...); len(errs) > 0 {
		errs.Sort()
		return Summary{}, errors.Join(errs, host.Close())
	}
	s := Summary{Listeners: len(cfg.Listeners), Routes: len(cfg.Routes), Clusters: len(cfg.Clusters), Policies: len(cfg.Policies)}
	for _, w := range warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	return s, host.Close()
}
