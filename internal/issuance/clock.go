package issuance

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

const (
	// clockLeeway is how far a clock may be off: more than any that is kept by
	// NTP, less than a validity that somebody would miss.
	clockLeeway = time.Minute
	// clockEvery is how often the clock is looked at while nothing is issued.
	clockEvery = time.Second
	// clockAgain is when a request that a wrong clock refused may come again.
	clockAgain = 30 * time.Second
)

// A guard compares this node's clock with the newest time that any commit recorded,
// and between commits with a clock that nobody sets. While it is wrong nothing is
// issued here; other nodes are not concerned.
type guard struct {
	now     pki.Clock
	elapsed func() time.Duration // nil: jumps between commits are not seen

	mu     sync.Mutex
	right  time.Time     // what the clock said when it was last right; guarded by mu, as is the rest
	at     time.Duration // elapsed then
	stored time.Time     // the newest time of a commit, as far as is known
	never  bool          // it was not right since the start: right is what it said then
}

func newGuard(now pki.Clock, elapsed func() time.Duration, stored time.Time) *guard {
	g := &guard{now: now, elapsed: elapsed, stored: stored}
	g.accept(now())
	g.stored = stored
	g.never = g.behind(g.right)
	return g
}

// accept takes the clock as it is for right.
func (g *guard) accept(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.right, g.stored, g.never = now, now, false
	if g.elapsed != nil {
		g.at = g.elapsed()
	}
}

// learn takes note of the newest time of a commit.
func (g *guard) learn(stored time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stored = stored
}

// behind reports whether a time is that of a clock that is behind what was committed.
func (g *guard) behind(now time.Time) bool { return g.stored.Round(0).Sub(now.Round(0)) > clockLeeway }

// time returns what the clock says while it is right, and is Unavailable while it is
// not.
func (g *guard) time() (time.Time, error) {
	now, _, err := g.look()
	return now, err
}

// best returns what the clock says while it is right, and otherwise what it should
// say: for records of what was signed before, and for registrations, which must go on.
func (g *guard) best() time.Time {
	now, expected, err := g.look()
	if err != nil {
		return expected
	}
	return now
}

// look returns what the clock says, what it should say, and Unavailable where these
// are too far apart.
func (g *guard) look() (now, expected time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now = g.now()
	expected = now
	passed := time.Duration(0)
	if g.elapsed != nil {
		passed = g.elapsed()
		expected = g.right.Add(passed - g.at)
	}
	// Wall times alone: what a reading carries of the machine's own monotonic clock
	// does not jump.
	off := now.Round(0).Sub(expected.Round(0))
	// What was wrong from the start says nothing of what is right.
	if (off.Abs() <= clockLeeway || g.never) && !g.behind(now) {
		g.right, g.at, g.never = now, passed, false
		return now, now, nil
	}
	if g.stored.After(expected) {
		expected = g.stored
	}
	return now, expected, &pki.Error{Kind: pki.Unavailable, RetryAfter: clockAgain, Detail: fmt.Sprintf(
		"this node's clock says %s and should say about %s: it issues nothing until it is set right, or a platform operator accepts it with 'pando clock accept'",
		now.UTC().Format(time.RFC3339), expected.UTC().Format(time.RFC3339))}
}

// steady returns what the clock says, but while it has jumped what it should say. Where it
// was never right, or is behind what was committed, nobody can tell, and it is believed.
func (g *guard) steady() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.elapsed == nil || g.never || g.runs(now) {
		return now
	}
	expected := g.right.Add(g.elapsed() - g.at)
	if now.Round(0).Sub(expected.Round(0)).Abs() > clockLeeway {
		return expected
	}
	return now
}

// runs reports whether by the machine's own monotonic clock, which a reading carries, the
// clock has not jumped since it was right. It costs a tenth of what elapsed does, which is
// only asked where this says no: after a jump, or after the machine slept.
func (g *guard) runs(now time.Time) bool {
	wall, right := now.Round(0), g.right.Round(0)
	return now != wall && g.right != right && (wall.Sub(right)-now.Sub(g.right)).Abs() <= clockLeeway
}

// Steady returns the time for what goes on while this node's clock is wrong: status,
// revocation, the log, what expires. A clock that has jumped does not move it.
func (s *Service) Steady() time.Time { return s.guard.steady() }

// Time returns the time for deciding what to issue; Unavailable while this node's
// clock is wrong.
func (s *Service) Time() (time.Time, error) { return s.guard.time() }

// A Clock is what a node's clock says, and what it should say.
type Clock struct {
	Node     string
	Now      time.Time
	Expected time.Time // equal to Now while it is right
	Stored   time.Time // the newest time of a commit, by any node
	Problem  string    // "" while it is right
}

// Clock compares the clock of this node. It needs access.ManageClock.
func (s *Service) Clock(ctx context.Context, g access.Permit) (*Clock, error) {
	if err := g.Check(access.ManageClock); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	s.guard.learn(stored)
	c := &Clock{Node: s.cfg.Node, Stored: stored}
	now, expected, err := s.guard.look()
	c.Now, c.Expected = now.UTC(), expected.UTC()
	if err != nil {
		c.Problem = pki.DetailOf(err)
	}
	return c, nil
}

// AcceptClock takes the clock of this node, which is wrong by what was known, for
// right from now on, also where it is behind what commits recorded. It needs
// access.ManageClock; Conflict while the clock is right.
func (s *Service) AcceptClock(ctx context.Context, g access.Permit) (*Clock, error) {
	c, err := s.Clock(ctx, g)
	if err != nil {
		return nil, err
	}
	if c.Problem == "" {
		return nil, pki.Errorf(pki.Conflict, "the clock of node %s is right: there is nothing to accept", s.cfg.Node)
	}
	event := pki.Event{Tenant: pki.Platform, At: c.Now, Actor: g.Actor(), Action: "clock.accept", Target: "node:" + s.cfg.Node,
		Detail: fmt.Sprintf("%s is accepted; %s was expected", c.Now.Format(time.RFC3339), c.Expected.Format(time.RFC3339))}
	if err := s.cfg.Store.AcceptClock(ctx, c.Now, event); err != nil {
		return nil, err
	}
	s.guard.accept(c.Now)
	return s.Clock(ctx, g)
}

// watchClock raises and clears the alarm until ctx ends.
func (s *Service) watchClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		s.checkClock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// checkClock is also called by the committer: the error is why nothing new may be
// intended.
func (s *Service) checkClock() error {
	key := alarm.Key{Tenant: pki.Platform, Name: "clock.wrong", Target: "node:" + s.cfg.Node}
	_, err := s.guard.time()
	if err == nil {
		if s.cfg.Alarms.Clear(key) {
			s.cfg.Log.Info("the clock is right again: certificates are issued")
		}
		return nil
	}
	raised := s.cfg.Alarms.Raise(alarm.Alarm{Key: key, Severity: alarm.Critical, What: pki.DetailOf(err),
		Do: "Look at the machine's clock and its time service. Once it is right, issuance goes on by itself. Where the clock is right now and was wrong before: 'pando clock accept'."})
	if raised {
		s.cfg.Log.Error("the clock is wrong: no certificates are issued here", "error", err)
	}
	return err
}
