//go:build unix

package upstream

import "syscall"

// peek looks at what a non-blocking socket has to read.
func peek(fd uintptr) state {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	switch {
	case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR:
		return quiet
	case err != nil || n == 0:
		return gone
	}
	return readable
}
