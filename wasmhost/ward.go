package wasmhost

import (
	"sync"
	"sync/atomic"
	"time"
)

// ward is where a policy's failures are kept: those of all its instances together decide about quarantine.
type ward struct {
	on atomic.Bool // read with each pick

	mu         sync.Mutex
	quarantine quarantine
	failure    string // the last one
	trial      bool   // announced
}

func (w *ward) active() bool { return w.on.Load() }

func (w *ward) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

func (w *ward) copy() quarantine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quarantine
}

// wait returns how long from now the guest is kept from the traffic.
func (w *ward) wait(now int64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quarantine.wait(now)
}

// admitted reports whether a policy in quarantine gets this pick.
func (p *Policy) admitted() bool {
	w := &p.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	now := p.module.options.Now()
	if !w.quarantine.active() {
		return true
	}
	if now >= w.quarantine.until && !w.trial {
		w.trial = true
		p.tell(EventTrial, "")
	}
	return w.quarantine.admits(now)
}

// clean notes a pick without fault while in quarantine.
func (p *Policy) clean() {
	w := &p.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quarantine.active() && w.quarantine.succeeded() {
		w.on.Store(false)
		w.trial = false
		p.shared.log.Info("policy healed", "cluster", p.cluster)
		p.tell(EventHealed, "")
	}
}

// failed counts a failure of the guest. certain is that it cannot get better by itself: it goes into quarantine at once.
func (p *Policy) failed(f Failure, err error, certain bool) {
	w := &p.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = f.String()
	if err != nil {
		w.failure += ": " + err.Error()
	}
	p.tell(EventFailed, w.failure)
	p.shared.log.Warn("policy failed", "cluster", p.cluster, "failure", w.failure) // quarantine bounds how often
	now := p.module.options.Now()
	entered := w.quarantine.failed(now)
	if certain && !w.quarantine.active() {
		w.quarantine.enter(now)
		entered = true
	}
	if !entered {
		return
	}
	w.on.Store(true)
	w.trial = false
	p.shared.log.Warn("policy in quarantine: its fallback decides", "cluster", p.cluster,
		"for", w.quarantine.backoff, "failure", w.failure)
	p.tell(EventQuarantined, w.quarantine.backoff.String()+" after "+w.failure)
}
