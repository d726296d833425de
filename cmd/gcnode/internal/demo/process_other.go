//go:build !unix

package demo

import (
	"os"
	"syscall"
)

// ownGroup has nothing to offer here.
func ownGroup() *syscall.SysProcAttr { return nil }

// terminate ends a process: there is no way to ask.
func terminate(p *os.Process) error { return p.Kill() }
