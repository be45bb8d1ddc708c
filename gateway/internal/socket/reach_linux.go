package socket

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Reach makes a connection to an address and closes it. It does what [net.Dialer] would, without what a connection is
// prepared with that is to be used: options, names of both ends, and a goroutine that watches ctx. Fleets are checked like that.
func Reach(ctx context.Context, to netip.AddrPort) error {
	family, address := name(to)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := syscall.Connect(fd, address); err != syscall.EINPROGRESS {
		_ = syscall.Close(fd)
		return os.NewSyscallError("connect", err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) })()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Write(func(uintptr) (done bool) {
		// Asked before any wait too: the poller forgets the news that came before this call.
		done, failed = connected(fd)
		return done
	}); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return os.NewSyscallError("connect", failed)
}

// connected reports whether an attempt to connect is over, and how it failed.
func connected(fd int) (bool, error) {
	if n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil {
		return true, err
	} else if n != 0 {
		return true, syscall.Errno(n)
	}
	_, err := syscall.Getpeername(fd)
	return err != syscall.ENOTCONN, nil
}

func name(a netip.AddrPort) (family int, _ syscall.Sockaddr) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
