package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run("what_listens_at_"+host, func(t *testing.T) {
			ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Fatal(err)
			}
			to := ln.Addr().(*net.TCPAddr).AddrPort()
			if err := Reach(t.Context(), to); err != nil {
				t.Errorf("got %v", err)
			}
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("the other end read %d bytes, %v; want the end", n, err)
			}
			_ = c.Close()
			_ = ln.Close()
			if err := Reach(t.Context(), to); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v, want that it is refused", err)
			}
		})
	}
	t.Run("what_does_not_accept_takes_no_longer_than_it_may", func(t *testing.T) {
		full, to := fullListener(t)
		defer full()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := Reach(ctx, to); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
	t.Run("an_address_that_is_none", func(t *testing.T) {
		if err := Reach(t.Context(), netip.MustParseAddrPort("255.255.255.255:1")); err == nil {
			t.Error("it was reached")
		}
	})
}

// fullListener listens, and has no room for one more connection.
func fullListener(t *testing.T) (end func(), to netip.AddrPort) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
	var held []net.Conn
	for { // until the queue is full
		c, err := net.DialTimeout("tcp", to.String(), 100*time.Millisecond)
		if err != nil {
			break
		}
		held = append(held, c)
	}
	return func() {
		for _, c := range held {
			_ = c.Close()
		}
		_ = syscall.Close(fd)
	}, to
}
