//go:build linux

package cost

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Idle is the memory of clients that have had an answer and ask for nothing more.
type Idle struct {
	Peer    string  `json:"peer"`
	Clients int     `json:"clients"`
	Before  int64   `json:"before"` // PSS in bytes
	After   int64   `json:"after"`
	KiB     float64 `json:"kib"` // a client
}

// MeasureIdle connects n clients to a gateway one after the other, each with one request, and weighs the gateway before,
// when it has had some load, and two seconds after.
func MeasureIdle(ctx context.Context, e Entrant, n int) (r Idle, err error) {
	l := &Load{Name: "idle", Connections: 64}
	if _, err := (&Meter{Warm: 300 * time.Millisecond, Length: time.Millisecond}).Take(ctx, e.Target, l); err != nil {
		return r, fmt.Errorf("%s: %w", e.Name, err)
	}
	never := make(chan struct{})
	if err := pause(ctx, time.Second, never); err != nil {
		return r, err
	}
	r = Idle{Peer: e.Name, Clients: n}
	if r.Before, err = pss(e.PID); err != nil {
		return r, err
	}
	for i := range n {
		conn, err := net.Dial("tcp", e.Address)
		if err != nil {
			return r, fmt.Errorf("%s: client %d: %w", e.Name, i, err)
		}
		defer conn.Close()
		if err := ask(conn, l); err != nil {
			return r, fmt.Errorf("%s: client %d: %w", e.Name, i, err)
		}
	}
	if err := pause(ctx, 2*time.Second, never); err != nil {
		return r, err
	}
	if r.After, err = pss(e.PID); err != nil {
		return r, err
	}
	r.KiB = float64(r.After-r.Before) / 1024 / float64(n)
	return r, nil
}

// ask makes one request.
func ask(conn net.Conn, l *Load) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(l.request()); err != nil {
		return err
	}
	buffer := make([]byte, 8<<10)
	for a := new(answer); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		if over, err := a.take(buffer[:n]); over || err != nil {
			if err == nil && a.status != 200 {
				err = fmt.Errorf("got status %d", a.status)
			}
			return err
		}
	}
}
