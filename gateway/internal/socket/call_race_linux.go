//go:build race

package socket

import "syscall"

// The race detector learns from package syscall that what one end reads the other has written before.

func send(fd uintptr, p []byte) (sent int, errno syscall.Errno) {
	for sent < len(p) {
		n, err := syscall.Write(int(fd), p[sent:])
		switch err {
		case nil:
			sent += n
		case syscall.EINTR:
		default:
			return sent, err.(syscall.Errno)
		}
	}
	return sent, 0
}

func receive(fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		var n int
		var err error
		if flags == 0 {
			n, err = syscall.Read(int(fd), p)
		} else {
			n, _, err = syscall.Recvfrom(int(fd), p, int(flags))
		}
		switch err {
		case nil:
			return n, 0
		case syscall.EINTR:
		default:
			return 0, err.(syscall.Errno)
		}
	}
}
