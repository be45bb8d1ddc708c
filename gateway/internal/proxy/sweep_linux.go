package proxy

import (
	"syscall"
	"unsafe"
)

// isClosed reports whether the peer of a TCP socket has closed it, or its side of it. The state says so even if there is
// something left to read, which a look at the socket's buffer does not.
func isClosed(fd uintptr) bool {
	const established = 1
	var info [8]byte // of struct tcp_info; the state is its first byte
	size := uint32(len(info))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && info[0] != established
}
