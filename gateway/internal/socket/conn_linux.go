package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a TCP connection. One goroutine may read while another writes. Deadlines, Close and all else are those of the
// TCPConn.
type Conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer

	unsent []byte // of what is asked
	waited bool

	ask, look, await func(fd uintptr) (done bool)

	seen  State         // by look
	told  syscall.Errno // to peek, and still to be told to a read: the kernel tells an error once
	first [1]byte
}

// transfer is a read or a write that is under way. Its function is made once: a closure a call would be an allocation a call.
type transfer struct {
	p   []byte // what is left of the buffer
	err error
	do  func(fd uintptr) (done bool) // not done, it is called again when the socket is ready
}

// New returns c with reads and writes of this package.
func New(c *net.TCPConn) *Conn {
	s := &Conn{TCPConn: c}
	s.raw, _ = c.SyscallConn() // fails for a nil connection only
	s.in.do, s.out.do = s.receive, s.send
	s.ask = func(fd uintptr) bool {
		if !s.waited {
			n, _ := send(fd, s.unsent)
			s.unsent = s.unsent[n:]
		}
		return s.again() || len(s.unsent) > 0
	}
	s.look = func(fd uintptr) bool {
		s.seen = s.peek(fd)
		return true
	}
	s.await = func(fd uintptr) bool { return s.again() || s.peek(fd) != Quiet }
	return s
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	c.in.p, c.in.err = p, nil
	return c.ended("read", &c.in, len(p), c.raw.Read(c.in.do))
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.out.p, c.out.err = p, nil
	return c.ended("write", &c.out, len(p), c.raw.Write(c.out.do))
}

// ended says what came of a transfer of at most most bytes. err is what stopped it before it was done.
func (c *Conn) ended(op string, t *transfer, most int, err error) (int, error) {
	n := most - len(t.p)
	t.p = nil
	switch {
	case err != nil:
		if e, ok := errors.AsType[*net.OpError](err); ok {
			e.Op = op
		}
	case t.err == nil || t.err == io.EOF:
		err = t.err
	default:
		err = &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, t.err)}
	}
	return n, err
}

// Ask sends p, and waits until there is something to read. What was there before does not end the wait: the connection must
// have been quiet. n counts the bytes that went out.
//
// It spares a read that finds nothing. The poller forgets what it heard of a socket when a read begins; that is before
// anything is sent here, so the answer is news to it, however fast it comes.
func (c *Conn) Ask(p []byte) (n int, err error) {
	c.unsent, c.waited = p, false
	err = c.raw.Read(c.ask)
	n, rest := len(p)-len(c.unsent), c.unsent
	if c.unsent = nil; len(rest) == 0 || err != nil {
		return n, err
	}
	more, err := c.Write(rest) // it did not take all, or has an error to tell
	return n + more, err
}

func (c *Conn) receive(fd uintptr) (done bool) {
	n, err := 0, c.told
	if c.told = 0; err == 0 {
		n, err = receive(fd, c.in.p, 0)
	}
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != 0:
		c.in.err = err
	case n == 0 && len(c.in.p) > 0:
		c.in.err = io.EOF
	default:
		c.in.p = c.in.p[n:]
	}
	return true
}

func (c *Conn) send(fd uintptr) (done bool) {
	n, err := send(fd, c.out.p)
	c.out.p = c.out.p[n:]
	switch {
	case len(c.out.p) == 0:
		return true
	case err == syscall.EAGAIN:
		return false
	}
	c.out.err = err
	return true
}

// Look looks at what there is to read, without waiting and without taking anything.
func (c *Conn) Look() State {
	c.seen = Gone
	if c.raw.Read(c.look) != nil {
		return Gone
	}
	return c.seen
}

// Await waits, without a buffer, until there is something to read: bytes, the end, or an error. It may be wrong: then a read
// waits. The read deadline holds.
func (c *Conn) Await() error {
	c.waited = false
	return c.raw.Read(c.await)
}

// again reports whether the poller has waited since the call began.
func (c *Conn) again() bool {
	was := c.waited
	c.waited = true
	return was
}

func (c *Conn) peek(fd uintptr) State {
	n, err := receive(fd, c.first[:], syscall.MSG_PEEK)
	switch {
	case err == syscall.EAGAIN:
		return Quiet
	case err != 0:
		c.told = err
		return Gone
	case n == 0:
		return Gone
	}
	return Readable
}
