package chaos

import (
	"fmt"
	"io"
	"time"
)

// Print writes the results as a table.
func Print(w io.Writer, results []Result) {
	fmt.Fprintf(w, "%-18s %-8s %8s %7s %8s %9s %9s %9s %8s %9s %9s   %6s %7s %9s %6s\n", "fault", "gateway", "GETs", "failed", "retried",
		"p99 bef.", "during", "after", "seen", "detected", "takeover", "POSTs", "failed", "not exec.", "twice")
	last, worst := "", time.Duration(0)
	for _, r := range results {
		if r.Fault != last && last != "" {
			fmt.Fprintln(w)
		}
		name := r.Fault
		if name == last {
			name = ""
		}
		last = r.Fault
		fmt.Fprintf(w, "%-18s %-8s %8d %7d %8d %9s %9s %9s %8s %9s %9s   %6d %7d %9d %6d\n", name, r.Gateway, r.Get.Requests, r.Get.Failed,
			r.Retried, millis(&r.Before), millis(&r.During), millis(&r.After), millis(r.Seen), millis(r.Detected), millis(&r.TakenOver),
			r.Post.Requests, r.Post.Failed, r.Post.NotExecuted, r.Post.Twice)
		worst = max(worst, r.Late)
	}
	fmt.Fprintf(w, "\nThe load was %s ms behind its times at worst.\n", millis(&worst))
}

// millis is a time in milliseconds; "-" is none.
func millis(d *time.Duration) string {
	switch {
	case d == nil:
		return "-"
	case *d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.0f", d.Seconds()*1e3)
}
