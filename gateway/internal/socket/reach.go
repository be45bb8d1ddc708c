package socket

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// Brief is a connection for one exchange.
type Brief interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// Reach makes a connection to an address and closes it.
func Reach(ctx context.Context, to netip.AddrPort) error {
	c, err := Dial(ctx, to)
	if err != nil {
		return err
	}
	return c.Close()
}
