package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Gateway is Weir as a process of its own.
type Gateway struct {
	Addresses map[string]string // host:port by the name of the listener; "admin" is the API's

	cmd   *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex
	log   []string // its last lines
}

var listening = regexp.MustCompile(`msg=listening name=(\S+) address=(\S+)`)

// StartGateway runs the program with a configuration, which is written to a file in dir, and returns when its listeners
// accept. They are to have port 0, and names. args are further options of the command.
func StartGateway(ctx context.Context, program, dir, config string, args ...string) (*Gateway, error) {
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	g := &Gateway{Addresses: map[string]string{}, cmd: exec.CommandContext(ctx, program, append([]string{"run", "-c", file}, args...)...), ended: make(chan struct{})}
	out, err := g.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		defer close(g.ended)
		g.follow(out, strings.Count(config, "address: \"127.0.0.1:0\""), ready)
		_ = g.cmd.Wait()
	}()
	select {
	case <-ready:
		return g, nil
	case <-g.ended:
		return nil, fmt.Errorf("the gateway ended at its start: %s", g.Log())
	case <-time.After(patience):
		g.Kill()
		return nil, fmt.Errorf("the gateway does not listen after %v: %s", patience, g.Log())
	}
}

// follow reads the log, and closes ready when so many listeners accept.
func (g *Gateway) follow(out io.Reader, listeners int, ready chan struct{}) {
	for s := bufio.NewScanner(out); s.Scan(); {
		if m := listening.FindStringSubmatch(s.Text()); m != nil {
			if g.Addresses[m[1]] = m[2]; len(g.Addresses) == listeners {
				close(ready)
			}
			continue
		}
		g.mu.Lock()
		g.log = append(g.log, s.Text())
		g.log = g.log[max(0, len(g.log)-100):]
		g.mu.Unlock()
	}
}

// Log returns the last lines that the gateway has logged.
func (g *Gateway) Log() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.log, "\n")
}

// Kill ends the gateway at once.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.ended
}

// Drain asks the gateway to end, as a supervisor does, and returns how long it took.
func (g *Gateway) Drain() (time.Duration, error) {
	began := time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-g.ended:
		return time.Since(began), nil
	case <-time.After(2 * patience):
		return 0, fmt.Errorf("the gateway still runs %v after SIGTERM: %s", 2*patience, g.Log())
	}
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Resident, Peak int64 // VmRSS and VmHWM of /proc/PID/status
	Heap           int64 // what is in use of Go's heap and stacks, as the gateway's metrics have it
}

// Memory measures the gateway. Peak is since its start, or since [Gateway.ResetPeak].
func (g *Gateway) Memory() (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			m.Resident = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			m.Peak = kib << 10
		}
	}
	heap, err1 := g.Metric("go_memstats_heap_inuse_bytes")
	stacks, err2 := g.Metric("go_memstats_stack_inuse_bytes")
	m.Heap = int64(heap + stacks)
	return m, errors.Join(err1, err2)
}

// ResetPeak makes Peak begin anew (proc(5), clear_refs).
func (g *Gateway) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.cmd.Process.Pid), []byte("5"), 0)
}

// CPU returns the time that the gateway has spent, in user and kernel mode.
func (g *Gateway) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name of the program may have blanks
	fields := strings.Fields(rest)
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	kernel, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux of ours
	return time.Duration(user+kernel) * tick, errors.Join(err1, err2)
}

// Metric returns the sum of the samples of a metric of the gateway.
func (g *Gateway) Metric(name string) (float64, error) {
	r, err := http.Get("http://" + g.Addresses["admin"] + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var sum float64
	found := false
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) == 2 && (words[0] == name || strings.HasPrefix(words[0], name+"{")) {
			v, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				return 0, err
			}
			sum, found = sum+v, true
		}
	}
	if !found {
		return 0, fmt.Errorf("the gateway has no metric %q", name)
	}
	return sum, nil
}
