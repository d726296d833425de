package e2e_test

import "syscall"

// dieWithParent ends a process when the tests end without tidying up, as they
// do when they run into the time limit of "go test".
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
