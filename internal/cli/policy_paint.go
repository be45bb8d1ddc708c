package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// painter writes to a terminal in colours, and to anything else without.
type painter struct {
	io.Writer
	colours bool
}

// paint returns a painter on w. NO_COLOR (no-color.org) turns colours off.
func paint(w io.Writer) painter {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return painter{w, false}
	}
	info, err := f.Stat()
	return painter{w, err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p painter) in(code, s string) string {
	if !p.colours {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) green(s string) string { return p.in("32", s) }
func (p painter) red(s string) string   { return p.in("31;1", s) }
func (p painter) faint(s string) string { return p.in("2", s) }
func (p painter) bold(s string) string  { return p.in("1", s) }

func (p painter) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// indented puts every line of s at a column.
func indented(s string, by int) string {
	return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", by))
}

// short is d in three digits at most.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(time.Microsecond).String()
	}
	return d.String()
}

// count is n with the word for one or for many.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
