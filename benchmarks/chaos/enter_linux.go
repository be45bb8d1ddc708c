package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// Enter lets the program go on in namespaces of its own, if this machine lets it: of the network, where nothing can be
// disturbed and wires can be cut, and of mounts and processes, so that nothing outlives it. In the process that is in them
// already, or cannot have them, it returns: nil, or why it cannot. Else it does not return.
func Enter() error {
	if os.Getenv(roleVariable) == "ground" {
		_ = os.Unsetenv(roleVariable)
		return makeGround()
	}
	if os.Getuid() != 0 {
		return errors.New("only root can make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("%w: apt-get install iproute2", err)
	}
	runtime.LockOSThread() // what the child dies with is this thread
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), roleVariable+"=ground")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("no network namespace can be made here: %w", err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = cmd.Process.Kill() // and with it all that it started
	}()
	_ = cmd.Wait()
	os.Exit(max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode()))
	return nil
}

// makeGround makes the namespaces that the process was started in usable: a bridge, a loopback, and folders of its own where
// tools look for namespaces and processes.
func makeGround() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	for _, m := range [][2]string{{"tmpfs", "/run/netns"}, {"proc", "/proc"}} {
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m[0], m[1], err)
		}
	}
	return errors.Join(
		ip("link", "set", "lo", "up"),
		ip("link", "add", "br0", "type", "bridge"),
		ip("address", "add", gatewayIP+"/24", "dev", "br0"),
		ip("link", "set", "br0", "up"),
	)
}

// mountSmall makes a folder on a disk of its own, of 64 KiB.
func mountSmall(folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k,mode=0700")
}

func unmount(folder string) { _ = syscall.Unmount(folder, syscall.MNT_DETACH) }
