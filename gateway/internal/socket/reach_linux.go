package socket

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Dial makes a connection that serves for one exchange. It does what [net.Dialer] would, without what a connection is
// prepared with that is to be used for long: options, and names of both ends. Fleets are checked like that.
func Dial(ctx context.Context, to netip.AddrPort) (Brief, error) {
	family, address := name(to)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := syscall.Connect(fd, address); err != nil && err != syscall.EINPROGRESS {
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	f := os.NewFile(uintptr(fd), "")
	if err := await(ctx, f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// await waits until f is connected.
func await(ctx context.Context, f *os.File) error {
	defer context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) })()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Write(func(fd uintptr) (done bool) {
		// Asked before any wait too: the poller forgets the news that came before this call.
		done, failed = connected(int(fd))
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
