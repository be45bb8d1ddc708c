package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// busy is a transport with requests and tunnels, which end one with each call.
type busy struct {
	transport
	requests, tunnels int
}

func (b *busy) End(tunnels bool) (ended, left int) {
	n := &b.requests
	if tunnels {
		n = &b.tunnels
	}
	if *n == 0 {
		return 0, 0
	}
	*n--
	return 1, *n + 1 // what was ended is there for a moment
}

func TestWhatDrainsIsEndedInTimeAndToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &busy{requests: 3, tunnels: 2}
		s := settings()
		s.Drain = Drain{Requests: 30 * time.Second, Tunnels: 5 * time.Minute}
		s.Transport = func(string) Transport { return b }
		c, err := New("web", s, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Apply(live(instance("a")))
		e := c.Load().Endpoints[0]
		e.Begin() // something is under way all the time
		began := time.Now()
		override(t, c, "a", ForceDrain)
		at := func(after time.Duration, requests, tunnels uint64) {
			t.Helper()
			time.Sleep(time.Until(began.Add(after)))
			synctest.Wait()
			if s := c.Status(); s.EndedRequests != requests || s.EndedTunnels != tunnels {
				t.Errorf("after %v %d requests and %d tunnels were ended, want %d and %d", after, s.EndedRequests, s.EndedTunnels, requests, tunnels)
			}
		}
		at(30*time.Second-time.Millisecond, 0, 0)
		at(30*time.Second, 1, 0)
		at(31*time.Second, 3, 0)
		at(5*time.Minute-time.Millisecond, 3, 0)
		at(5*time.Minute+time.Second, 3, 2)
		if n := strings.Count(log.String(), "its time is up"); n != 2 {
			t.Errorf("%d lines in the log, want one of requests and one of tunnels:\n%s", n, log.String())
		}
		b.requests = 1
		s.Drain = Drain{Requests: 10 * time.Minute}
		if err := c.Configure(s); err != nil {
			t.Fatal(err)
		}
		if d := c.Status().Endpoints[0].Draining; d == nil || !d.Since.Equal(began) || !d.RequestsUntil.Equal(began.Add(10*time.Minute)) || !d.TunnelsUntil.IsZero() {
			t.Errorf("draining %+v, want the new times from the same beginning", d)
		}
		at(10*time.Minute, 4, 2)
		b.requests = 1
		override(t, c, "a", NoOverride)
		at(time.Hour, 4, 2)
		if e.drains.Load() || c.Status().Endpoints[0].Draining != nil {
			t.Error("it still drains")
		}
	})
}
