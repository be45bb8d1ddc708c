package socket

import (
	"errors"
	"os"
	"syscall"
)

// Watch tells of connections that no goroutine waits for when there is something to read from them: bytes, the end, or an
// error. It is an epoll instance of its own, which the poller of the runtime watches in turn: no thread waits for it.
type Watch struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
}

// NewWatch returns a watch of nothing. The error is the system's: no file descriptor left.
func NewWatch() (*Watch, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that the runtime's poller takes it
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
		return nil, err
	}
	return w, nil
}

// Add makes the watch tell once of c, which may be at once, and returns the number that it will use: c's file descriptor.
// Closing c ends that.
func (w *Watch) Add(c *Conn) (number int, err error) {
	failed := c.raw.Control(func(fd uintptr) {
		number = int(fd)
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(fd)}
		err = syscall.EpollCtl(w.fd, syscall.EPOLL_CTL_ADD, number, &e)
		if err == syscall.EEXIST { // it was told of before
			err = syscall.EpollCtl(w.fd, syscall.EPOLL_CTL_MOD, number, &e)
		}
	})
	return number, errors.Join(failed, os.NewSyscallError("epoll_ctl", err))
}

// Wait waits until there is something to tell, and puts the numbers into ready, at most 128 at a time. It fails after Close.
func (w *Watch) Wait(ready []int) ([]int, error) {
	var events [128]syscall.EpollEvent
	var n int
	var err error
	closed := w.raw.Read(func(fd uintptr) bool {
		n, err = syscall.EpollWait(int(fd), events[:], 0)
		return n != 0 && err != syscall.EINTR
	})
	if closed != nil {
		return nil, closed
	}
	ready = ready[:0]
	for _, e := range events[:max(n, 0)] {
		ready = append(ready, int(e.Fd))
	}
	return ready, os.NewSyscallError("epoll_wait", err)
}

// Close ends Wait.
func (w *Watch) Close() error { return w.file.Close() }
