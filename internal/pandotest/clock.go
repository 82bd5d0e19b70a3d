package pandotest

import (
	"sync"
	"time"
)

// A Clock is set by hand. Its Now is a pki.Clock; it is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that stands at the given time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the time that the clock stands at.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, back for a negative d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Now returns the present to the second, for clocks that must agree with
// certificates made at the real time.
func Now() time.Time { return time.Now().UTC().Truncate(time.Second) }
