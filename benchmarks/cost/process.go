//go:build linux

package cost

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cpuTime returns how long the threads of a process have run, and how long they have waited for a CPU while they could
// have run. Time of threads that have ended is not in it.
func cpuTime(pid int) (run, wait time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, 0, err
	}
	if len(files) == 0 {
		return 0, 0, fmt.Errorf("process %d: got no /proc/%[1]d/task/*/schedstat, want one a thread: it has ended, or the kernel lacks CONFIG_SCHED_INFO", pid)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		r, w, err := parseSchedstat(b)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", f, err)
		}
		run, wait = run+r, wait+w
	}
	return run, wait, nil
}

// parseSchedstat reads a line "RUN WAIT SLICES", the first two in nanoseconds (Documentation/scheduler/sched-stats).
func parseSchedstat(b []byte) (run, wait time.Duration, err error) {
	f := bytes.Fields(b)
	if len(f) != 3 {
		return 0, 0, fmt.Errorf("schedstat: got %q, want three numbers", b)
	}
	r, err := strconv.ParseInt(string(f[0]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("schedstat: %w", err)
	}
	w, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(r), time.Duration(w), nil
}

// pss returns the memory of a process in bytes, pages that it shares counted in shares.
func pss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return parsePSS(b)
}

func parsePSS(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "Pss:" && string(f[2]) == "kB" {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup: got no line Pss: N kB in %.100q", b)
}
