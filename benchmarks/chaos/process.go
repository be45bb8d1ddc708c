package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// roleVariable says what else than itself a program that calls [Main] shall be.
const roleVariable = "WEIR_CHAOS_ROLE"

// Main makes the program an endpoint, or a run on a ground of its own, if it was started as one. It is called first
// thing; the program's own work begins if it returns.
func Main() {
	switch os.Getenv(roleVariable) {
	case "endpoint":
		if len(os.Args) != 5 {
			fmt.Fprintf(os.Stderr, "endpoint: got %d arguments, want 4\n", len(os.Args)-1)
			os.Exit(2)
		}
		if err := serveEndpoint(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// process is an endpoint as the run has it: it can be killed, stopped, told to do wrong and started again.
type process struct {
	name, address string // host:port where gateways find it
	zone          string
	place         place
	log           string // file of what it did with POSTs

	control string // host:port, known once it runs
	cmd     *exec.Cmd
	ended   chan struct{}
}

// newProcess starts an endpoint at a place, which keeps its port for good.
func newProcess(name, zone string, p place, dir string) (*process, error) {
	port, err := p.freePort()
	if err != nil {
		return nil, err
	}
	e := &process{name: name, zone: zone, place: p, address: fmt.Sprintf("%s:%d", p.ip, port), log: filepath.Join(dir, name+".log")}
	return e, e.start()
}

// start runs the process and returns when it serves.
func (e *process) start() error {
	e.cmd = e.place.command(os.Args[0], e.name, e.address, e.place.ip+":0", e.log)
	e.cmd.Env = append(os.Environ(), roleVariable+"=endpoint")
	e.cmd.Stderr = os.Stderr
	if _, err := e.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := e.cmd.Start(); err != nil {
		return fmt.Errorf("endpoint %s: %w", e.name, err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = e.cmd.Wait()
		return fmt.Errorf("endpoint %s did not start: %w", e.name, err)
	}
	e.control = strings.TrimSpace(line)
	ended, cmd := make(chan struct{}), e.cmd
	e.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
	return nil
}

func (e *process) running() bool {
	select {
	case <-e.ended:
		return false
	default:
		return e.cmd != nil
	}
}

// signal sends a signal; SIGKILL and SIGTERM wait for the end, and fail if it does not come.
func (e *process) signal(s syscall.Signal) error {
	if err := e.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("endpoint %s: %s: %w", e.name, s, err)
	}
	if s != syscall.SIGKILL && s != syscall.SIGTERM {
		return nil
	}
	select {
	case <-e.ended:
		return nil
	case <-time.After(2 * drainsFor):
		return fmt.Errorf("endpoint %s runs %s after %s", e.name, 2*drainsFor, s)
	}
}

// controls is for what endpoints are told: on a connection each, because those that are kept may have been cut meanwhile.
var controls = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// become tells the endpoint to do something wrong, or to do well.
func (e *process) become(mode string) error {
	resp, err := controls.Post("http://"+e.control+"/"+mode, "", http.NoBody)
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", e.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("endpoint %s: %s: %s", e.name, resp.Status, text)
	}
	return nil
}

// restore brings the endpoint back from whatever was done to it.
func (e *process) restore() error {
	if err := e.place.mend(); err != nil {
		return err
	}
	if !e.running() {
		return e.start()
	}
	return errors.Join(e.signal(syscall.SIGCONT), e.become(well))
}

// stop ends the process for good.
func (e *process) stop() {
	if e.running() {
		_ = e.cmd.Process.Kill()
		<-e.ended
	}
}
