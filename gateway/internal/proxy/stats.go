package proxy

import (
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/policies"
)

// counter is alone on its cache lines, so that counting one thing does not slow the counting of another.
type counter struct {
	atomic.Uint64
	_ [56]byte
}

// gauge is a counter that also falls.
type gauge struct {
	atomic.Int64
	_ [56]byte
}

// serverCounters count what belongs to no route.
type serverCounters struct {
	unrouted      routeCounters
	rejected      [numProblems]counter
	aborted       counter // responses that were cut off
	clientsGone   counter // clients that went away before they had their answer
	tunnels       gauge   // open ones
	floods        floods
	handshakes    counter // TLS handshakes that failed
	turnedAway    counter // connections of clients that had as many as they may
	introductions counter // PROXY headers that were missing or bad
	panics        counter
	acceptErrors  counter
}

// routeCounters count requests by the class of the status they were answered with: 1 is 1xx and so on.
type routeCounters struct {
	routeKey
	name   []byte
	byCode [6]counter
}

// routeKey is what counters outlive configurations by.
type routeKey struct{ route, cluster string }

func (r *routeCounters) count(status int) {
	if class := status / 100; class < len(r.byCode) {
		r.byCode[class].Add(1)
	}
}

// clusterState is what the data plane knows of a cluster, across configurations.
type clusterState struct {
	name      string
	nameBytes []byte
	active    gauge // requests in flight
	retrying  gauge // those of them that are past their first attempt
	attempts  [policies.NumClasses]counter
	retries   [numVerdicts]counter
	stale     counter
	badPicks  counter
	hedges    [numHedged]counter
	latency   histogram

	hedgeCredit gauge
	pace        pace
}

// buckets are the upper bounds of the latency histogram; one more takes the rest.
var buckets = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

type histogram struct {
	counts [len(buckets) + 1]atomic.Uint64
	sum    counter // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(uint64(d))
}

// Stats is a copy of everything the data plane counts.
type Stats struct {
	Routes        []RouteStats
	Clusters      []ClusterStats
	Rejected      map[string]uint64 // by Problem.Name; also those within a cluster
	Aborted       uint64            // responses that were cut off, by either side
	ClientsGone   uint64            // before they had their answer
	Tunnels       int64             // open ones
	Floods        map[string]uint64 // connections of HTTP/2 ended for frames that only make work, by their kind
	Handshakes    uint64            // TLS handshakes that failed
	Introductions uint64            // connections of trusted peers that were closed for want of a good PROXY header
	TurnedAway    uint64            // connections of clients that had as many as they may
	Panics        uint64
	AcceptErrors  uint64
	Connections   int // from clients
}

// RouteStats counts the requests of one route. Route and Cluster are "" for those that matched none.
type RouteStats struct {
	Route, Cluster string
	Codes          [6]uint64 // by class of status: Codes[2] is 2xx
}

// ClusterStats counts what a cluster was asked.
type ClusterStats struct {
	Cluster  string
	Active   int64
	Retrying int64
	Attempts [policies.NumClasses]uint64
	Retries  map[string]uint64 // by verdict
	Stale    uint64            // attempts repeated on a new connection because an idle one had just died
	BadPicks uint64            // answers of the policy that were no usable endpoint
	Hedges   HedgeStats
	Latency  Latency
}

// HedgeStats counts second attempts that ran beside a first.
type HedgeStats struct {
	Started uint64
	Won     uint64 // of those: answered first
	Denied  uint64 // not started for want of retry budget
}

// Latency is a histogram of the time from a request's arrival to its end. Counts has one more entry than Bounds.
type Latency struct {
	Bounds []time.Duration
	Counts []uint64 // not cumulative
	Sum    time.Duration
}

// Stats returns the present counts. Routes and clusters that are no longer configured keep theirs.
func (s *Server) Stats() Stats {
	st := Stats{
		Rejected: map[string]uint64{}, Aborted: s.stats.aborted.Load(), Panics: s.stats.panics.Load(),
		ClientsGone: s.stats.clientsGone.Load(), Tunnels: s.stats.tunnels.Load(), TurnedAway: s.stats.turnedAway.Load(), Handshakes: s.stats.handshakes.Load(),
		Introductions: s.stats.introductions.Load(), Floods: s.stats.floods.read(),
		AcceptErrors: s.stats.acceptErrors.Load(), Routes: []RouteStats{s.stats.unrouted.read()},
	}
	for id := noProblem + 1; id < numProblems; id++ {
		st.Rejected[problems[id].Name] = s.stats.rejected[id].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Connections = len(s.conns)
	for _, r := range s.routes {
		st.Routes = append(st.Routes, r.read())
	}
	for _, c := range s.clusters {
		st.Clusters = append(st.Clusters, c.read())
	}
	return st
}

func (r *routeCounters) read() RouteStats {
	s := RouteStats{Route: r.route, Cluster: r.cluster}
	for i := range s.Codes {
		s.Codes[i] = r.byCode[i].Load()
	}
	return s
}

func (c *clusterState) read() ClusterStats {
	s := ClusterStats{
		Cluster: c.name, Active: c.active.Load(), Retrying: c.retrying.Load(), Retries: map[string]uint64{},
		Stale: c.stale.Load(), BadPicks: c.badPicks.Load(),
		Hedges:  HedgeStats{c.hedges[hedgeStarted].Load(), c.hedges[hedgeWon].Load(), c.hedges[hedgeDenied].Load()},
		Latency: Latency{Bounds: buckets[:], Counts: make([]uint64, len(buckets)+1), Sum: time.Duration(c.latency.sum.Load())},
	}
	for i := range s.Attempts {
		s.Attempts[i] = c.attempts[i].Load()
	}
	for i := range c.retries {
		s.Retries[verdictNames[i]] = c.retries[i].Load()
	}
	for i := range s.Latency.Counts {
		s.Latency.Counts[i] = c.latency.counts[i].Load()
	}
	return s
}
