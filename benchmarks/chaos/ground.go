package chaos

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
)

// gatewayIP is where gateways are on a ground with namespaces.
const gatewayIP = "10.77.0.1"

// Ground is where runs take place: in network namespaces that are joined by a bridge, so that what one sends can be made to
// vanish, or all on loopback, where it cannot.
type Ground struct {
	Namespaces bool // [Enter] has made what they need

	mu     sync.Mutex
	places map[string]place
}

// place is where a process runs.
type place struct {
	ip        string
	namespace string // "" is that of the run
}

// place returns the place of that name: a namespace with an address of its own, or another address of loopback.
func (g *Ground) place(name string) (place, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p, ok := g.places[name]; ok {
		return p, nil
	}
	n := 10 + len(g.places)
	p := place{ip: fmt.Sprintf("127.0.0.%d", n)}
	if g.Namespaces {
		p = place{ip: fmt.Sprintf("10.77.0.%d", n), namespace: name}
		if err := p.make(); err != nil {
			return p, err
		}
	}
	if g.places == nil {
		g.places = map[string]place{}
	}
	g.places[name] = p
	return p, nil
}

// make makes the namespace.
func (p place) make() error {
	name := p.namespace
	return errors.Join(
		ip("netns", "add", name),
		ip("link", "add", "v-"+name, "type", "veth", "peer", "name", "eth0", "netns", name),
		ip("link", "set", "v-"+name, "master", "br0", "up"),
		ip("-n", name, "address", "add", p.ip+"/24", "dev", "eth0"),
		ip("-n", name, "link", "set", "eth0", "up"),
		ip("-n", name, "link", "set", "lo", "up"),
	)
}

// command is a command that runs there.
func (p place) command(program string, args ...string) *exec.Cmd {
	if p.namespace == "" {
		return exec.Command(program, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", p.namespace, program}, args...)...)
}

// cut makes everything vanish that is sent from there to another address, so that nothing which comes from it is answered
// either: the answers cannot be sent.
func (p place) cut(address string) error {
	if p.namespace == "" {
		return errors.New("no packet can be made to vanish on loopback")
	}
	return ip("-n", p.namespace, "route", "replace", "blackhole", address+"/32")
}

// mend ends what cut began.
func (p place) mend() error {
	if p.namespace == "" {
		return nil
	}
	return ip("-n", p.namespace, "route", "flush", "type", "blackhole")
}

// freePort returns a port that is free there at this moment.
func (p place) freePort() (int, error) {
	if p.namespace != "" {
		return 8080, nil // nobody else is there
	}
	ln, err := net.Listen("tcp", p.ip+":0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
