package chaos

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"text/template"
	"time"

	"github.com/weir-lb/weir/benchmarks/peers"
)

//go:embed configs
var configs embed.FS

// configOf is the file under configs that a gateway is configured by.
var configOf = map[string]string{"weir": "weir.yaml", "haproxy": "haproxy.cfg", "nginx": "nginx.conf", "caddy": "Caddyfile"}

// settings is what the files under configs are made with.
type settings struct {
	Address, Port, Admin, Dir string // Port is that of Address
	Endpoints                 []member
	Consul, ConsulDNS         string // host:port; "": the endpoints are in the file
	Snapshot                  string // file of Weir's last known good
	Patient                   bool   // see Options
}

type member struct {
	Name, Address, Zone string
	Tier                int
}

// gateway is a gateway that runs, and what it says about endpoints and retries.
type gateway struct {
	*peers.Peer
	settings settings
	watch    watcher
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu   sync.Mutex
	said []said
}

// said is something that a gateway has said about an endpoint: that it is out of the traffic, or in again.
type said struct {
	endpoint string
	out      bool
	at       time.Time
}

// watcher listens to one kind of gateway. Each part may be nil: that kind does not say.
type watcher struct {
	listen  func(ctx context.Context, g *gateway)    // reports to g.note until ctx ends
	retries func(g *gateway) (int, error)            // since the gateway began
	seen    func(explanation string) []time.Duration // see sample.failedAttempts
}

var watchers = map[string]watcher{
	"weir":    {listen: listenWeir, retries: retriesOfWeir, seen: failedAttempts},
	"haproxy": {listen: listenHAProxy},
	"caddy":   {listen: listenCaddy, retries: retriesOfCaddy},
}

// startGateway runs a gateway; program is its file, "" is what PATH has.
func startGateway(ctx context.Context, name, program string, s settings) (*gateway, error) {
	text, err := template.ParseFS(configs, "configs/"+configOf[name])
	if err != nil {
		return nil, err
	}
	admin, err := place{ip: "127.0.0.1"}.freePort()
	if err != nil {
		return nil, err
	}
	s.Admin = fmt.Sprintf("127.0.0.1:%d", admin)
	g := &gateway{watch: watchers[name]}
	var wrong error
	g.Peer, err = peers.Start(ctx, name, peers.Setup{Program: program, Config: func(site peers.Site) string {
		s.Address, s.Dir = site.Address, site.Dir
		_, s.Port, _ = net.SplitHostPort(site.Address)
		var b bytes.Buffer
		wrong = text.Execute(&b, s)
		if wrong == nil {
			wrong = os.WriteFile(filepath.Join(site.Dir, "token"), []byte(explainToken), 0o600)
		}
		return b.String()
	}})
	if wrong != nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	g.settings = s
	ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	if g.watch.listen != nil {
		g.done.Go(func() { g.watch.listen(ctx, g) })
	}
	return g, nil
}

// await returns when twenty requests in a row went well.
func (g *gateway) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cs := clients{address: g.Address}
	defer cs.close()
	for row := 0; row < 20; row++ {
		if _, err := cs.send(0, false, ""); err != nil {
			row = -1
			if pause(ctx, 10*time.Millisecond) != nil {
				return fmt.Errorf("gateway %s after ten seconds: %w: %s", g.Name, err, g.Log())
			}
		}
	}
	return nil
}

// end stops the gateway and those who listen to it.
func (g *gateway) end() {
	g.stop()
	g.Stop()
	g.done.Wait()
}

func (g *gateway) note(endpoint string, out bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.said = append(g.said, said{endpoint, out, time.Now()})
}

// out is when the gateway first said, after that time, that the endpoint is out, if it did.
func (g *gateway) out(endpoint string, after time.Time) (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.said {
		if s.endpoint == endpoint && s.out && s.at.After(after) {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// name is the name of the endpoint at an address.
func (g *gateway) nameOf(address string) string {
	for _, m := range g.settings.Endpoints {
		if m.Address == address {
			return m.Name
		}
	}
	return address
}

// admin is the URL of something at the gateway's admin address.
func (g *gateway) admin(path string) string { return "http://" + g.settings.Admin + path }

// dialStats connects to HAProxy's socket.
func (g *gateway) dialStats() (net.Conn, error) {
	return net.DialTimeout("unix", filepath.Join(g.Dir, "stats"), time.Second)
}
