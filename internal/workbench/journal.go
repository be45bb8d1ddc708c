package workbench

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// journal keeps what guests log, for those who want to know why one failed.
type journal struct {
	mu    sync.Mutex
	lines []string
}

// mostLines is how much of a log is shown: its end.
const mostLines = 10

// Enabled implements slog.Handler.
func (*journal) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := strings.ToLower(r.Level.String()) + ": " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "cluster" {
			line += " " + a.Key + "=" + a.Value.String()
		}
		return true
	})
	j.lines = append(j.lines, line)
	if len(j.lines) > mostLines {
		j.lines = j.lines[1:]
	}
	return nil
}

// WithAttrs implements slog.Handler. What the host adds to every line says nothing here.
func (j *journal) WithAttrs([]slog.Attr) slog.Handler { return j }

// WithGroup implements slog.Handler.
func (j *journal) WithGroup(string) slog.Handler { return j }

// take returns the lines, and begins anew.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}
