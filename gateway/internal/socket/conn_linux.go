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
	unsent  []byte // see Ask

	look  func(fd uintptr) bool
	seen  State // by look
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
	s.look = func(fd uintptr) bool {
		s.seen = s.peek(fd)
		return true
	}
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

// Ask sends what it is given and reads what comes for it. It spares the attempt to read what cannot be there yet, but what
// was there before it is heard of only with what follows: the connection must have been quiet. sent counts the bytes of
// send that went out, n those that were read into p.
//
// The poller forgets what it heard of a socket when a read begins. That is before anything is sent here, so the answer is
// news to it, however fast it comes.
func (c *Conn) Ask(send, p []byte) (sent, n int, err error) {
	c.unsent = send
	n, err = c.Read(p)
	sent, rest := len(send)-len(c.unsent), c.unsent
	if c.unsent = nil; len(rest) == 0 || err != nil {
		return sent, n, err
	}
	more, err := c.Write(rest)
	if err != nil {
		return sent + more, 0, err
	}
	n, err = c.Read(p)
	return sent + more, n, err
}

func (c *Conn) receive(fd uintptr) (done bool) {
	if len(c.unsent) > 0 {
		n, _ := send(fd, c.unsent) // if not all goes out, Ask sees to the rest, and to the error
		c.unsent = c.unsent[n:]
		return len(c.unsent) > 0
	}
	n, err := receive(fd, c.in.p, 0)
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

// Await waits, without a buffer, until there is something to read: bytes, the end, or an error. The read deadline holds.
func (c *Conn) Await() error {
	return c.raw.Read(func(fd uintptr) bool { return c.peek(fd) != Quiet })
}

func (c *Conn) peek(fd uintptr) State {
	n, err := receive(fd, c.first[:], syscall.MSG_PEEK)
	switch {
	case err == syscall.EAGAIN:
		return Quiet
	case err != 0 || n == 0:
		return Gone
	}
	return Readable
}
