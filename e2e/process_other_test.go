//go:build !linux

package e2e_test

import "syscall"

// dieWithParent is for Linux only: elsewhere a process stays behind when the
// tests end without tidying up.
func dieWithParent() *syscall.SysProcAttr { return nil }
