package socket

import "net"

// portable is a TCP connection that is read and written as usual.
type portable struct{ *net.TCPConn }

// Ask sends p. n counts the bytes that went out.
func (c portable) Ask(p []byte) (n int, err error) { return c.Write(p) }

// Look cannot look without taking: every connection counts as gone.
func (c portable) Look() State { return Gone }

// Await returns at once.
func (c portable) Await() error { return nil }
