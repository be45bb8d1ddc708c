//go:build !linux

package socket

import "net"

// Conn is a TCP connection. One goroutine may read while another writes.
type Conn struct{ portable }

// New returns c.
func New(c *net.TCPConn) *Conn { return &Conn{portable{c}} }
