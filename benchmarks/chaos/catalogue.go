package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-lb/weir/discovery/consul/agent"
)

// catalogue is Consul as it is meant to be run: three servers, an agent beside the gateway, and one beside the endpoints,
// which they are registered with; each in a namespace of its own.
type catalogue struct {
	program string
	dir     string
	servers []*consulProcess
	near    *consulProcess // what the gateway asks
	far     *consulProcess // what the endpoints are registered with
}

// consulProcess is one process of Consul.
type consulProcess struct {
	name  string
	place place
	args  []string
	log   string
	cmd   *exec.Cmd
}

// consulPatience is how long Consul may take to elect somebody, or to come back.
const consulPatience = 30 * time.Second

// startCatalogue starts Consul and returns when it has a leader and its agents see it.
func startCatalogue(ctx context.Context, g *Ground, dir string) (_ *catalogue, err error) {
	c := &catalogue{dir: dir}
	if c.program, err = agent.Find(ctx); err != nil {
		return nil, err
	}
	var join []string
	for _, name := range []string{"c0", "c1", "c2", "near", "far"} {
		p, err := g.place(name)
		if err != nil {
			return nil, err
		}
		m := &consulProcess{name: name, place: p, log: filepath.Join(dir, name+".log"), args: []string{
			"agent", "-node=" + name, "-bind=" + p.ip, "-client=" + p.ip, "-data-dir=" + filepath.Join(dir, name), "-log-level=warn",
			"-hcl=disable_update_check = true", "-hcl=performance { raft_multiplier = 1 }", "-hcl=leave_on_terminate = false",
		}}
		switch name {
		case "near":
			c.near = m
		case "far":
			c.far = m
		default:
			m.args = append(m.args, "-server", "-bootstrap-expect=3")
			c.servers = append(c.servers, m)
			join = append(join, "-retry-join="+p.ip, "-retry-interval=1s")
		}
	}
	for _, m := range c.all() {
		m.args = append(m.args, join...)
		if err := c.start(m); err != nil {
			c.stop()
			return nil, err
		}
	}
	if err := c.await(ctx, c.whole); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *catalogue) all() []*consulProcess {
	return append([]*consulProcess{c.near, c.far}, c.servers...)
}

func (c *catalogue) start(m *consulProcess) error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	m.cmd = m.place.command(c.program, m.args...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir} // no CONSUL_* of ours
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("consul %s: %w", m.name, err)
	}
	return nil
}

// kill ends a process of Consul without notice.
func (m *consulProcess) kill() error {
	if m.cmd == nil {
		return nil
	}
	err := m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
	return err
}

func (c *catalogue) stop() {
	for _, m := range c.all() {
		_ = m.kill()
	}
}

// api is the address of a process's HTTP API, host:port.
func (m *consulProcess) api() string { return net.JoinHostPort(m.place.ip, "8500") }

// ask asks a process of Consul for JSON.
func (m *consulProcess) ask(path string, out any) error {
	resp, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + m.api() + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("consul %s: %s: %s", m.name, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// leader is the server that leads.
func (c *catalogue) leader() (*consulProcess, error) {
	var last error
	for _, m := range c.servers {
		var address string
		if last = m.ask("/v1/status/leader", &address); last != nil {
			continue
		}
		host, _, _ := net.SplitHostPort(address)
		for _, s := range c.servers {
			if s.place.ip == host {
				return s, nil
			}
		}
	}
	return nil, errors.Join(errors.New("consul has no leader"), last)
}

// whole reports what is wrong as long as not every process runs, follows one leader and passes its checks.
func (c *catalogue) whole() error {
	if _, err := c.leader(); err != nil {
		return err
	}
	for _, m := range c.all() {
		var nodes []struct{ Status string }
		if err := m.ask("/v1/health/state/any?consistent", &nodes); err != nil {
			return err
		}
		passing := 0
		for _, n := range nodes {
			if n.Status == "passing" {
				passing++
			}
		}
		if passing < len(c.all()) || passing != len(nodes) {
			return fmt.Errorf("consul: %d of %d checks pass", passing, len(nodes))
		}
	}
	return nil
}

// await waits until nothing is wrong any more.
func (c *catalogue) await(ctx context.Context, wrong func() error) error {
	ctx, cancel := context.WithTimeout(ctx, consulPatience)
	defer cancel()
	for {
		err := wrong()
		if err == nil {
			return nil
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("consul after %s: %w; logs: %s", consulPatience, err, c.tails())
		}
	}
}

func (c *catalogue) tails() string {
	var b strings.Builder
	for _, m := range c.all() {
		text, _ := os.ReadFile(m.log)
		fmt.Fprintf(&b, "\n%s: %s", m.name, text[max(0, len(text)-1000):])
	}
	return b.String()
}

// register lists an endpoint.
func (c *catalogue) register(ctx context.Context, e *process) error {
	return agent.Attach(c.far.api(), "").Register(ctx, agent.Service{ID: e.name, Name: "web", Address: e.place.ip, Port: 8080})
}

// deregister takes it off the list.
func (c *catalogue) deregister(ctx context.Context, e *process) error {
	return agent.Attach(c.far.api(), "").Deregister(ctx, e.name)
}
