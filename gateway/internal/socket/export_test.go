package socket

import "net"

// NewPortable is New of systems other than Linux.
func NewPortable(c *net.TCPConn) interface {
	net.Conn
	Ask(p []byte) (int, error)
	Await() error
} {
	return portable{c}
}
