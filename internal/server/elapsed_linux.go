package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed returns the time since the machine was started, sleep with it: Go's own
// monotonic clock stands still while the machine sleeps, and its end would look like
// a jump.
func elapsed() func() time.Duration {
	return func() time.Duration {
		var at unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
			panic("the machine has no CLOCK_BOOTTIME, which every Linux has: " + err.Error())
		}
		return time.Duration(at.Nano())
	}
}
