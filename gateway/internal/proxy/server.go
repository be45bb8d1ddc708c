package proxy

import (
	"context"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// drainGrace is how long an idle connection may still bring a request, which is answered with Connection: close, before
// a server that shuts down closes it. Closing at once would cut requests that are on the wire.
const drainGrace = 500 * time.Millisecond

// Server is the data plane. It serves any number of listeners.
type Server struct {
	fast   *fasthttp.Server
	multi  *http.Server // the engine of HTTP/2, and what it is given
	handed *handover
	parked parking
	log    *slog.Logger
	table  atomic.Pointer[table]
	stats  serverCounters

	explained    explanations
	introduction complaint // of PROXY headers that are missing or bad

	stopping atomic.Bool
	draining chan struct{} // closed by Shutdown
	sweeper  func()        // stops it; nil before the first listener

	mu        sync.Mutex // never held on behalf of a request
	conns     map[*conn]struct{}
	clients   map[netip.Prefix]int // connections, where they are limited
	listeners []net.Listener
	numbers   map[string]uint16           // of listeners, by name, in the order they came
	routes    map[routeKey]*routeCounters // those of earlier configurations too
	clusters  map[string]*clusterState
}

// New returns a server without routes and without listeners.
func New(log *slog.Logger) *Server {
	s := &Server{
		log: log, draining: make(chan struct{}), conns: map[*conn]struct{}{}, clients: map[netip.Prefix]int{},
		routes: map[routeKey]*routeCounters{}, clusters: map[string]*clusterState{}, numbers: map[string]uint16{},
	}
	s.Update(new(Config))
	s.fast = &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) { ctx.Error("no such protocol", fasthttp.StatusInternalServerError) },
		Logger:  silent{},
		// Connections that wait leave their goroutines: see parking.
		MaxIdleWorkerDuration: time.Second,
		// conn minds all timeouts: fasthttp would set two deadlines a request.
	}
	s.fast.NextProto(speaksHTTP1, s.serveHTTP1)
	s.fast.NextProto(speaksHTTP2, s.http2())
	s.fast.NextProto(speaksNothing, closeAtOnce)
	return s
}

// silent drops what fasthttp would log: every line of it is about one client's connection, and is counted.
type silent struct{}

// Printf implements fasthttp.Logger.
func (silent) Printf(string, ...any) {}

// Update makes new requests follow c. Requests in flight end as they began.
func (s *Server) Update(c *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.Store(compile(c.withDefaults(), s.counters))
}

// counters finds what a route and its cluster are counted on, by name, or makes it. The caller holds mu.
func (s *Server) counters(r *Route) (*clusterState, *routeCounters) {
	name := r.Cluster.Name()
	cs := s.clusters[name]
	if cs == nil {
		cs = &clusterState{name: name, nameBytes: []byte(name)}
		s.clusters[name] = cs
	}
	key := routeKey{r.Name, name}
	rc := s.routes[key]
	if rc == nil {
		rc = &routeCounters{name: []byte(r.Name), routeKey: key}
		s.routes[key] = rc
	}
	return cs, rc
}

// Serve serves what ln, the listener of that name, accepts until ln is closed or the server shuts down; then it returns
// nil. What ln accepts are *net.TCPConn.
func (s *Server) Serve(name string, ln net.Listener) error {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		return ln.Close()
	}
	if s.sweeper == nil {
		go func() { _ = s.multi.Serve(s.handed) }() // until its Shutdown
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			s.sweep(over)
		}()
		s.parked.open()
		go s.parked.run(s.resume) // until the sweeper ends
		s.sweeper = sync.OnceFunc(func() {
			close(over)
			<-ended
			s.parked.close()
		})
	}
	s.listeners = append(s.listeners, ln)
	number, known := s.numbers[name]
	if !known {
		number = uint16(len(s.numbers))
		s.numbers[name] = number
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listeners = slices.DeleteFunc(s.listeners, func(o net.Listener) bool { return o == ln })
	}()
	return s.fast.Serve(&listener{Listener: ln, name: name, number: number, server: s})
}

// Shutdown stops accepting, lets requests in flight finish, and closes connections as they fall idle. When ctx ends it
// closes the rest by force and returns why.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping.Swap(true) {
		close(s.draining)
	}
	for _, ln := range s.listeners {
		_ = ln.Close()
	}
	if s.sweeper != nil {
		defer s.sweeper()
	}
	s.mu.Unlock()
	go func() { _ = s.multi.Shutdown(ctx) }() // it ends with the connections that are waited for here

	grace := time.NewTimer(drainGrace)
	defer grace.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	idle := false
	for s.open() > 0 {
		select {
		case <-grace.C:
			idle = true
		case <-tick.C:
		case <-ctx.Done():
			s.closeAll()
			return ctx.Err()
		}
		if idle {
			s.closeIdle()
		}
	}
	return s.fast.ShutdownWithContext(ctx)
}

func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// closeIdle closes the connections that no request is on.
func (s *Server) closeIdle() {
	s.parked.evict(math.MaxInt64)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.is(waiting) {
			_ = c.TCPConn.Close()
		}
	}
}

// closeAll resets every connection.
func (s *Server) closeAll() {
	s.parked.evict(math.MaxInt64)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.SetLinger(0)
		_ = c.TCPConn.Close()
	}
}

func (s *Server) remember(c *conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.client.IsValid() {
		if s.clients[c.client]--; s.clients[c.client] == 0 {
			delete(s.clients, c.client)
		}
	}
	s.mu.Unlock()
}

// admit counts a connection as its client's, and reports false if that has too many.
func (s *Server) admit(c *conn) bool {
	most := s.table.Load().MaxClientConns
	if most == 0 {
		return true
	}
	bits := 32
	if c.addr.Is6() {
		bits = 64 // what one subscriber has
	}
	client, _ := c.addr.Prefix(bits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[client] >= most {
		return false
	}
	s.clients[client]++
	c.client = client
	return true
}

// panicked notes a panic that cost one request and no more.
func (s *Server) panicked(r any) {
	s.stats.panics.Add(1)
	s.log.Error("a request panicked", "panic", r, "stack", string(debug.Stack()))
}
