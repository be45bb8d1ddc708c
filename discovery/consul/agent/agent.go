// Package agent runs a real Consul agent in development mode as a child process, for tests and for `weir demo --consul`.
// It finds the binary or builds it from the module in tools/consul, and does to the agent what operators and accidents do.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says which agent to start. Zero values mean the defaults.
type Options struct {
	Path   string   // of the binary; "": what Ensure returns
	Token  string   // with which calls of Agent's methods are made, if Config turns ACLs on
	Config []string // more configuration, in HCL
	Log    io.Writer
}

// Agent is a running agent of one server: datacenter dc1, all state in memory, everything on 127.0.0.1.
type Agent struct {
	opts  Options
	ports ports
	http  *http.Client
	log   logFile
	dir   string
	url   string // of an agent that is not ours; "" if it is

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{} // closed once process is gone
}

// ports are HTTP, server RPC, serf LAN and serf WAN.
type ports [4]int

const (
	startTimeout = 60 * time.Second
	startTries   = 5
	stopTimeout  = 5 * time.Second
)

// Start runs an agent and waits until it has a leader and has registered itself. The agent outlives ctx; Stop ends it.
func Start(ctx context.Context, opts Options) (*Agent, error) {
	if opts.Path == "" {
		path, err := Ensure(ctx, opts.Log)
		if err != nil {
			return nil, err
		}
		opts.Path = path
	}
	dir, err := os.MkdirTemp("", "weir-consul-")
	if err != nil {
		return nil, err
	}
	a := &Agent{opts: opts, dir: dir, http: &http.Client{Transport: &http.Transport{}}}
	a.log = logFile(filepath.Join(dir, "log"))
	for range startTries {
		if a.ports, err = freePorts(); err != nil {
			break
		}
		if err = a.run(ctx); err == nil {
			return a, nil
		}
		if ctx.Err() != nil || !errors.Is(err, errEnded) {
			break // an agent that ends at once mostly lost a port to somebody else
		}
	}
	return nil, errors.Join(err, a.Stop())
}

var errEnded = errors.New("the agent ended")

// run starts the process and waits until it is ready.
func (a *Agent) run(ctx context.Context) error {
	if err := a.spawn(); err != nil {
		return fmt.Errorf("consul agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := a.ready(ctx); err != nil {
		err = fmt.Errorf("consul agent: %w; its log ends: %s", err, a.log.tail())
		return errors.Join(err, a.Kill())
	}
	return nil
}

func (a *Agent) spawn() error {
	log, err := os.OpenFile(string(a.log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	args := []string{
		"agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", "-hcl=disable_update_check = true",
		"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
	}
	for i, name := range []string{"http", "server", "serf-lan", "serf-wan"} {
		args = append(args, "-"+name+"-port="+strconv.Itoa(a.ports[i]))
	}
	for _, c := range a.opts.Config {
		args = append(args, "-hcl="+c)
	}
	cmd := exec.Command(a.opts.Path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, a.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.dir} // no CONSUL_* of ours
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	exited := make(chan struct{})
	a.process, a.exited = cmd.Process, exited
	go func() { // ends with the process, which Kill and Stop wait for
		_ = cmd.Wait()
		close(exited)
	}()
	return nil
}

// ready waits until the agent has a leader and is in the catalogue itself.
func (a *Agent) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var self []struct{}
		err := a.call(ctx, http.MethodGet, "/v1/health/service/consul?consistent", nil, &self)
		if err == nil && len(self) > 0 {
			return nil
		}
		select {
		case <-a.exited:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Addr returns where the agent serves HTTP, as a URL.
func (a *Agent) Addr() string {
	if a.url != "" {
		return a.url
	}
	return "http://" + a.hostPort()
}

// Attach returns an agent that runs already, at a URL or host:port. Its API can be called; Stop leaves it running, and
// the other calls that do something to the process fail.
func Attach(address, token string) *Agent {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return &Agent{url: strings.TrimSuffix(address, "/"), opts: Options{Token: token}, http: &http.Client{Transport: &http.Transport{}}}
}

func (a *Agent) hostPort() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.ports[0])) }

// Stop ends the agent and removes what it left behind.
func (a *Agent) Stop() error {
	err := a.end(syscall.SIGTERM)
	a.http.CloseIdleConnections()
	if a.dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(a.dir))
}

// Kill ends the agent without notice (SIGKILL).
func (a *Agent) Kill() error { return a.end(syscall.SIGKILL) }

func (a *Agent) end(sig syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.process == nil {
		return nil
	}
	_ = a.process.Signal(resume) // a process that is paused would not see the signal
	err := a.process.Signal(sig)
	select {
	case <-a.exited:
		err = nil
	case <-time.After(stopTimeout):
		err = errors.Join(err, a.process.Kill())
		<-a.exited
	}
	a.process = nil
	return err
}

// Pause hangs the agent: its connections stay open and nothing answers (SIGSTOP).
func (a *Agent) Pause() error { return a.signal(pause) }

// Resume lets a paused agent go on (SIGCONT).
func (a *Agent) Resume() error { return a.signal(resume) }

func (a *Agent) signal(sig syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.process == nil {
		return errors.New("consul agent: not running")
	}
	return a.process.Signal(sig)
}

// Restart kills the agent, if it still runs, and starts an empty one on the same ports.
func (a *Agent) Restart(ctx context.Context) error {
	if a.url != "" {
		return errors.New("consul agent: not ours to restart")
	}
	err := a.Kill()
	for range startTries {
		if err != nil && !errors.Is(err, errEnded) {
			break
		}
		if err = a.run(ctx); err == nil {
			return nil
		}
	}
	return err
}

// freePorts returns ports of 127.0.0.1 that are free for TCP and UDP at this moment.
func freePorts() (p ports, err error) {
	for i := range p {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close() // all are held until all are found, so that they differ
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			return p, fmt.Errorf("free ports: %w", err)
		}
		defer u.Close()
		p[i] = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

type logFile string

// tail returns the last lines of the log.
func (f logFile) tail() string {
	b, err := os.ReadFile(string(f))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}
