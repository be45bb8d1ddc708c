package consul

import "syscall"

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, which package syscall does not name

// control bounds how long sent bytes may stay unacknowledged (RFC 5482).
func control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// An old kernel that refuses it still has keepalive.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(lostAfter.Milliseconds()))
	})
}
