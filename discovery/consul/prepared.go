package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-lb/weir/discovery"
)

// Prepared watches what a prepared query of Consul defines: a service, and the datacenters that stand by for it. It is a
// [discovery.Source]. The query is not executed, which would have to be polled: it is read, and what it names is watched, so
// that a change is seen at once, and so that traffic fails over by what endpoints can bear, not only when none is left.
// A template is filled in by its name.
type Prepared struct {
	client *Client
	name   string // or ID
	known  discovery.State
}

// Prepared returns a source of the instances that the prepared query of that name or ID is about.
func (c *Client) Prepared(name string) *Prepared { return &Prepared{client: c, name: name} }

// From is what [Source.From] is.
func (p *Prepared) From(known discovery.State) discovery.Source {
	return &Prepared{client: p.client, name: p.name, known: known}
}

// definitionRetry is how long after a failure a prepared query is read again, at the latest.
const definitionRetry = 2 * time.Second

// definition is the part of a prepared query that says where instances are.
type definition struct {
	Service  string
	Failover struct {
		NearestN    int
		Datacenters []string
		Targets     []struct{ Peer, Datacenter string }
	}
	OnlyPassing bool
	Tags        []string
	NodeMeta    map[string]string
	ServiceMeta map[string]string
}

// Run watches what the query defines, and what it defines anew, until ctx ends.
func (p *Prepared) Run(ctx context.Context, publish func(discovery.State)) {
	w := &following{publish: publish, last: p.known}
	var queries []Query
	stop, done := func() {}, make(chan struct{})
	close(done)
	for pause := time.Duration(0); pause == 0 || sleep(ctx, around(pause)); {
		next, err := p.queries(ctx)
		w.heard(err)
		pause = p.client.opts.Define
		if err != nil {
			pause = min(pause, definitionRetry)
			continue
		}
		if slices.Equal(next, queries) {
			continue
		}
		stop()
		<-done
		queries = next
		source := discovery.Source(p.client.Places(queries))
		if w.last.Origin == discovery.OriginLive {
			source = p.client.Places(queries).From(w.last)
		}
		var inner context.Context
		inner, stop = context.WithCancel(ctx)
		done = make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			source.Run(inner, w.take)
		}(done)
	}
	stop()
	<-done
}

// following publishes what is found, together with why the definition is not fresh.
type following struct {
	mu      sync.Mutex
	publish func(discovery.State)
	last    discovery.State
	err     error // of the definition
}

func (f *following) take(s discovery.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = s
	f.say()
}

// heard takes what came of reading the definition.
func (f *following) heard(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.err == nil {
		return
	}
	f.err = err
	f.say()
}

func (f *following) say() {
	s := f.last
	s.Err = errors.Join(s.Err, f.err)
	f.publish(s)
}

// queries reads the definition.
func (p *Prepared) queries(ctx context.Context) ([]Query, error) {
	var answer struct{ Query struct{ Service definition } }
	err := p.client.look(ctx, "/v1/query/"+url.PathEscape(p.name)+"/explain", &answer)
	d := answer.Query.Service
	switch {
	case err != nil:
		return nil, fmt.Errorf("prepared query %q: %w", p.name, err)
	case d.Service == "":
		return nil, &Problem{Kind: Garbled, Err: fmt.Errorf("prepared query %q: no service, want one", p.name)}
	}
	filter := d.filter()
	out := []Query{{Service: d.Service, Filter: filter, OnlyPassing: d.OnlyPassing}}
	places, err := p.places(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("prepared query %q: %w", p.name, err)
	}
	for _, name := range places {
		out = append(out, Query{Service: d.Service, Filter: filter, OnlyPassing: d.OnlyPassing, Datacenter: name})
	}
	return out, nil
}

// places are the datacenters to fail over to, in Consul's order: the nearest ones, those that are named, the targets.
func (p *Prepared) places(ctx context.Context, d definition) ([]string, error) {
	names := slices.Clone(d.Failover.Datacenters)
	for _, t := range d.Failover.Targets {
		if t.Peer != "" {
			return nil, &Problem{Kind: Garbled, Err: fmt.Errorf("failover to peer %q, want datacenters: peers are not followed", t.Peer)}
		}
		names = append(names, t.Datacenter)
	}
	if n := d.Failover.NearestN; n > 0 {
		near, err := p.client.datacenters(ctx)
		if err != nil {
			return nil, err
		}
		// The agent's own datacenter is the nearest of all.
		names = slices.Concat(near[min(1, len(near)):min(1+n, len(near))], names)
	}
	seen := map[string]bool{"": true}
	return slices.DeleteFunc(names, func(name string) bool {
		was := seen[name]
		seen[name] = true
		return was
	}), nil
}

// filter is the expression for the instances that the definition wants.
func (d definition) filter() string {
	var terms []string
	for _, tag := range d.Tags {
		in := "in"
		if rest, not := strings.CutPrefix(tag, "!"); not {
			tag, in = rest, "not in"
		}
		terms = append(terms, fmt.Sprintf("%s %s Service.Tags", quoted(tag), in))
	}
	for _, k := range slices.Sorted(maps.Keys(d.NodeMeta)) {
		terms = append(terms, fmt.Sprintf("Node.Meta[%s] == %s", quoted(k), quoted(d.NodeMeta[k])))
	}
	for _, k := range slices.Sorted(maps.Keys(d.ServiceMeta)) {
		terms = append(terms, fmt.Sprintf("Service.Meta[%s] == %s", quoted(k), quoted(d.ServiceMeta[k])))
	}
	return strings.Join(terms, " and ")
}

// quoted is text as expressions have it, which know no way to write a quote inside of the same quotes.
func quoted(text string) string {
	if strings.Contains(text, "`") {
		return `"` + text + `"`
	}
	return "`" + text + "`"
}

// options are those of a question that is answered at once.
func (c *Client) options(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{Token: c.currentToken()}).WithContext(ctx)
}

// around is d, give or take a tenth, so that gateways do not ask in step.
func around(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }
