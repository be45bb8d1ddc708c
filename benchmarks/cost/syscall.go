//go:build linux

package cost

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// Sockets here never block, so their calls need not tell the scheduler of Go.

func rawRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), err
}

func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	n, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), err
}

// epollPwait2 is the call's number, the same on all architectures (Linux 5.11); its time has nanoseconds.
const epollPwait2 = 441

func epollWait(epoll int, events []syscall.EpollEvent, wait time.Duration) (int, error) {
	ts := syscall.NsecToTimespec(int64(max(wait, 0)))
	n, _, err := syscall.Syscall6(epollPwait2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if err == syscall.EINTR {
		return 0, nil
	}
	if err != 0 {
		return 0, fmt.Errorf("epoll_pwait2 (Linux 5.11): %w", err)
	}
	return int(n), nil
}

// exactTimers makes the thread's timers fire on time; by default they may be 50 us late (PR_SET_TIMERSLACK, prctl(2)).
func exactTimers() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, 29, 1, 0)
}

// connect opens a connection that does not block.
func connect(address string) (int, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())})
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}

// Settle puts this process on a CPU, lets it and what it starts go before others if it may (nice -20), and open as many
// files as it may.
func Settle(cpu int) error {
	var mask [128]byte
	if cpu < 0 || cpu >= 8*len(mask) {
		return fmt.Errorf("CPU %d: want 0..%d", cpu, 8*len(mask)-1)
	}
	mask[cpu/8] = 1 << (cpu % 8)
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(id), uintptr(len(mask)), uintptr(unsafe.Pointer(&mask[0]))); e != 0 && e != syscall.ESRCH {
			return fmt.Errorf("CPU %d: sched_setaffinity: %w", cpu, e)
		}
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, -20)
	}
	_ = os.WriteFile("/proc/self/autogroup", []byte("-20"), 0)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = files.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
}
