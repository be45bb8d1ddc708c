// Package peers runs Weir and other gateways as real processes on loopback, each before the same endpoints. "weir",
// "haproxy", "nginx" and "caddy" have configurations that make the same promises: an edge that trusts no client, keeps
// connections to endpoints alive, streams both ways, lets WebSocket through, and waits ten seconds for a head and two for an endpoint.
// The others, from "weir-p2c" to "reverseproxy", are what benchmarks/cost compares: each as its own documentation advises
// for one core and many requests.
package peers

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Names are the peers that Start knows.
var Names = slices.Sorted(maps.Keys(kinds))

// Setup is what a peer is started with.
type Setup struct {
	Program   string            // the file to execute; if empty, the one that is found in PATH
	Endpoints []string          // host:port, at least one unless there is a Config
	CPU       string            // a list of CPUs as taskset takes it; any CPU if empty
	Cert, Key string            // PEM files: if set, clients are served over TLS alone
	Config    func(Site) string // instead of the peer's own, made again for each try; may be nil
}

// Site is what a configuration says where.
type Site struct {
	Setup
	Address string // host:port to serve at
	Admin   string // host:port for an admin API, where there is one
	Dir     string // an empty folder of the peer's own
}

// Peer is a running gateway.
type Peer struct {
	Name    string
	Address string // host:port where it serves
	Admin   string // host:port of Weir's admin API
	Dir     string // holds all that it writes

	cmd   *exec.Cmd
	log   tail
	ended chan struct{}
}

// Start runs the gateway of that name, and returns when it accepts connections.
func Start(ctx context.Context, name string, s Setup) (*Peer, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("peer %q: got an unknown name, want one of %v", name, Names)
	}
	if len(s.Endpoints) == 0 && s.Config == nil {
		return nil, fmt.Errorf("peer %s: got no endpoint, want one or more", name)
	}
	var last error
	for range 3 { // the port that was free may be taken by the time it is bound
		p, err := k.start(ctx, name, s)
		if err == nil {
			return p, nil
		}
		last = err
	}
	return nil, last
}

func (k kind) start(ctx context.Context, name string, s Setup) (_ *Peer, err error) {
	site := Site{Setup: s}
	if site.Address, err = freeAddress(); err != nil {
		return nil, err
	}
	if site.Admin, err = freeAddress(); err != nil {
		return nil, err
	}
	if site.Dir, err = os.MkdirTemp("", "weir-peer-"); err != nil {
		return nil, err
	}
	p := &Peer{Name: name, Address: site.Address, Admin: site.Admin, Dir: site.Dir, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(p.Dir)
		}
	}()
	config := k.config
	if s.Config != nil {
		config = s.Config
	}
	file := filepath.Join(p.Dir, name+".conf")
	if err := os.WriteFile(file, []byte(config(site)), 0o600); err != nil {
		return nil, err
	}
	for name, b := range k.files {
		if err := os.WriteFile(filepath.Join(p.Dir, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	if p.cmd, err = k.run(site, file); err != nil {
		return nil, fmt.Errorf("peer %s: %w; %s", name, err, k.missing)
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = &p.log, &p.log, p.Dir
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("peer %s: %w; %s", name, err, k.missing)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	if err := p.await(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// run is the command. taskset executes the program in its own place, so the process is the gateway's.
func (k kind) run(s Site, file string) (*exec.Cmd, error) {
	program := s.Program
	if program == "" {
		var err error
		if program, err = k.find(); err != nil {
			return nil, err
		}
	}
	args := make([]string, 0, len(k.command))
	for _, a := range k.command[1:] {
		args = append(args, strings.ReplaceAll(a, "CONFIG", file))
	}
	if s.CPU == "" {
		return exec.Command(program, args...), nil
	}
	return exec.Command("taskset", append([]string{"-c", s.CPU, program}, args...)...), nil
}

// await returns when the peer accepts connections.
func (p *Peer) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", p.Address); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("peer %s ended at its start: %s", p.Name, p.Log())
		case <-ctx.Done():
			return fmt.Errorf("peer %s does not accept connections at %s: %w: %s", p.Name, p.Address, ctx.Err(), p.Log())
		}
	}
}

// Pid is the process of the gateway, which has no other.
func (p *Peer) Pid() int { return p.cmd.Process.Pid }

// Log returns the end of what the peer has written to its standard output and error.
func (p *Peer) Log() string { return p.log.String() }

// Stop kills the peer, waits for it, and removes its files.
func (p *Peer) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
	_ = os.RemoveAll(p.Dir)
}

// Version returns what the program says it is, in one line.
func Version(name, program string) (string, error) {
	k, ok := kinds[name]
	if !ok {
		return "", fmt.Errorf("peer %q: got an unknown name, want one of %v", name, Names)
	}
	if program == "" {
		var err error
		if program, err = k.find(); err != nil {
			return "", fmt.Errorf("peer %s: %w; %s", name, err, k.missing)
		}
	}
	out, err := exec.Command(program, k.version[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("peer %s: %w; %s", name, err, k.missing)
	}
	if k.called != "" {
		return k.called, nil
	}
	line, _ := bufio.NewReader(strings.NewReader(string(out))).ReadString('\n')
	if line = strings.TrimSpace(line); line == "unknown" { // a program of Go that was installed by the go command
		if info, err := buildinfo.ReadFile(program); err == nil {
			line = info.Main.Version
		}
	}
	return line, nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// tail keeps the last 16 KiB or so that were written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 16<<10; n > 0 {
		t.b = t.b[n:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
