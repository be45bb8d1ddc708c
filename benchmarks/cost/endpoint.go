//go:build linux

package cost

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Endpoints serves HTTP/1.1 at n ports of 127.0.0.1 from one epoll loop, as cheaply as it can: no parsing beyond the end
// of a head, no body read, no timeout. The body of a response has 1 KiB, or what body=N in the request says.
type Endpoints struct {
	Addresses []string // host:port

	epoll     int
	listeners map[int32]bool
	conns     map[int32]*served
	responses map[int][]byte // by size of body
	buffer    [64 << 10]byte
}

// served is a connection.
type served struct {
	fd   int
	in   []byte // a head that has not ended
	out  []byte // what is left to write
	full bool   // waits for room to write
}

// Listen opens n ports.
func Listen(n int) (_ *Endpoints, err error) {
	e := &Endpoints{listeners: map[int32]bool{}, conns: map[int32]*served{}, responses: map[int][]byte{}}
	if e.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		if err := syscall.Listen(fd, 4096); err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		name, err := syscall.Getsockname(fd)
		if err != nil {
			return nil, err
		}
		e.Addresses = append(e.Addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port)))
		e.listeners[int32(fd)] = true
		if err := e.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Serve runs the loop in the calling goroutine, and returns only if it fails.
func (e *Endpoints) Serve() error {
	events := make([]syscall.EpollEvent, 1024)
	for {
		n, err := syscall.EpollWait(e.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("endpoint: epoll_wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if e.listeners[ev.Fd] {
				e.accept(int(ev.Fd))
				continue
			}
			c := e.conns[ev.Fd]
			if c == nil {
				continue
			}
			ok := true
			if ev.Events&syscall.EPOLLOUT != 0 {
				ok = e.write(c)
			}
			if ok && ev.Events&^syscall.EPOLLOUT != 0 && !c.full {
				ok = e.read(c)
			}
			if !ok {
				delete(e.conns, ev.Fd)
				_ = syscall.Close(c.fd)
			}
		}
	}
}

func (e *Endpoints) accept(listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		if e.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN) != nil {
			_ = syscall.Close(fd)
			continue
		}
		e.conns[int32(fd)] = &served{fd: fd}
	}
}

func (e *Endpoints) read(c *served) bool {
	n, err := rawRead(c.fd, e.buffer[:])
	if err == syscall.EAGAIN {
		return true
	}
	if n <= 0 {
		return false
	}
	in := e.buffer[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, in...)
		in = c.in
	}
	for {
		end := bytes.Index(in, endOfHead)
		if end < 0 {
			break
		}
		c.out = append(c.out, e.response(in[:end])...)
		in = in[end+len(endOfHead):]
	}
	c.in = append(c.in[:0], in...)
	return e.write(c)
}

// defaultBody is the size of a response's body in bytes.
const defaultBody = 1 << 10

var (
	endOfHead = []byte("\r\n\r\n")
	bodyIs    = []byte("body=")
)

func (e *Endpoints) response(head []byte) []byte {
	size := defaultBody
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	if _, after, ok := bytes.Cut(line, bodyIs); ok {
		size = 0
		for _, d := range after {
			if d < '0' || d > '9' {
				break
			}
			size = size*10 + int(d-'0')
		}
	}
	r := e.responses[size]
	if r == nil {
		r = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: endpoint\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
		r = append(r, bytes.Repeat([]byte{'x'}, size)...)
		e.responses[size] = r
	}
	return r
}

// write returns false if the connection is of no more use.
func (e *Endpoints) write(c *served) bool {
	for sent := 0; ; {
		n, err := rawWrite(c.fd, c.out[sent:])
		sent += max(n, 0)
		switch {
		case sent == len(c.out):
			c.out = c.out[:0]
			if c.full {
				c.full = false
				return e.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLIN) == nil
			}
			return true
		case err == syscall.EAGAIN:
			c.out = append(c.out[:0], c.out[sent:]...)
			if !c.full {
				c.full = true
				return e.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLOUT) == nil
			}
			return true
		case err != 0:
			return false
		}
	}
}

func (e *Endpoints) watch(op, fd int, events uint32) error {
	return syscall.EpollCtl(e.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}
