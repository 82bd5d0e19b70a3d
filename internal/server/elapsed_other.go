//go:build !linux

package server

import "time"

// elapsed returns the time since now by Go's monotonic clock.
func elapsed() func() time.Duration {
	begun := time.Now()
	return func() time.Duration { return time.Since(begun) }
}
