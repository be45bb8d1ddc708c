package cluster

import "time"

// run is the cluster's own goroutine: it sees to everything that happens by the passing of time, and to endpoints that
// just failed too often.
func (c *Cluster) run() {
	tick := time.NewTicker(onStep(reconcileEvery))
	defer tick.Stop()
	first := true
	var sampled time.Time
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
			if first {
				first = false
				tick.Reset(reconcileEvery)
			}
		}
		c.mu.Lock()
		now := time.Now()
		why := "heartbeat"
		if c.detectOutliers(now) {
			why = "readmitted"
		}
		c.heed(now)
		if now.Sub(sampled) >= time.Second {
			sampled = now
			for _, e := range c.endpoints {
				e.sample(now)
				e.takeReport(c.settings.Load, now)
			}
		}
		c.publishView(why)
		if c.leases != nil && c.settings.Heartbeat > 0 {
			for _, e := range c.endpoints {
				c.leases.age(e)
			}
		}
		c.mu.Unlock()
	}
}
