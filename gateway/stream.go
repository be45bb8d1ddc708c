package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What a stream of events may take.
const (
	streamWrite = 10 * time.Second // for one write, to a client that does not read
	keepAlive   = 15 * time.Second // between comments on a stream where nothing happens
)

// getEvents is the stream of events as server-sent events (HTML Living Standard, section 9.2): id, event (its kind) and
// data (JSON). It begins now, and ends with the client or the gateway. A client that reads too slowly misses events and is
// told how many, by an event named "missed".
func (g *Gateway) getEvents(w http.ResponseWriter, r *http.Request) {
	s := g.events.subscribe()
	if s == nil {
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, errors.New("too many readers of events, or shutting down"))
		return
	}
	defer g.events.leave(s)
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // that of the request would end the stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	send := func(format string, args ...any) bool {
		_ = c.SetWriteDeadline(time.Now().Add(streamWrite))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && c.Flush() == nil
	}
	ok := send(": events of weir\n\n")
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for ok {
		select {
		case e, open := <-s.ch:
			if !open {
				return
			}
			data, err := json.Marshal(e)
			if err != nil {
				panic(err) // an event has text and times alone
			}
			ok = send("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, data)
			if n := g.events.takeMissed(s); n > 0 {
				ok = ok && send("event: missed\ndata: {\"missed\":%d}\n\n", n)
			}
		case <-alive.C:
			ok = send(": alive\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
