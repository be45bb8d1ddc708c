package upstream

import (
	"syscall"
	"time"
)

// userTimeout is how long written bytes may stay unacknowledged before the kernel gives up the connection (RFC 5482).
const userTimeout = 10 * time.Second

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, which package syscall does not name

// control sets what a socket must have before it connects.
func control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// An old kernel that refuses it still has keepalive.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout.Milliseconds()))
	})
}
