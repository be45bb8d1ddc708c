package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

	Record       string   `type:"path" placeholder:"FILE" help:"Keep a trace of all picks in a file, for 'weir policy test --replay'. It must not exist."`
	RecordLimit  size     `default:"64MiB" placeholder:"SIZE" help:"Most bytes of the trace (${default}); then the recording ends."`
	RecordHeader []string `placeholder:"NAME" help:"A header field whose text the trace holds; may be given several times."`
}

// Run serves until told to stop.
func (c runCmd) Run(s *streams) error {
	// Signals are taken before anything listens, so that one sent the moment the port opens is not lost.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // whoever read a log and is gone ends nothing; the write tells

	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
	o := gateway.Options{Path: c.Config, Strict: c.Strict, Log: log, Level: level, Version: Version(), Access: s.out}
	if c.Record != "" {
		f, err := os.OpenFile(c.Record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("--record: %s exists, want the name of a new file", shortPath(c.Record))
		}
		if err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		defer f.Close() // what is in it is on its way to the disk by then
		o.Record, o.RecordLimit, o.RecordHeaders = f, int64(c.RecordLimit), c.RecordHeader
	}
	g, err := gateway.Start(o)
	if err != nil {
		if o.Record != nil {
			_ = os.Remove(c.Record) // it would be in the way of the next start
		}
		fmt.Fprintln(s.err, err) // one line a mistake
		return errTold
	}
	sig := <-signals
	for ; sig == syscall.SIGHUP; sig = <-signals {
		_ = g.Reload() // which logs what is wrong
	}
	log.Info("draining", "signal", sig.String(), "at_most", c.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), c.Drain)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- g.Shutdown(ctx) }()
	for {
		select {
		case sig := <-signals:
			if sig == os.Interrupt {
				cancel() // a second Ctrl-C does not wait
			}
			continue
		case err = <-drained:
		}
		break
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		log.Warn("ended with requests in flight", "err", err)
		return nil
	}
	return err
}
