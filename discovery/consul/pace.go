package consul

import (
	"context"
	"time"
)

// burst is how many questions may follow one another at once: a change after quiet is seen without delay, and so are the
// next few. A catalogue in turmoil is read once per pace.every, and its changes in between are seen as one.
const burst = 4

// pace is a token bucket in the form of a theoretical arrival time (GCRA, ITU-T I.371).
type pace struct {
	every time.Duration
	next  time.Time
}

// wait blocks until the next question may be put, and reports whether ctx still stands.
func (p *pace) wait(ctx context.Context) bool {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	delay := p.next.Sub(now) - (burst-1)*p.every
	p.next = p.next.Add(p.every)
	return sleep(ctx, delay)
}

// sleep waits for d or the end of ctx, and reports whether ctx still stands.
func sleep(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
