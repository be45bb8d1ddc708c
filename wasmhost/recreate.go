package wasmhost

import (
	"time"
)

// failed counts a failure of the guest. The caller holds mu.
func (p *Policy) failed(f Failure, err error) {
	p.stats.Failures[f]++
	p.stats.LastFailure = f.String()
	if err != nil {
		p.stats.LastFailure += ": " + err.Error()
	}
	if p.quarantine.failed(p.module.options.Now()) {
		p.module.shared.log.Warn("policy in quarantine: its fallback decides", "cluster", p.cluster,
			"for", p.quarantine.backoff, "failure", p.stats.LastFailure)
	}
}

// replace discards the instance, which a trap leaves in an undefined state, and has another made in the background.
// The caller holds mu.
func (p *Policy) replace() {
	if p.in != nil {
		p.in.close()
		p.in = nil
	}
	if !p.recreating && !p.closed {
		p.recreating = true
		p.done.Go(p.recreate)
	}
}

// recreate makes an instance with the present table and puts it in place. It ends when that is done, or with Close.
// A guest in quarantine is not made again before it is asked again.
func (p *Policy) recreate() {
	for {
		p.mu.Lock()
		wait := p.quarantine.wait(p.module.options.Now())
		p.mu.Unlock()
		if !p.sleep(wait) {
			return
		}
		p.mu.Lock()
		t := p.table
		p.mu.Unlock()
		in, class, err := (*instance)(nil), FailInit, error(nil)
		if in, err = p.module.newInstance(p.cluster, p.module.shared); err == nil {
			class, err = FailEndpoints, in.setTable(t)
		}
		p.mu.Lock()
		if err == nil && !p.closed && p.table != t {
			p.settling.Add(1)
			err = in.setTable(p.table)
			p.settling.Add(-1)
		}
		if err == nil && !p.closed {
			p.in = in
			p.recreating = false
			p.stats.Recreated++
			p.mu.Unlock()
			return
		}
		if in != nil {
			in.close()
		}
		if err != nil {
			// Without an instance the guest cannot get better: back off from the first failure on.
			p.failed(class, err)
			if !p.quarantine.active() {
				p.quarantine.enter(p.module.options.Now())
			}
		}
		p.mu.Unlock()
	}
}

// sleep waits for d, and reports false if the policy was closed by then.
func (p *Policy) sleep(d time.Duration) bool {
	if d <= 0 {
		return p.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}
