//go:build unix && !linux

package demo

import (
	"os"
	"syscall"
)

// ownGroup keeps a process away from the terminal's signals.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks a process to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
