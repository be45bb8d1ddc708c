//go:build !linux

package socket

import "net"

// Conn is a TCP connection. One goroutine may read while another writes.
type Conn struct{ *net.TCPConn }

// New returns c.
func New(c *net.TCPConn) *Conn { return &Conn{c} }

// Ask sends what it is given and reads what comes for it. sent counts the bytes of send that went out, n those that were
// read into p.
func (c *Conn) Ask(send, p []byte) (sent, n int, err error) {
	if sent, err = c.Write(send); err == nil {
		n, err = c.Read(p)
	}
	return sent, n, err
}

// Look cannot look without taking: every connection counts as gone.
func (c *Conn) Look() State { return Gone }

// Await returns at once.
func (c *Conn) Await() error { return nil }
