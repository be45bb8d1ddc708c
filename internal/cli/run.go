package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/weir-lb/weir/gateway"
)

type runCmd struct {
	Config string        `short:"c" required:"" type:"path" placeholder:"FILE" help:"Configuration (YAML)."`
	Strict bool          `help:"Exit with status 1 if a policy is refused, instead of serving by its fallback."`
	Drain  time.Duration `default:"30s" help:"How long requests in flight may take at the end."`
}

// Run serves until told to stop.
func (c runCmd) Run(s *streams) error {
	// Signals are taken before anything listens, so that one sent the moment the port opens is not lost.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
	g, err := gateway.Start(gateway.Options{Path: c.Config, Strict: c.Strict, Log: log, Level: level, Version: Version()})
	if err != nil {
		return c.told(s, err)
	}
	for {
		switch sig := <-signals; sig {
		case syscall.SIGHUP:
			if err := g.Reload(); err != nil {
				_ = c.told(s, err)
				log.Error("the old configuration keeps serving", "reload", "refused")
			}
			continue
		default:
			log.Info("draining", "signal", sig.String(), "at_most", c.Drain)
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.Drain)
		go func() {
			for sig := range signals {
				if sig == os.Interrupt {
					cancel() // a second Ctrl-C does not wait
				}
			}
		}()
		err := g.Shutdown(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			log.Warn("ended with requests in flight")
			return nil
		}
		return err
	}
}

// told prints a configuration's mistakes, one a line, and anything else as it is.
func (runCmd) told(s *streams, err error) error {
	fmt.Fprintln(s.err, err)
	return errTold
}
