package upstream

// End ends what is under way of one kind, and its client sees that it was cut: tunnels and what else lasts ([Conn.Lasts]), or
// everything but that. What waits for a response and can be made elsewhere is, instead ([Conn.MayBeRescued]). It says how many it
// ended that it had not ended before, and how many of that kind are still there: until that is 0 it is to be called again, for
// whoever uses a connection may be about to set another deadline.
func (p *Pool) End(tunnels bool) (ended, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	busy := 0
	for c := p.busy; c != nil; c = c.next {
		busy++
		if c.lasts.Load() != tunnels {
			continue
		}
		left++
		if !c.rescue.CompareAndSwap(mayBeRescued, rescued) && !c.ended.Swap(true) {
			ended++
		}
		c.Interrupt()
	}
	if !tunnels {
		left += p.open - len(p.idle) - busy // those that are being made
	}
	return ended, left
}

// Lasts notes that what the connection is for lasts as long as its two ends like: [Pool.End] takes it for a tunnel.
func (c *Conn) Lasts() { c.lasts.Store(true) }

// Ended reports whether [Pool.End] was called on the connection: deadlines that are over do not come again.
func (c *Conn) Ended() bool { return c.ended.Load() }
