package proxy

import (
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

// parkAfter is how long a connection waits for a request, up to twice that, before it is parked.
const parkAfter = 500 * time.Millisecond

// parking is where connections are that wait for a request: without a goroutine, whose stack is most of what one costs.
type parking struct {
	watch *socket.Watch // nil where there is no such thing

	mu   sync.Mutex
	lots map[int]*conn // by the number that watch tells
}

// open opens the parking, if the system has one; else connections wait as they are.
func (p *parking) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if watch, err := socket.NewWatch(); err == nil {
		p.watch, p.lots = watch, map[int]*conn{}
	}
}

// park parks c until there is something to read from it or somebody takes it, and reports false if it cannot.
func (p *parking) park(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.watch.Add(c.Conn)
	if err == nil {
		p.lots[n] = c
	}
	return err == nil
}

// run hands connections that have something to read to resume, until close.
func (p *parking) run(resume func(*conn)) {
	if p.watch == nil {
		return
	}
	var ready []int
	for {
		var err error
		if ready, err = p.watch.Wait(ready); err != nil {
			return
		}
		for _, n := range ready {
			if c := p.take(n); c != nil {
				go resume(c)
			}
		}
	}
}

func (p *parking) take(n int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.lots[n]
	delete(p.lots, n)
	return c
}

// evict closes the connections that have waited until t, as now counts.
func (p *parking) evict(t int64) {
	p.mu.Lock()
	var over []*conn
	for n, c := range p.lots {
		if c.idleBy <= t {
			delete(p.lots, n)
			over = append(over, c)
		}
	}
	p.mu.Unlock()
	for _, c := range over {
		_ = c.Close()
	}
}

func (p *parking) close() {
	if p.watch != nil {
		_ = p.watch.Close()
	}
}

// parkable reports whether c may wait for requests in the parking: not if a part of one has come already.
func (c *conn) parkable() bool {
	return c.server.parked.watch != nil && (c.tls == nil || c.records.none())
}

// parks reports whether a wait for a request that has ended so goes on in the parking.
func (c *conn) parks(err error) bool { return isTimeout(err) && c.parkable() && now() < c.idleBy }

// resume serves a connection that was parked.
func (s *Server) resume(c *conn) {
	_ = s.serveHTTP1(c)
	_ = c.Close()
}
