package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // sleeps up to 10 s after its end
	)
}

// inOrder picks the first endpoint that was not tried, in the order of the table: tests know who is next.
type inOrder struct{ turn *atomic.Uint32 }

func (p inOrder) Build(*policies.Table) (policies.Picker, error) { return p, nil }

func (p inOrder) Pick(r *policies.Request, v *policies.View) int {
	c := v.Candidates(r)
	for n := range c {
		if p.turn != nil {
			n = (n + int(p.turn.Load())) % len(c)
		}
		if i := c[n]; !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

// picker makes a policy of a function.
type picker func(r *policies.Request, v *policies.View) int

func (p picker) Build(*policies.Table) (policies.Picker, error) { return p, nil }
func (p picker) Pick(r *policies.Request, v *policies.View) int { return p(r, v) }

// transient are the outcomes that the tests' clusters retry.
var transient = policies.Conditions{
	Classes: 1<<policies.Refused | 1<<policies.ConnectTimeout | 1<<policies.Reset | 1<<policies.HeaderTimeout |
		1<<policies.Malformed | 1<<policies.PoolExhausted,
	Statuses: []int{502, 503, 504},
}

type options struct {
	policy   policies.Policy
	sticky   *cluster.Sticky
	failover policies.Failover
	pool     upstream.Config
	route    Route
	config   Config
	listen   func(net.Listener) net.Listener
	split    policies.Split
	settings func(*cluster.Settings)             // what is special about the cluster
	instance func(i int, in *discovery.Instance) // what is special about endpoint i
}

// gateway is a server before some endpoints.
type gateway struct {
	*Server
	tb      testing.TB
	cluster *cluster.Cluster
	address string
	config  Config
}

// start runs a gateway before the endpoints until the test ends.
func start(tb testing.TB, o options, endpoints ...*gatewaytest.Endpoint) *gateway {
	tb.Helper()
	var addresses []string
	for _, e := range endpoints {
		addresses = append(addresses, e.Address())
	}
	return startAt(tb, o, addresses...)
}

// startAt is start with whatever listens at these addresses.
func startAt(tb testing.TB, o options, addresses ...string) *gateway {
	tb.Helper()
	if o.policy == nil {
		o.policy = inOrder{}
	}
	if o.failover == nil {
		o.failover = &policies.NextEndpoint{Conditions: transient}
	}
	s := cluster.Settings{
		Policy: o.policy, Failover: o.failover, Sticky: o.sticky, PolicyName: "in_order", PolicyDigest: "d1", Split: o.split, Zone: "here",
		Transport: func(address string) cluster.Transport {
			p := o.pool
			p.Address = address
			return upstream.New(p)
		},
	}
	if o.settings != nil {
		o.settings(&s)
	}
	c, err := cluster.New("web", s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	var instances []discovery.Instance
	for i, address := range addresses {
		in := discovery.Instance{ID: fmt.Sprint(i), Address: address, Weight: 1, Status: discovery.Passing}
		if o.instance != nil {
			o.instance(i, &in)
		}
		instances = append(instances, in)
	}
	c.Apply(discovery.State{Instances: instances, Origin: discovery.OriginStatic, At: time.Now()})
	if o.config.Routes == nil {
		o.route.Name, o.route.Cluster = "all", c
		o.config.Routes = []Route{o.route}
	}
	for i := range o.config.Routes {
		o.config.Routes[i].Cluster = c
	}
	g := &gateway{Server: New(slog.New(slog.DiscardHandler)), tb: tb, cluster: c, config: o.config}
	g.Update(&o.config)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g.address = ln.Addr().String()
	if o.listen != nil {
		ln = o.listen(ln)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve("http", ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.closeIdle()
		if err := g.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			tb.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
		g.settled()
		c.Close()
	})
	return g
}

func (g *gateway) dial() *gatewaytest.Client {
	g.tb.Helper()
	return gatewaytest.Dial(g.tb, g.address)
}

// apply tells the cluster what discovery says of its endpoints now.
func (g *gateway) apply(statuses ...discovery.Status) {
	s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
	for i, e := range g.cluster.Load().Endpoints {
		pe := g.cluster.Load().Table.Endpoints[i]
		s.Instances = append(s.Instances, discovery.Instance{
			ID: e.ID, Address: e.Address, Weight: 1, Status: statuses[i], Tier: pe.Tier, Zone: g.cluster.Load().Table.Zones[pe.Zone],
		})
	}
	g.cluster.Apply(s)
}

// settled checks that nothing is counted as in flight any more.
func (g *gateway) settled() {
	g.tb.Helper()
	gatewaytest.Eventually(g.tb, "nothing in flight", func() bool {
		for _, e := range g.cluster.Load().Endpoints {
			if e.Inflight() != 0 {
				return false
			}
		}
		cs := g.Stats().Clusters[0]
		return cs.Active == 0 && cs.Retrying == 0
	})
}

func (g *gateway) pool(i int) *upstream.Pool {
	return g.cluster.Load().Endpoints[i].Transport.(*upstream.Pool)
}
