package demo

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ServeEndpoint is the process behind `weir demo-endpoint`: a small HTTP endpoint that answers with its name. It prints
// the address it listens on, and ends when stdin does, so that none outlives the demo that started it.
func ServeEndpoint(name, address string, stdin io.Reader, stdout io.Writer) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Endpoint", name)
			_, _ = io.WriteString(w, name+"\n")
		}),
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = srv.Close()
	}()
	if _, err := fmt.Fprintln(stdout, ln.Addr()); err != nil {
		return err
	}
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// endpoint is a running demo endpoint: a process of its own, so that killing it is the real thing.
type endpoint struct {
	name    string
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// startEndpoint runs this same program as an endpoint. Address 127.0.0.1:0 takes any free port.
func startEndpoint(name, address string) (*endpoint, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &endpoint{name: name, cmd: exec.Command(self, "demo-endpoint", "--name", name, "--address", address)}
	stdin, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.stdin, e.cmd.Stderr = stdin, os.Stderr
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", name, err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = e.cmd.Wait()
		return nil, fmt.Errorf("endpoint %s did not say where it listens: %w", name, err)
	}
	e.address = strings.TrimSpace(line)
	return e, nil
}

func (e *endpoint) pid() int { return e.cmd.Process.Pid }

// kill ends the process with SIGKILL: no goodbye, no FIN from the application.
func (e *endpoint) kill() error {
	if err := e.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_ = e.cmd.Wait() // "signal: killed" is what was asked for
	return nil
}

// stop ends the process in peace.
func (e *endpoint) stop() {
	if e.cmd.ProcessState == nil {
		_ = e.stdin.Close()
		_ = e.cmd.Wait()
	}
}
