package demo

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/weir-lb/weir/discovery/consul/agent"
)

// service is what the endpoints are registered as.
const service = "weir-demo"

// registry is the Consul agent that the endpoints are registered in.
type registry struct {
	agent *agent.Agent
	ids   []string
}

// register registers the endpoints in the agent at CONSUL_HTTP_ADDR, or in one that it starts.
func register(ctx context.Context, o Options, endpoints []*endpoint) (r *registry, err error) {
	r = new(registry)
	if address := os.Getenv("CONSUL_HTTP_ADDR"); address != "" {
		r.agent = agent.Attach(address, os.Getenv("CONSUL_HTTP_TOKEN"))
	} else if r.agent, err = agent.Start(ctx, agent.Options{Log: o.Out}); err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		host, port, _ := net.SplitHostPort(e.address) // a bound socket's
		n, _ := strconv.Atoi(port)
		id := fmt.Sprintf("%s-%d-%s", service, os.Getpid(), e.name)
		if err := r.agent.Register(ctx, agent.Service{ID: id, Name: service, Address: host, Port: n}); err != nil {
			r.close()
			return nil, err
		}
		r.ids = append(r.ids, id)
	}
	return r, nil
}

// address is the URL of the agent, "" if there is none.
func (r *registry) address() string {
	if r == nil {
		return ""
	}
	return r.agent.Addr()
}

// cluster is the configuration of the cluster's endpoints.
func (r *registry) cluster() string { return fmt.Sprintf("    consul: {service: %s}\n", service) }

// close takes the endpoints out of the catalogue, and ends the agent if it was started for them.
func (r *registry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, id := range r.ids {
		_ = r.agent.Deregister(ctx, id) // an agent that is gone has forgotten them
	}
	_ = r.agent.Stop()
}
