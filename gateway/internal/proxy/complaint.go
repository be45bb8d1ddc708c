package proxy

import (
	"log/slog"
	"sync"
	"time"
)

// complaint is something to warn of that may come with every connection: it is said once a minute.
type complaint struct {
	mu     sync.Mutex
	next   time.Time
	unsaid int
}

func (c *complaint) say(log *slog.Logger, text string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Before(c.next) {
		c.unsaid++
		return
	}
	log.Warn(text, append(args, "unsaid", c.unsaid)...)
	c.next, c.unsaid = now.Add(time.Minute), 0
}
