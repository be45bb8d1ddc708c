//go:build linux

package cost

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Process is a process of endpoints.
type Process struct {
	Addresses []string

	cmd *exec.Cmd
	in  io.Closer
}

// StartEndpoints executes this program again as `endpoint N`, which is to call ServeEndpoints. It shares the CPU and the
// priority of this one.
func StartEndpoints(n int) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(self, "endpoint", strconv.Itoa(n))}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	p.Addresses = strings.Fields(line)
	if err != nil || len(p.Addresses) != n {
		p.Close()
		return nil, fmt.Errorf("endpoints: got %d addresses, want %d: %w", len(p.Addresses), n, err)
	}
	return p, nil
}

// PID is the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Close ends the process.
func (p *Process) Close() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// ServeEndpoints listens at n ports, prints them in a line, and serves until the standard input ends, and the process with
// it. It returns only with an error.
func ServeEndpoints(n int) error {
	e, err := Listen(n)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(strings.Join(e.Addresses, " ")); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return e.Serve()
}
