package gateway

import (
	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul"
	"github.com/weir-lb/weir/gateway/internal/config"
)

// newConsul returns a client for the agent that the configuration names, with its snapshot in ch. A snapshot that
// cannot be used costs nothing but itself.
func (g *Gateway) newConsul(c config.Consul, ch *change) (*consul.Client, error) {
	if g.snapshot == nil || g.agent.Snapshot != c.Snapshot {
		ch.snapshot = nil
		if c.Snapshot != "" {
			var err error
			ch.snapshot, err = discovery.OpenSnapshot(c.Snapshot, discovery.SnapshotOptions{Log: g.log})
			if err != nil {
				g.log.Warn("the snapshot of the last known good endpoints is not used", "err", err)
			}
		}
	}
	hold := c.Hold
	if hold == 0 {
		hold = -1 // 0 is the default to the client
	}
	return consul.New(consul.Options{
		Address: c.Address, Token: c.Token, TokenFile: c.TokenFile, Datacenter: c.Datacenter, Wait: c.Wait, Hold: hold,
		Snapshot: ch.snapshot, Log: g.log,
	})
}

// queries are what Consul is asked about a cluster: where its instances belong, and where others stand by.
func queries(s *config.Service) []consul.Query {
	out := []consul.Query{{Service: s.Service, Filter: s.Filter, Datacenter: s.Datacenter, RequireCheck: s.RequireCheck}}
	for _, f := range s.Failover {
		out = append(out, consul.Query{Service: f.Service, Filter: f.Filter, Datacenter: f.Datacenter, RequireCheck: s.RequireCheck})
	}
	return out
}

// consulSource returns the source of what Consul knows of s.
func consulSource(c *consul.Client, s *config.Service) discovery.Source {
	if s.Query != "" {
		return c.Prepared(s.Query)
	}
	if q := queries(s); len(q) > 1 {
		return c.Places(q)
	}
	return c.Service(queries(s)[0])
}
