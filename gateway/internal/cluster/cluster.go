// Package cluster turns discovered instances into endpoints with live state, and publishes, through one atomic
// pointer, what a request needs of them: table, view, picker, failover and transports. It is the only home of
// ristretto, in which heartbeat leases expire.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Transport carries requests to one endpoint: a connection pool.
type Transport interface {
	// Rescue fails the attempts that still wait for a response and can be made at another endpoint.
	Rescue()
	// End ends tunnels, or all that is under way but those. It says how many it ended that it had not ended before, and how many
	// are left: until that is 0 it is to be called again.
	End(tunnels bool) (ended, left int)
	// Close lets go of the endpoint. Requests that began before may finish.
	Close()
}

// Settings are what configuration says of a cluster. They can change while traffic flows: see [Cluster.Configure].
type Settings struct {
	// Policy picks. If it is also a policies.Failover it decides about retries, otherwise Failover does.
	Policy   policies.Policy
	Failover policies.Failover
	// PolicyName and PolicyDigest say which policy that is: the name that configuration uses, and the sha256 of its
	// module in hex, "" of a built-in.
	PolicyName, PolicyDigest string
	// Sticky is nil if the cluster sets no affinity cookie.
	Sticky *Sticky
	// Zone is the gateway's own zone, "" if it has none.
	Zone string
	// Transport makes the connection pool of an endpoint at host:port.
	Transport func(address string) Transport
	// Tune brings the pool of an endpoint that stays to these settings; nil leaves it.
	Tune      func(Transport)
	Probe     *Probe  // nil: no active probes
	Prober    *Prober // nil: checks are not bounded in number
	Outlier   Outlier // zero: no passive ejection
	Heartbeat time.Duration
	Poll      *Probe  // by HTTP: each answer is a heartbeat; nil: endpoints send them
	Accrual   Accrual // zero: no suspicion before Heartbeat has passed twice
	Agent     *Agent  // nil: endpoints have none
	// SlowStart ramps the weight of endpoints that come or come back, never of more than half of those that get traffic.
	SlowStart policies.SlowStart
	// Load, if not nil, replaces the weights of discovery by those that follow from what endpoints report of their load.
	Load   *policies.LoadWeights
	Subset Subset // zero: all instances are used
	Drain  Drain  // zero: what an endpoint has when it begins to drain may take as long as it likes
	// Split divides the requests among tiers and zones; zero: it does not.
	Split policies.Split
	// Changed hears of endpoints whose effective state changed. It is called with the cluster's lock held: it must not
	// block or call back. nil: nobody does.
	Changed func(endpoint, from, to, why string)
	// Panicked hears when panic begins, and when it is over (Snapshot.Panic), as Changed does, with how many endpoints are up.
	Panicked   func(begins bool, up, of int)
	Redundancy *Redundancy // nil: nothing stands by but by tier, and nothing waits to come back
	// Moved hears, as Changed does, when others serve than before.
	Moved func(detail string)
}

// Snapshot is everything one request needs of a cluster. It is immutable but for the endpoints' state. A request keeps the
// Table of the one it loaded throughout; for a retry it takes the newest snapshot of that.
type Snapshot struct {
	Table     *policies.Table
	View      *policies.View
	Picker    policies.Picker
	Failover  policies.Failover
	Observer  policies.Observer // nil if the policy does not learn from outcomes
	Sticky    *Tokens           // nil if the cluster sets no affinity cookie
	Endpoints []*Endpoint       // Endpoints[i] belongs to Table.Endpoints[i]

	PolicyName, PolicyDigest string // as in Settings

	policy  policies.Policy
	weights []float64 // of the endpoints, in the unit of their instances' weights
}

// reconcileEvery is how often leases, ejections and rates are looked at. It bounds how late an expired lease is seen.
const reconcileEvery = 100 * time.Millisecond

// Cluster is a named set of endpoints. Load, NextSeq and the endpoints' Begin and End belong to the request path;
// everything else takes the writer's lock.
type Cluster struct {
	name   string
	leases *Leases
	log    *slog.Logger
	seed   uint64 // of its tables

	current atomic.Pointer[Snapshot]
	seq     atomic.Uint64
	tripAt  atomic.Uint32 // consecutive failures that eject; 0 is never
	wake    chan struct{} // an endpoint crossed tripAt, or a policy ejects one
	out     atomic.Int32  // endpoints that are ejected, or about to be

	mayBeOut   atomic.Int32
	impossible atomic.Uint64 // reports of load

	endedRequests, endedTunnels atomic.Uint64 // by draining

	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	done   sync.WaitGroup // run
	checks *schedule      // probes, polls and agents

	mu       sync.Mutex // held by whoever changes anything below, never on the request path
	settings Settings
	state    discovery.State
	// failsSince is when discovery began to give no new answers; zero: it gives them.
	failsSince time.Time
	endpoints  map[string]*Endpoint
	leaving    map[*Endpoint]struct{} // that discovery has no more, and that have something under way
	nextNum    uint32
	gen        uint32
	viewGen    uint32
	sweptAt    time.Time
	ratedAt    time.Time // when success rates were judged
	standby    standby
	weighAt    time.Time // when weights are to be looked at; zero: when something happens
	buildErr   error
	closed     bool
}

// New starts a cluster without endpoints. Close stops it. leases may be nil if no cluster has a Heartbeat.
func New(name string, s Settings, leases *Leases, log *slog.Logger) (*Cluster, error) {
	c := &Cluster{
		name: name, leases: leases, log: log.With("cluster", name), seed: rand.Uint64(),
		wake: make(chan struct{}, 1), endpoints: map[string]*Endpoint{}, leaving: map[*Endpoint]struct{}{}, sweptAt: time.Now(), ratedAt: time.Now(),
	}
	if err := s.Sticky.Check(); err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	c.adopt(s)
	if err := c.rebuild(nil, "start"); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.checks = newSchedule(c.ctx)
	c.done.Go(c.run)
	return c, nil
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Load returns what the cluster is now. It is never nil.
func (c *Cluster) Load() *Snapshot { return c.current.Load() }

// NextSeq numbers a request: 0, 1, 2 and so on.
func (c *Cluster) NextSeq() uint64 { return c.seq.Add(1) - 1 }

// Apply takes what a source knows now. An empty state without an answer (OriginNone) changes no endpoint.
func (c *Cluster) Apply(s discovery.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if s.Err == nil || s.At.After(c.state.At) { // a new answer may be one of which a part is missing
		c.failsSince = time.Time{}
	} else if c.failsSince.IsZero() {
		c.failsSince = time.Now()
	}
	if s.Origin == discovery.OriginNone {
		c.state.Err = s.Err
		return
	}
	old := c.state
	c.state = s
	if old.Origin == s.Origin && sameInstances(old.Instances, s.Instances) {
		return
	}
	var err error
	if used := c.settings.place(c.settings.Subset.of(s.Instances)); sameTopology(c.current.Load(), used) {
		c.absorb(used)
		c.publishView("discovery")
	} else {
		err = c.rebuild(used, "discovery")
	}
	if err != nil {
		c.state.Instances = old.Instances // so that the next answer is tried afresh
		c.log.Error("the new endpoints are not in use: the policy cannot serve them", "err", err)
	}
}

// Configure takes new settings. Endpoints, their counters and their connections stay. On an error the old settings
// serve on.
func (c *Cluster) Configure(s Settings) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("cluster %q: closed", c.name)
	}
	if err := s.Sticky.Check(); err != nil {
		return fmt.Errorf("cluster %q: %w", c.name, err)
	}
	old := c.settings
	c.adopt(s)
	if err := c.rebuild(s.place(s.Subset.of(c.state.Instances)), "configuration"); err != nil {
		c.adopt(old)
		return err
	}
	if s.Tune != nil {
		for _, e := range c.endpoints {
			s.Tune(e.Transport)
		}
	}
	if !old.Agent.equal(s.Agent) {
		for _, e := range c.endpoints {
			e.agent.check.stop()
			e.agent = agentState{}
			c.startAgent(e)
		}
		c.weighAt = time.Now()
		c.publishView("agent settings")
	}
	if !old.Poll.equal(s.Poll) {
		for _, e := range c.endpoints {
			e.poll.stop()
			c.startPoll(e)
		}
	}
	if !old.Probe.equal(s.Probe) {
		for _, e := range c.endpoints {
			e.probe.check.stop()
			if !old.Probe.sameTarget(s.Probe) {
				e.probe = probeState{}
			}
			c.startProbe(e)
		}
		c.publishView("probe settings")
	}
	return nil
}

func (c *Cluster) adopt(s Settings) {
	c.settings = s
	c.tripAt.Store(uint32(s.Outlier.Consecutive))
	c.weighAt = time.Now()
}

// Close stops probes and closes the endpoints' transports. Requests that hold a snapshot may finish.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.done.Wait()
	c.checks.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.endpoints {
		c.retire(e)
	}
}

// rebuild makes a new table of instances. The caller holds mu.
func (c *Cluster) rebuild(instances []discovery.Instance, why string) error {
	gone := make(map[string]*Endpoint, len(c.endpoints))
	maps.Copy(gone, c.endpoints)
	next := make(map[string]*Endpoint, len(instances))
	var fresh []*Endpoint
	for _, in := range instances {
		e := c.endpoints[in.ID]
		if e == nil || e.Address != in.Address {
			c.nextNum++
			e = newEndpoint(c, in, c.nextNum)
			fresh = append(fresh, e)
		} else {
			delete(gone, in.ID)
		}
		next[in.ID] = e
	}
	s, err := c.assemble(instances, next, c.weights(instances, next, time.Now()))
	if err != nil {
		for _, e := range fresh {
			e.takeBack(placeRetired) // the policy may have ejected it from within Build
		}
		return err
	}
	c.endpoints = next
	for _, e := range fresh {
		e.Transport = c.settings.Transport(e.Address)
		if c.leases != nil {
			c.leases.adopt(e)
		}
		c.startProbe(e)
		c.startPoll(e)
		c.startAgent(e)
	}
	c.absorb(instances)
	c.bound(len(s.Endpoints))
	c.publish(s, why)
	for _, e := range gone {
		c.retire(e)
	}
	return nil
}

// assemble builds the table of instances and what goes with it. The caller holds mu.
func (c *Cluster) assemble(instances []discovery.Instance, endpoints map[string]*Endpoint, weights []float64) (*Snapshot, error) {
	t := newTable(c.gen+1, c.settings.Zone, instances, endpoints, whole(weights))
	t.Seed = c.seed
	t.Ejector = newEjector(c, t, endpoints)
	picker, err := c.settings.Policy.Build(t)
	if err != nil {
		c.buildErr = fmt.Errorf("cluster %q: table of %d endpoints: %w", c.name, len(t.Endpoints), err)
		return nil, c.buildErr
	}
	c.buildErr = nil
	c.gen++
	s := &Snapshot{
		Table: t, Picker: picker, Failover: c.settings.Failover, Sticky: newTokens(c.settings.Sticky, c.name, t),
		Endpoints:  make([]*Endpoint, len(t.Endpoints)),
		PolicyName: c.settings.PolicyName, PolicyDigest: c.settings.PolicyDigest, policy: c.settings.Policy,
		weights: weights,
	}
	if f, ok := c.settings.Policy.(policies.Failover); ok {
		s.Failover = f
	}
	s.Observer, _ = c.settings.Policy.(policies.Observer)
	for i, pe := range t.Endpoints {
		s.Endpoints[i] = endpoints[pe.ID]
	}
	return s, nil
}

// absorb notes what discovery says of the health of known endpoints. The caller holds mu.
func (c *Cluster) absorb(instances []discovery.Instance) {
	for i := range instances {
		if e := c.endpoints[instances[i].ID]; e != nil {
			e.instance = instances[i]
			e.verified = e.verified || c.state.Origin != discovery.OriginSnapshot
		}
	}
}

func (c *Cluster) retire(e *Endpoint) {
	e.probe.check.stop()
	e.poll.stop()
	e.agent.check.stop()
	e.takeBack(placeRetired)
	if c.leases != nil {
		c.leases.Forget(e)
	}
	e.Transport.Close()
	c.leave(e)
}

func sameInstances(a, b []discovery.Instance) bool {
	return slices.EqualFunc(a, b, func(x, y discovery.Instance) bool {
		return x.Status == y.Status && sameAttributes(x, y)
	})
}
