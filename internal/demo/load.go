package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// phases of the demo.
const (
	before = iota
	during
	after
	phases
)

// load is a few clients that send GETs through the gateway, one after the other on kept-alive connections, and count
// who answered.
type load struct {
	url   string
	phase atomic.Int32

	mu       sync.Mutex
	requests [phases]map[string]int
	failed   [phases]int
	firstErr error

	stop context.CancelFunc
	done sync.WaitGroup
}

// startLoad starts the clients. Each waits a little between requests, so that the demo shows behaviour, not speed.
func startLoad(ctx context.Context, url string, clients int, pause time.Duration) *load {
	ctx, stop := context.WithCancel(ctx)
	l := &load{url: url, stop: stop}
	for p := range l.requests {
		l.requests[p] = map[string]int{}
	}
	for range clients {
		l.done.Go(func() { l.client(ctx, pause) })
	}
	return l
}

func (l *load) client(ctx context.Context, pause time.Duration) {
	t := &http.Transport{MaxIdleConnsPerHost: 1}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, Timeout: 10 * time.Second}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		phase := l.phase.Load()
		name, err := get(ctx, c, l.url)
		if ctx.Err() != nil {
			return // the last request was cut short by us
		}
		l.count(phase, name, err)
	}
}

func (l *load) count(phase int32, name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[phase]++
		if l.firstErr == nil {
			l.firstErr = err
		}
		return
	}
	l.requests[phase][name]++
}

// end stops the clients and waits for them.
func (l *load) end() {
	l.stop()
	l.done.Wait()
}

func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return resp.Header.Get("X-Endpoint"), nil
}
