package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// sweepEvery is how often clients of requests in flight are looked at.
const sweepEvery = 250 * time.Millisecond

// watched is what a connection has in flight that is worth nothing without its client.
type watched struct {
	up       atomic.Pointer[upstream.Conn]
	gone     atomic.Bool
	sweeping sync.Mutex // while up is being interrupted
}

// watch implements downstream.
func (l *http1) watch(up *upstream.Conn) { l.c.up.Store(up) }

// unwatch implements downstream.
func (l *http1) unwatch() (gone bool) {
	c := l.c
	if c.up.Swap(nil) != nil || !c.gone.Load() {
		return false
	}
	c.sweeping.Lock()
	defer c.sweeping.Unlock()
	return true
}

// sweep ends the attempts of clients that are gone, and the waits that are over, until over is closed. Nobody reads from a client that waits for its
// answer, so nothing else would tell.
func (s *Server) sweep(over chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var busy []*conn
	for {
		select {
		case <-tick.C:
		case <-over:
			return
		}
		s.parked.evict(now())
		if s.table.Load().HalfClose {
			continue
		}
		s.mu.Lock()
		for c := range s.conns {
			if c.up.Load() != nil {
				busy = append(busy, c)
			}
		}
		s.mu.Unlock()
		for _, c := range busy {
			c.sweep()
		}
		clear(busy)
		busy = busy[:0]
	}
}

// sweep ends the attempt in flight if the client has closed the connection, or its side of it.
func (c *conn) sweep() {
	raw, err := c.TCPConn.SyscallConn()
	if err != nil {
		return
	}
	closed := false
	if raw.Control(func(fd uintptr) { closed = isClosed(fd) }) != nil || !closed {
		return
	}
	c.sweeping.Lock()
	defer c.sweeping.Unlock()
	c.gone.Store(true)
	if up := c.up.Swap(nil); up != nil {
		c.server.stats.clientsGone.Add(1)
		up.Interrupt()
	}
}
