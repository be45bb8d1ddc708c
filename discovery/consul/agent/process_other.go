//go:build !linux

package agent

import "syscall"

const (
	pause  = syscall.Signal(0x11) // SIGSTOP of the BSDs
	resume = syscall.Signal(0x13) // SIGCONT
)

func dieWithParent() *syscall.SysProcAttr { return nil }
