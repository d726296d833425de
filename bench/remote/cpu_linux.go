package remote

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what a process has used, in all of its threads; 0 is this one. A
// process has a clock for that, to the nanosecond, of which the kernel's
// headers say how it is numbered.
func cpuTime(pid int) time.Duration {
	const scheduler = 2 // the clock of what the scheduler has counted
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
