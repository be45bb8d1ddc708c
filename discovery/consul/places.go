package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/weir-lb/weir/discovery"
)

// Places watches one service in several places: the first is where it belongs, the others stand by, preferred ones first.
// It is a [discovery.Source]. Instances of place k have Failover k, and the name of their datacenter before their ID. What
// is wrong with one place takes nothing from the others.
type Places struct {
	client  *Client
	queries []Query
	known   discovery.State
}

// Places returns a source of the instances that all the queries name.
func (c *Client) Places(queries []Query) *Places {
	p := &Places{client: c, queries: slices.Clone(queries)}
	for i := range p.queries {
		p.queries[i].Datacenter = cmp.Or(p.queries[i].Datacenter, p.queries[0].Datacenter, c.datacenter)
	}
	return p
}

// From is what [Source.From] is.
func (p *Places) From(known discovery.State) discovery.Source {
	return &Places{client: p.client, queries: p.queries, known: known}
}

// Run publishes what all places say together, from when the first has said something, if only that it cannot be asked.
func (p *Places) Run(ctx context.Context, publish func(discovery.State)) {
	var mu sync.Mutex
	states := make([]discovery.State, len(p.queries))
	var all sync.WaitGroup
	for i, q := range p.queries {
		source := discovery.Source(p.client.Service(q))
		if p.known.Origin == discovery.OriginLive {
			source = p.client.Service(q).From(placed(p.known, i))
		}
		all.Go(func() {
			source.Run(ctx, func(s discovery.State) {
				mu.Lock()
				defer mu.Unlock()
				states[i] = s
				if first := states[0]; first.Origin != discovery.OriginNone || first.Err != nil {
					publish(together(p.queries, states))
				}
			})
		})
	}
	all.Wait()
}

// together joins what places say. Its age and origin are those of the first place, as long as that knows anything.
func together(queries []Query, states []discovery.State) discovery.State {
	out := states[0]
	errs := []error{states[0].Err}
	out.Instances = slices.Clone(states[0].Instances)
	seen := map[string]bool{}
	for _, in := range out.Instances {
		seen[in.Datacenter+"/"+in.ID] = true
	}
	for k, s := range states[1:] {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("failover to service %s in datacenter %s: %w", queries[k+1].Service, queries[k+1].Datacenter, s.Err))
		}
		if out.Origin == discovery.OriginNone && s.Origin != discovery.OriginNone {
			out.Origin, out.At = s.Origin, s.At
		}
		for _, in := range s.Instances {
			if id := in.Datacenter + "/" + in.ID; !seen[id] {
				seen[id] = true
				in.ID, in.Failover = id, uint8(k+1)
				out.Instances = append(out.Instances, in)
			}
		}
	}
	slices.SortFunc(out.Instances, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
	out.Err = errors.Join(errs...)
	return out
}

// placed is what place k said, of what all said together.
func placed(all discovery.State, k int) discovery.State {
	var own []discovery.Instance
	for _, in := range all.Instances {
		if int(in.Failover) == k {
			if k > 0 {
				in.ID = strings.TrimPrefix(in.ID, in.Datacenter+"/")
				in.Failover = 0
			}
			own = append(own, in)
		}
	}
	all.Instances = own
	slices.SortFunc(own, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// datacenters returns the names of all datacenters that the agent knows, the nearest first.
func (c *Client) datacenters(ctx context.Context) ([]string, error) {
	var names []string
	return names, c.look(ctx, "/v1/catalog/datacenters", &names)
}

// look asks for what is there now.
func (c *Client) look(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	_, err := c.api.Raw().Query(path, out, c.options(ctx))
	if err != nil {
		return classify(err)
	}
	return nil
}

// locate says of an error of q whether it means that there is no such datacenter.
func (c *Client) locate(ctx context.Context, q Query, err error) error {
	if q.Datacenter == "" || !strings.Contains(err.Error(), "No path to datacenter") {
		return err
	}
	names, other := c.datacenters(ctx)
	if other != nil || slices.Contains(names, q.Datacenter) {
		return err
	}
	return &Problem{Kind: UnknownDatacenter, Err: fmt.Errorf("got %q, want one of %s", q.Datacenter, strings.Join(names, ", "))}
}
