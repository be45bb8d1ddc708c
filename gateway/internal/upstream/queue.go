package upstream

import (
	"context"
	"time"

	"github.com/weir-lb/weir/policies"
)

// waiter is a request that waits for a connection. What it is sent may be nil: a slot to dial in.
type waiter struct {
	ch   chan *Conn
	gone bool
}

// takeSlot dials if there is room for one more connection, else waits for one. With a header, see [Pool.TakeFor], it dials in
// any case. It is called with mu held.
func (p *Pool) takeSlot(ctx context.Context, d time.Duration, header []byte) (*Conn, error) {
	if p.open < p.limits.Load().MaxConns {
		p.open++
		p.mu.Unlock()
		return p.dial(ctx, d, header)
	}
	if p.waiting >= p.limits.Load().Queue {
		p.mu.Unlock()
		p.exhausted.Add(1)
		return nil, &Error{Class: policies.PoolExhausted, Err: ErrPoolExhausted}
	}
	w := &waiter{ch: make(chan *Conn, 1)}
	p.queue = append(p.queue, w)
	p.waiting++
	p.mu.Unlock()

	began := now()
	timer := time.NewTimer(min(d, p.limits.Load().QueueTimeout))
	defer timer.Stop()
	var c *Conn
	select {
	case c = <-w.ch:
	case <-timer.C:
		var served bool
		if c, served = p.giveUp(w); !served {
			p.exhausted.Add(1)
			return nil, &Error{Class: policies.PoolExhausted, Err: ErrPoolExhausted}
		}
	case <-ctx.Done():
		var served bool
		if c, served = p.giveUp(w); !served {
			return nil, &Error{Class: policies.Cancelled, Err: ctx.Err()}
		}
	}
	left := d - time.Duration(now()-began)
	if c != nil {
		if header != nil {
			p.close(c, Expired)
		} else if p.revive(c, left) {
			return c, nil
		}
		p.mu.Lock()
		p.open++ // it was closed: its slot is ours, whoever else got it meanwhile
		p.mu.Unlock()
	}
	return p.dial(ctx, left, header)
}

// giveUp takes w out of the queue, unless it was served in the very moment.
func (p *Pool) giveUp(w *waiter) (c *Conn, served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case c = <-w.ch:
		return c, true
	default:
		w.gone = true
		p.waiting--
		return nil, false
	}
}

// slotFreed gives the slot of c, which is gone or (nil) never was, to whoever waits for one.
func (p *Pool) slotFreed(c *Conn) {
	p.mu.Lock()
	if c != nil {
		p.unlink(c)
	}
	if w := p.next(); w != nil {
		w.ch <- nil
	} else {
		p.open--
	}
	p.mu.Unlock()
}

// next takes the first waiter that did not give up off the queue. The caller holds mu.
func (p *Pool) next() *waiter {
	for len(p.queue) > 0 {
		w := p.queue[0]
		p.queue = p.queue[1:]
		if !w.gone {
			p.waiting--
			return w
		}
	}
	return nil
}
