//go:build !linux

package socket

import (
	"context"
	"net"
	"net/netip"
)

// Dial makes a connection that serves for one exchange.
func Dial(ctx context.Context, to netip.AddrPort) (Brief, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", to.String())
}
