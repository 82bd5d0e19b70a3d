package parallel

import (
	"runtime"
	"sync"
	"time"
)

// Cores shares the cores of a process between single requests and the work of
// batches. While single requests are under way, batches leave one core to them: a
// core that has nothing to do looks at the network at once, busy ones do so every
// 10 ms. Of one core batches take what the scheduler leaves. The zero Cores is
// ready; its methods are safe for concurrent use.
type Cores struct {
	mu      sync.Mutex
	free    sync.Cond // L is mu; signalled where a worker of a batch rests
	working int       // workers of batches; guarded by mu, as are the next
	singles int       // requests under way
	commits int       // of what batches have
	last    time.Time // when the last one ended
}

// lately is how long after a single request more are expected.
const lately = 50 * time.Millisecond

// Single says that a single request is under way; over is called when it has ended.
func (c *Cores) Single() (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.singles++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.singles--
		c.last = time.Now()
	})
}

// Each does the work of a batch as the function Each does, on the cores that single
// requests leave.
func (c *Cores) Each(n int, f func(i int) error) error {
	return Each(n, func(i int) error {
		c.begin()
		defer c.end()
		return f(i)
	})
}

// Commit says that what batches have is being stored, which keeps a core as busy as a
// worker does: while single requests are under way there is one worker less. over is
// called when it has ended.
func (c *Cores) Commit() (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.commits--
		if c.free.L != nil {
			c.free.Broadcast()
		}
	})
}

// Shared reports whether single requests are under way, or are expected.
func (c *Cores) Shared() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shared()
}

func (c *Cores) shared() bool { return c.singles > 0 || time.Since(c.last) < lately }

// Busy reports whether a worker of a batch works.
func (c *Cores) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.working > 0
}

// begin waits until one worker more may work.
func (c *Cores) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free.L == nil {
		c.free.L = &c.mu
	}
	for c.working >= c.most() { // somebody works or commits, who wakes one that waits
		c.free.Wait()
	}
	c.working++
}

func (c *Cores) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working--
	if c.free.L != nil {
		c.free.Signal()
	}
}

// most returns how many workers may work now: at least one, or at least one commit is
// under way. It is called with mu held.
func (c *Cores) most() int {
	cores := runtime.GOMAXPROCS(0)
	if c.shared() {
		return max(cores-1-c.commits, min(1, 1-c.commits))
	}
	return cores + 1
}
