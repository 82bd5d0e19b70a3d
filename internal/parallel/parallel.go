// Package parallel runs a loop on all cores.
package parallel

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// piece is how many indexes a core takes at a time: enough that taking costs
// nothing beside work of some microseconds, few enough that cores end together.
const piece = 25

// yieldEvery is how many calls it makes before others that wait have their turn.
const yieldEvery = 4

// Each calls f(i) for each 0 <= i < n, on one goroutine more than there are
// cores, so that one that waits leaves no core idle. After a call returned an
// error no new ones are begun, and Each returns the first. A panic of f is its error:
// what it does is bounded by whoever called Each, and not the whole process.
func Each(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0)+1, (n+piece-1)/piece) {
		wg.Go(func() {
			for failed.Load() == nil {
				end := int(next.Add(piece))
				for i := end - piece; i < min(end, n); i++ {
					if err := call(f, i); err != nil {
						first := err // what is pointed to is allocated, so only here
						failed.CompareAndSwap(nil, &first)
						return
					}
					// Whoever waits for a core, a single request beside a batch, has
					// its turn after some work of microseconds, not after the 10 ms
					// that the scheduler would give this one.
					if i%yieldEvery == 0 {
						runtime.Gosched()
					}
				}
				if end >= n {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// call calls f and returns its panic as an error.
func call(f func(int) error, i int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in piece %d of the work: %v\n%s", i, v, debug.Stack())
		}
	}()
	return f(i)
}
