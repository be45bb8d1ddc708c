package socket

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// pipeSize is how much a pipe takes. An unprivileged user may have 64 MiB in all pipes (pipe(7), pipe-user-pages-soft).
const pipeSize = 256 << 10

// Pipe passes bytes from one connection to another within the kernel (splice(2)). Its two halves are apart, so that it is known
// which of the two connections has failed, and how long each may take.
type Pipe struct {
	out, in int // file descriptors
	held    int // bytes in it

	most        int
	n           int
	err         error
	fill, drain func(fd uintptr) (done bool)
}

var pipes sync.Pool // of empty ones

// OpenPipe returns an empty pipe. The error is the system's: no file descriptor left.
func OpenPipe() (*Pipe, error) {
	if p, _ := pipes.Get().(*Pipe); p != nil {
		return p, nil
	}
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// It is smaller if the user has too many.
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fds[1]), syscall.F_SETPIPE_SZ, pipeSize)
	p := &Pipe{out: fds[0], in: fds[1]}
	p.fill, p.drain = p.receive, p.send
	runtime.SetFinalizer(p, (*Pipe).close) // for the pool may drop it
	return p, nil
}

// Free gives the pipe back. What is still in it is lost.
func (p *Pipe) Free() {
	if p.held > 0 {
		runtime.SetFinalizer(p, nil)
		p.close()
		return
	}
	p.err = nil
	pipes.Put(p)
}

func (p *Pipe) close() {
	_ = syscall.Close(p.out)
	_ = syscall.Close(p.in)
}

// Fill waits until c has bytes, and takes some of them, at most most. The pipe must be empty. The end of what c sends is
// io.EOF. The read deadline holds.
func (p *Pipe) Fill(c *Conn, most int) (n int, err error) {
	p.most, p.n, p.err = most, 0, nil
	err = c.raw.Read(p.fill)
	p.held = p.n
	switch {
	case err != nil:
	case p.err != nil:
		err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("splice", p.err)}
	case p.n == 0:
		err = io.EOF
	}
	return p.n, err
}

// Drain sends c all that the pipe holds. The write deadline holds.
func (p *Pipe) Drain(c *Conn) error {
	p.err = nil
	err := c.raw.Write(p.drain)
	if err == nil && p.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("splice", p.err)}
	}
	return err
}

func (p *Pipe) receive(fd uintptr) (done bool) {
	n, err := splice(int(fd), p.in, p.most)
	if err == syscall.EAGAIN {
		return false
	}
	if err != 0 {
		p.err = err
	}
	p.n = n
	return true
}

func (p *Pipe) send(fd uintptr) (done bool) {
	for p.held > 0 {
		n, err := splice(p.out, int(fd), p.held)
		switch err {
		case 0:
			p.held -= n
		case syscall.EAGAIN:
			return false
		default:
			p.err = err
			return true
		}
	}
	return true
}

// splice moves at most n bytes that are there.
func splice(from, to, n int) (int, syscall.Errno) {
	const move, nonBlocking = 1, 2
	for {
		moved, _, err := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), move|nonBlocking)
		if err != syscall.EINTR {
			return int(max(0, int64(moved))), err
		}
	}
}
