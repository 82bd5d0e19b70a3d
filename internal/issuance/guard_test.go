package issuance

import (
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// TestGuard moves the clock and time itself apart.
func TestGuard(t *testing.T) {
	real, offset := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), time.Duration(0)
	begun := real
	g := newGuard(func() time.Time { return real.Add(offset) }, func() time.Duration { return real.Sub(begun) }, real.Add(-time.Hour))
	for i, step := range []struct {
		passes, offset time.Duration // passes: of real time before
		wrong          bool
		best           time.Duration // off real time
	}{
		{0, 0, false, 0},
		{24 * time.Hour, 0, false, 0},                              // an idle day is no jump
		{time.Second, -time.Hour, true, 0},                         // back an hour
		{time.Hour, -time.Hour, true, 0},                           // still, after an hour: it only looks right
		{time.Minute, 0, false, 0},                                 // set right
		{time.Second, 24 * time.Hour, true, 0},                     // on by a day
		{time.Hour, 24 * time.Hour, true, 0},                       // and it stays
		{time.Second, 0, false, 0},                                 // right again
		{time.Second, 59 * time.Second, false, 59 * time.Second},   // what NTP may do
		{time.Second, 118 * time.Second, false, 118 * time.Second}, // twice
		{time.Second, 118*time.Second + 61*time.Second, true, 118 * time.Second},
		{time.Second, 118*time.Second - 61*time.Second, true, 118 * time.Second},
	} {
		real, offset = real.Add(step.passes), step.offset
		now, err := g.time()
		if (err != nil) != step.wrong || err != nil && pki.KindOf(err) != pki.Unavailable || err == nil && !now.Equal(real.Add(offset)) {
			t.Errorf("step %d: %s, %v", i, now, err)
		}
		if got := g.best().Sub(real); got != step.best {
			t.Errorf("step %d: the best time is off by %s, want %s", i, got, step.best)
		}
		if got := g.steady().Sub(real); got != step.best {
			t.Errorf("step %d: the steady time is off by %s, want %s", i, got, step.best)
		}
	}
	offset = -time.Hour
	g.accept(g.now())
	if now, err := g.time(); err != nil || !now.Equal(real.Add(-time.Hour)) {
		t.Errorf("accepted: %s, %v", now, err)
	}
}

// TestGuardOfStore: a clock that is behind what was committed is wrong, also when the
// node has just been started.
func TestGuardOfStore(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	g := newGuard(func() time.Time { return now }, nil, now.Add(61*time.Second))
	if _, err := g.time(); pki.KindOf(err) != pki.Unavailable || err == nil {
		t.Errorf("behind: %v", err)
	}
	if got := g.best(); !got.Equal(now.Add(61 * time.Second)) {
		t.Errorf("the best time is %s", got)
	}
	g.learn(now.Add(59 * time.Second))
	if _, err := g.time(); err != nil {
		t.Error(err)
	}
	g.learn(now.Add(-24 * time.Hour)) // nothing was committed for a day
	if _, err := g.time(); err != nil {
		t.Error(err)
	}
}

// TestGuardStartedWrong: a clock that was behind at the start is right once it is set
// right, and a clock that is told from it is not.
func TestGuardStartedWrong(t *testing.T) {
	real, offset := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), -time.Hour
	begun := real
	g := newGuard(func() time.Time { return real.Add(offset) }, func() time.Duration { return real.Sub(begun) }, real)
	for _, offset = range []time.Duration{-time.Hour, -2 * time.Hour} {
		if _, err := g.time(); err == nil {
			t.Errorf("%s: it is right", offset)
		}
		if got := g.steady(); !got.Equal(real.Add(offset)) {
			t.Errorf("%s: the steady time is %s", offset, got)
		}
	}
	offset, real = 0, real.Add(time.Minute)
	if now, err := g.time(); err != nil || !now.Equal(real) {
		t.Errorf("set right: %s, %v", now, err)
	}
	offset = time.Hour
	if _, err := g.time(); err == nil || !g.steady().Equal(real) {
		t.Errorf("a jump after that: %v", err)
	}
}

// TestGuardRuns: readings that carry the machine's monotonic clock ask for nothing else
// while they agree with it.
func TestGuardRuns(t *testing.T) {
	asked := 0
	g := newGuard(time.Now, func() time.Duration { asked++; return 0 }, time.Time{})
	before := asked
	for range 10 {
		if got := g.steady(); time.Since(got).Abs() > time.Minute {
			t.Errorf("the steady time is %s", got)
		}
	}
	if asked != before {
		t.Errorf("the other clock was asked %d times", asked-before)
	}
	g.right = g.right.Round(0).Add(-time.Hour) // the wall has gone on by an hour, and elapsed has not
	if got := g.steady(); time.Since(got) < 59*time.Minute {
		t.Errorf("after a jump the steady time is %s", got)
	}
}
