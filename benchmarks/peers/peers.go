// Package peers runs Weir, HAProxy, nginx and Caddy as real processes on loopback, each before one endpoint, with
// configurations that make the same promises: an edge that trusts no client, keeps connections to endpoints alive, streams
// both ways, lets WebSocket through, and waits ten seconds for a head and two for an endpoint.
package peers

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Names are the peers that Start knows.
var Names = []string{"weir", "haproxy", "nginx", "caddy"}

// Peer is a running gateway.
type Peer struct {
	Name    string
	Address string // host:port where it serves
	Dir     string // holds all that it writes

	cmd   *exec.Cmd
	log   tail
	ended chan struct{}
}

// kind is how a gateway is run.
type kind struct {
	config  func(address, endpoint, dir string) string
	command func(file string) *exec.Cmd
	version []string // the command that prints it
	missing string   // what to do about a program that is not there
}

var kinds = map[string]kind{"weir": weir, "haproxy": haproxy, "nginx": nginx, "caddy": caddy}

// Start runs the gateway of that name before an endpoint at host:port, and returns when it accepts connections. program is
// the file to execute; if it is empty, the one that is found in PATH.
func Start(ctx context.Context, name, program, endpoint string) (*Peer, error) {
	return StartWith(ctx, name, program, func(address, dir string) string { return kinds[name].config(address, endpoint, dir) })
}

// StartWith is Start with a configuration of the caller's, made for the address where the peer has to serve and the folder
// that is its own. It is made again for each try.
func StartWith(ctx context.Context, name, program string, config func(address, dir string) string) (*Peer, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("peer %q: got an unknown name, want one of %v", name, Names)
	}
	var last error
	for range 3 { // the port that was free may be taken by the time it is bound
		p, err := k.start(ctx, name, program, config)
		if err == nil {
			return p, nil
		}
		last = err
	}
	return nil, last
}

func (k kind) start(ctx context.Context, name, program string, config func(address, dir string) string) (_ *Peer, err error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-peer-")
	if err != nil {
		return nil, err
	}
	p := &Peer{Name: name, Address: address, Dir: dir, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, []byte(config(address, dir)), 0o600); err != nil {
		return nil, err
	}
	p.cmd = k.command(file)
	if program != "" {
		p.cmd.Path, p.cmd.Err = program, nil
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = &p.log, &p.log, dir
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

// Pid is the peer's process, or the first of them.
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
	cmd := exec.Command(k.version[0], k.version[1:]...)
	if program != "" {
		cmd.Path, cmd.Err = program, nil
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("peer %s: %w; %s", name, err, k.missing)
	}
	line, _ := bufio.NewReader(strings.NewReader(string(out))).ReadString('\n')
	if line = strings.TrimSpace(line); line == "unknown" { // a program of Go that was installed by the go command
		if info, err := buildinfo.ReadFile(cmd.Path); err == nil {
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
