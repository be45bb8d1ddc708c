package gateway

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/config"
)

// accessGrace is how long the last lines of the access log may take at the end.
const accessGrace = 2 * time.Second

// borrowed is a writer that is not the access log's to close.
type borrowed struct{ io.Writer }

// Close implements io.Closer.
func (borrowed) Close() error { return nil }

// prepareAccess opens what lines are to go to. A file is opened at each reload, since it may have been moved away.
func (g *Gateway) prepareAccess(cfg *config.Config, ch *change) *config.Error {
	switch was := g.config; {
	case cfg.Log.Access == "off":
		if was != nil && was.Log.Access != "off" {
			ch.access = borrowed{io.Discard} // the file is not wanted any more
		}
	case cfg.Log.AccessFile != "":
		f, err := access.Open(cfg.Log.AccessFile)
		if err != nil {
			return cfg.Error("log.access_file", err.Error(), "a file that lines can be added to")
		}
		ch.access = f
	case was == nil || was.Log.Access == "off" || was.Log.AccessFile != "":
		if ch.access = (borrowed{g.options.Access}); g.options.Access == nil {
			ch.access = borrowed{os.Stdout}
		}
	}
	return nil
}

// commitAccess has lines go where they are to go. The caller holds mu.
func (g *Gateway) commitAccess(ch *change) {
	switch {
	case ch.access == nil:
	case g.access == nil:
		g.access = access.New(ch.access, g.accessChanged)
	default:
		g.access.Direct(ch.access)
	}
}

// reopenAccess opens the file of the access log again, although the configuration stays as it is.
func (g *Gateway) reopenAccess() {
	l := g.config.Log
	if l.Access == "off" || l.AccessFile == "" {
		return
	}
	f, err := access.Open(l.AccessFile)
	if err != nil {
		g.log.Error("the access log goes on in the file that it has", "file", l.AccessFile, "err", err)
		return
	}
	g.access.Direct(f)
}

// accessChanged tells that lines of the access log cannot be written, by err, or can be again.
func (g *Gateway) accessChanged(err error) {
	level, detail := slog.LevelInfo, "lines are written again"
	if err != nil {
		level, detail = slog.LevelError, "lines are dropped: "+err.Error()
	}
	g.log.Log(context.Background(), level, "access log", "detail", detail)
	g.events.add(Event{Kind: kindAccessLog, Detail: detail})
}

// closeAccess writes what there is.
func (g *Gateway) closeAccess() {
	if g.access == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), accessGrace)
	defer cancel()
	if err := g.access.Close(ctx); err != nil {
		g.log.Warn("the last lines of the access log are not written", "err", err)
	}
}

// accessLog returns what is known of the access log; the zero Stats if there never was one.
func (g *Gateway) accessLog() access.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.access == nil {
		return access.Stats{}
	}
	return g.access.Stats()
}
