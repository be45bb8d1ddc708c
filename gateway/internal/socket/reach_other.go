//go:build !linux

package socket

import (
	"context"
	"net"
	"net/netip"
)

// Reach makes a connection to an address and closes it.
func Reach(ctx context.Context, to netip.AddrPort) error {
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	return c.Close()
}
