//go:build !race

package socket

import (
	"syscall"
	"unsafe"
)

// send sends as much of p as the socket takes. Without all of it there is an error.
func send(fd uintptr, p []byte) (sent int, err syscall.Errno) {
	for sent < len(p) {
		n, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[sent])), uintptr(len(p)-sent), syscall.MSG_NOSIGNAL, 0, 0)
		switch err {
		case 0:
			sent += int(n)
		case syscall.EINTR:
		default:
			return sent, err
		}
	}
	return sent, 0
}

// receive takes what there is, at most len(p) bytes.
func receive(fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}
