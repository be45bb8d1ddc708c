//go:build linux

package cost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Window is what was seen of a gateway for a second or so.
type Window struct {
	Round    int           `json:"round"`
	Requests int64         `json:"requests"`
	Failed   int64         `json:"failed"`
	Bytes    int64         `json:"bytes"` // of responses
	Elapsed  time.Duration `json:"elapsed_ns"`
	CPU      time.Duration `json:"cpu_ns"`  // of the gateway
	Wait     time.Duration `json:"wait_ns"` // of its threads, for a CPU
	P50      time.Duration `json:"p50_ns"`
	P90      time.Duration `json:"p90_ns"`
	P99      time.Duration `json:"p99_ns"`
	Foreign  float64       `json:"foreign"` // CPUs that anything else kept busy
	Retaken  int           `json:"retaken"`
}

// PerRequest is the CPU time of one request in microseconds.
func (w *Window) PerRequest() float64 { return float64(w.CPU) / 1e3 / float64(w.Requests) }

// PerMiB is the CPU time of one MiB of responses in microseconds.
func (w *Window) PerMiB() float64 { return float64(w.CPU) / 1e3 / (float64(w.Bytes) / (1 << 20)) }

// Calm reports whether the window is worth comparing: nothing failed, and at most a twentieth of a CPU was kept busy by
// others.
func (w *Window) Calm() bool { return w.Failed == 0 && w.Requests > 0 && w.Foreign <= maxForeign }

const maxForeign = 0.05

// Target is a gateway to measure.
type Target struct {
	Address string
	PID     int
}

// Meter takes windows.
type Meter struct {
	Warm, Length time.Duration // of a window, before it counts and while it does
	Retakes      int           // of a window that is not calm
	Endpoint     int           // the process of the endpoints; 0: this one
}

// Take returns the calmest of as many windows as it needs.
func (m *Meter) Take(ctx context.Context, t Target, l *Load) (Window, error) {
	return calmest(m.Retakes, func() (Window, error) { return m.once(ctx, t, l) })
}

func calmest(retakes int, once func() (Window, error)) (best Window, err error) {
	for try := range retakes + 1 {
		w, err := once()
		if err != nil {
			return w, err
		}
		w.Retaken = try
		if try == 0 || calmer(&w, &best) {
			best = w
		}
		if best.Calm() {
			break
		}
	}
	return best, nil
}

func calmer(a, b *Window) bool {
	if (a.Failed == 0) != (b.Failed == 0) {
		return a.Failed == 0
	}
	return a.Foreign < b.Foreign
}

func (m *Meter) once(ctx context.Context, t Target, l *Load) (w Window, err error) {
	traffic, err := l.dial(t.Address)
	if err != nil {
		return w, err
	}
	c := traffic.counts()
	traffic.start()
	accepting := time.Duration(l.Connections) * 100 * time.Microsecond
	if err := pause(ctx, m.Warm+accepting, c.ended); err != nil {
		return w, errors.Join(err, traffic.close())
	}
	failed := c.failed.Load()
	c.timing.Store(true)
	before, err := m.look(t, c)
	if err == nil {
		err = pause(ctx, m.Length, c.ended)
	}
	var after sight
	if err == nil {
		after, err = m.look(t, c)
	}
	c.timing.Store(false)
	w.Failed = c.failed.Load() - failed
	if e := traffic.close(); e != nil {
		return w, e
	}
	if err != nil {
		return w, err
	}
	w.compare(&before, &after)
	slices.Sort(c.latencies)
	w.P50, w.P90, w.P99 = quantile(c.latencies, 0.5), quantile(c.latencies, 0.9), quantile(c.latencies, 0.99)
	return w, nil
}

// sight is what can be counted at one time.
type sight struct {
	at          time.Time
	done, bytes int64
	cpu, wait   time.Duration // of the gateway
	ours        time.Duration // CPU time of all who take part
	busy        time.Duration
}

func (m *Meter) look(t Target, c *tally) (s sight, err error) {
	if s.busy, err = busy(); err != nil {
		return s, err
	}
	for _, pid := range []int{os.Getpid(), m.Endpoint} {
		if pid == 0 {
			continue
		}
		run, _, err := cpuTime(pid)
		if err != nil {
			return s, err
		}
		s.ours += run
	}
	s.at, s.done, s.bytes = time.Now(), c.done.Load(), c.bytes.Load()
	if s.cpu, s.wait, err = cpuTime(t.PID); err != nil {
		return s, err
	}
	if t.PID != os.Getpid() {
		s.ours += s.cpu
	}
	return s, nil
}

func (w *Window) compare(a, b *sight) {
	w.Requests, w.Bytes = b.done-a.done, b.bytes-a.bytes
	w.Elapsed = b.at.Sub(a.at)
	w.CPU, w.Wait = b.cpu-a.cpu, b.wait-a.wait
	w.Foreign = float64((b.busy-a.busy)-(b.ours-a.ours)) / float64(w.Elapsed)
}

// pause waits, unless the load ends before.
func pause(ctx context.Context, d time.Duration, ended <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ended:
		return fmt.Errorf("the load ended before its time")
	case <-ctx.Done():
		return ctx.Err()
	}
}
