// Package parallel runs a loop on all cores.
package parallel

import (
	"fmt"
	"runtime/debug"
)

// Each calls f(i) for each 0 <= i < n, on one goroutine more than there are
// cores, so that one that waits leaves no core idle. After a call returned an
// error no new ones are begun, and Each returns the first. A panic of f is its error:
// what it does is bounded by whoever called Each, and not the whole process.
func Each(n int, f func(i int) error) error { return new(Cores).Each(n, f) }

// call calls f and returns its panic as an error.
func call(f func(int) error, i int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in piece %d of the work: %v\n%s", i, v, debug.Stack())
		}
	}()
	return f(i)
}
