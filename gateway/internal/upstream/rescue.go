package upstream

import (
	"errors"

	"github.com/weir-lb/weir/policies"
)

// errAbandoned says that the endpoint was found to be down while a response was awaited.
var errAbandoned = errors.New("the endpoint went down while its response was awaited")

// States of Conn.rescue.
const (
	notForRescue uint32 = iota
	mayBeRescued
	rescued
)

// Rescue fails the attempts that wait for the head of a response and that [Conn.MayBeRescued] said can be made
// elsewhere. It is called when the endpoint is found to be down: without it, requests on an endpoint that hangs would
// wait for their timeout, however soon the hang is noticed.
func (p *Pool) Rescue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := p.busy; c != nil; c = c.next {
		if c.rescue.CompareAndSwap(mayBeRescued, rescued) {
			c.Interrupt()
		}
	}
}

// MayBeRescued notes that the attempt in hand can be given up until [Conn.ReadHead] returns.
func (c *Conn) MayBeRescued() { c.rescue.Store(mayBeRescued) }

// settleRescue ends what MayBeRescued began. A head that came in the moment of a rescue is lost: the deadline that the
// rescue set would cut its body.
func (c *Conn) settleRescue(err error) error {
	if c.rescue.Load() == notForRescue || c.rescue.CompareAndSwap(mayBeRescued, notForRescue) {
		return err
	}
	return &Error{Class: policies.HeaderTimeout, Err: errAbandoned}
}

// link puts c among the busy connections. The caller holds mu.
func (p *Pool) link(c *Conn) {
	c.prev, c.next = nil, p.busy
	if p.busy != nil {
		p.busy.prev = c
	}
	p.busy = c
}

// unlink takes c out again, if it is there. The caller holds mu.
func (p *Pool) unlink(c *Conn) {
	switch {
	case c.prev != nil:
		c.prev.next = c.next
	case p.busy == c:
		p.busy = c.next
	default:
		return
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}
