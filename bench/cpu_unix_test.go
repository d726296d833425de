//go:build unix

package bench_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used, in all of its threads: some caches do
// part of their work beside their callers.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
