// Package parallel runs a loop on all cores.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// piece is how many indexes a core takes at a time: enough that taking costs
// nothing beside work of some microseconds, few enough that cores end together.
const piece = 25

// Each calls f(i) for each 0 <= i < n, on one goroutine more than there are
// cores, so that one that waits leaves no core idle. After a call returned an
// error no new ones are begun, and Each returns the first.
func Each(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0)+1, (n+piece-1)/piece) {
		wg.Go(func() {
			for failed.Load() == nil {
				end := int(next.Add(piece))
				for i := end - piece; i < min(end, n); i++ {
					if err := f(i); err != nil {
						failed.CompareAndSwap(nil, &err)
						return
					}
					// Whoever waits for a core, a single request beside a batch, has
					// its turn after one piece of work, not after the 10 ms that the
					// scheduler would give this one.
					runtime.Gosched()
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
