package parallel

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// piece is how many indexes a worker takes at a time: enough that taking costs
	// nothing beside work of some microseconds, few enough that workers end together.
	piece = 25

	// yieldEvery is how many calls a worker makes before others that wait for its core
	// have their turn.
	yieldEvery = 4

	// hold is how long a worker goes on where others wait for its place: longer than
	// a chunk of a batch takes, so that one is finished before the next is begun.
	hold = 50 * time.Millisecond

	// lately is how long after a single request more are expected.
	lately = 50 * time.Millisecond
)

// Cores shares the cores of a process between single requests and the work of
// batches. While single requests are under way, batches leave one core to them: a
// core that has nothing to do looks at the network at once, busy ones do so every
// 10 ms. Of one core batches take what the scheduler leaves.
//
// Workers of batches that have no place to work wait in line for one, asleep: the
// scheduler looks at the network only where no goroutine is ready to run, so more of
// them than there are places would keep requests waiting, whatever they left free.
// The zero Cores is ready; its methods are safe for concurrent use.
type Cores struct {
	mu      sync.Mutex
	line    []waiting // for a place; guarded by mu, as are the next
	ahead   bool      // whoever had a place last was urgent
	working int       // workers that have a place
	singles int       // requests under way
	last    time.Time // when the last of them ended
	commits int       // of what batches have
}

// waiting is a worker in line.
type waiting struct {
	place  chan struct{} // closed when it has one
	urgent func() bool   // see Do; nil for never
}

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
		if len(c.line) > 0 && c.singles == 0 { // who works may do so for long yet
			time.AfterFunc(lately, c.recheck)
		}
	})
}

// Each does the work of a batch as the function Each does, on the cores that single
// requests leave. f must not call it: it would hold the place that it waits for.
func (c *Cores) Each(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0)+1, (n+piece-1)/piece) {
		workers.Go(func() {
			from := int(next.Add(piece)) - piece
			if from >= n {
				return // without a wait for a place
			}
			since := c.begin(nil)
			defer c.end()
			for ; from < n && failed.Load() == nil; from = int(next.Add(piece)) - piece {
				for i := from; i < min(from+piece, n); i++ {
					since = c.keep(since)
					if err := call(f, i); err != nil {
						first := err // what is pointed to is allocated, so only here
						failed.CompareAndSwap(nil, &first)
						return
					}
					// Whoever waits for this core has its turn after some work of
					// microseconds, not after the 10 ms that the scheduler would give.
					if i%yieldEvery == 0 {
						runtime.Gosched()
					}
				}
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Do does one piece of work on the cores that single requests leave, as Each does. While
// urgent says that somebody waits for it, it comes before what is in line, though not twice
// in a row. urgent must not call c.
func (c *Cores) Do(urgent func() bool, f func() error) error {
	c.begin(urgent)
	defer c.end()
	return call(func(int) error { return f() }, 0)
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
		c.admit(time.Now())
	})
}

// Shared reports whether single requests are under way, or are expected.
func (c *Cores) Shared() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shared(time.Now())
}

func (c *Cores) shared(now time.Time) bool { return c.singles > 0 || now.Sub(c.last) < lately }

// Busy reports whether a worker of a batch works.
func (c *Cores) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.working > 0
}

// begin waits for a place to work and returns since when there is one.
func (c *Cores) begin(urgent func() bool) (since time.Time) {
	c.mu.Lock()
	place := make(chan struct{})
	c.line = append(c.line, waiting{place, urgent})
	c.admit(time.Now())
	c.mu.Unlock()
	<-place // somebody works or commits, who hands one on
	return time.Now()
}

// recheck gives places that have come free by time alone.
func (c *Cores) recheck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admit(time.Now())
}

// keep hands on a place that has been had since then where there are too many by now,
// or it was had for long and others wait, and waits for another. It returns since when
// that one is had, or would be had it not been given up for there being too many.
func (c *Cores) keep(since time.Time) time.Time {
	c.mu.Lock()
	now := time.Now()
	c.admit(now) // there are more places as soon as single requests are over
	had := now.Sub(since)
	tooMany, long := c.working > c.most(now), had >= hold
	if !tooMany && (!long || len(c.line) == 0) {
		c.mu.Unlock()
		return since
	}
	place := make(chan struct{})
	at := 0 // what is begun is ended first
	if long {
		at, had = len(c.line), 0
	}
	c.line = slices.Insert(c.line, at, waiting{place: place})
	c.working--
	c.admit(now)
	c.mu.Unlock()
	<-place
	return time.Now().Add(-had)
}

// end gives a place back.
func (c *Cores) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working--
	c.admit(time.Now())
}

// admit gives places to those in line, as long as there are some. It needs mu.
func (c *Cores) admit(now time.Time) {
	for len(c.line) > 0 && c.working < c.most(now) {
		at := c.next()
		close(c.line[at].place)
		c.line = slices.Delete(c.line, at, at+1)
		c.working++
	}
}

// next returns who in line is to have a place: the first that is urgent and the first that
// is not in turn. It needs mu.
func (c *Cores) next() int {
	for at, w := range c.line {
		if urgent := w.urgent != nil && w.urgent(); urgent != c.ahead {
			c.ahead = urgent
			return at
		}
	}
	return 0 // all are as the one before
}

// most returns how many workers may work now: at least one, or at least one commit is
// under way. It needs mu.
func (c *Cores) most(now time.Time) int {
	cores := runtime.GOMAXPROCS(0)
	if c.shared(now) {
		return max(cores-1-c.commits, min(1, 1-c.commits))
	}
	return cores + 1
}
