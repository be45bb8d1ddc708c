//go:build !linux

package socket

import "net"

// Conn is a TCP connection. One goroutine may read while another writes.
type Conn struct{ *net.TCPConn }

// New returns c.
func New(c *net.TCPConn) *Conn { return &Conn{c} }

// Ask sends p. n counts the bytes that went out.
func (c *Conn) Ask(p []byte) (n int, err error) { return c.Write(p) }

// Look cannot look without taking: every connection counts as gone.
func (c *Conn) Look() State { return Gone }

// Await returns at once.
func (c *Conn) Await() error { return nil }
