package parallel

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCores: batches leave a core while single requests are under way, and for a
// moment after, and have all of them again then.
func TestCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := new(Cores)
		cpus := runtime.GOMAXPROCS(0)
		highest := func() int {
			var working, most atomic.Int32
			err := cores.Each(40*piece, func(int) error {
				n := working.Add(1)
				for high := most.Load(); n > high && !most.CompareAndSwap(high, n); high = most.Load() {
				}
				time.Sleep(time.Millisecond)
				working.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return int(most.Load())
		}
		if got := highest(); got != cpus+1 {
			t.Errorf("alone %d workers, want %d", got, cpus+1)
		}
		commit := cores.Commit()
		if got := highest(); got != cpus+1 {
			t.Errorf("beside a commit %d workers, want %d", got, cpus+1)
		}
		over := cores.Single()
		if got := cores.most(time.Now()); got != max(cpus-2, 0) {
			t.Errorf("beside a commit and a single request %d workers, want %d", got, max(cpus-2, 0))
		}
		worked := false
		go func() {
			if err := cores.Each(1, func(int) error { worked = true; return nil }); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if worked != (cpus > 2) {
			t.Error("a worker works while all cores but one commit")
		}
		commit()
		commit()
		synctest.Wait()
		if !worked {
			t.Error("a worker rests after the commit")
		}
		if got := highest(); got != max(cpus-1, 1) {
			t.Errorf("beside a single request %d workers, want %d", got, max(cpus-1, 1))
		}
		over()
		over()
		if cores.most(time.Now()) != max(cpus-1, 1) {
			t.Error("just after a single request batches take all cores")
		}
		time.Sleep(lately)
		if got := highest(); got != cpus+1 {
			t.Errorf("alone again %d workers, want %d", got, cpus+1)
		}
	})
}

// TestCoresAfterErrors: a worker that fails or panics gives its core back.
func TestCoresAfterErrors(t *testing.T) {
	cores := new(Cores)
	failed := errors.New("failed")
	if err := cores.Each(10, func(int) error { return failed }); err != failed {
		t.Error(err)
	}
	never := func() bool { return false }
	if err := cores.Do(never, func() error { return failed }); err != failed {
		t.Error(err)
	}
	if err := cores.Do(never, func() error { panic("seven") }); err == nil {
		t.Error("a panic is no error")
	}
	if cores.working != 0 {
		t.Errorf("%d work still", cores.working)
	}
}

// cpus has a process have so many cores for the test.
func cpus(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// oneCore has batches work on one core for the test: the other of two is left to a
// single request.
func oneCore(t *testing.T, c *Cores) (over func()) {
	t.Helper()
	cpus(t, 2)
	return c.Single()
}

// A load is the loops of a test, each of which is in line before the next is begun.
type load struct {
	t     *testing.T
	cores *Cores
	loops sync.WaitGroup
}

// loop does n calls of f, beside the test.
func (l *load) loop(n int, f func(i int)) {
	l.loops.Go(func() {
		if err := l.cores.Each(n, func(i int) error { f(i); return nil }); err != nil {
			l.t.Error(err)
		}
	})
	time.Sleep(time.Microsecond)
}

// long does calls that take so long each; counted is of those that have ended.
func (l *load) long(n int, each time.Duration) (counted *atomic.Int32) {
	counted = new(atomic.Int32)
	l.loop(n, func(int) {
		time.Sleep(each)
		counted.Add(1)
	})
	return counted
}

// turn waits for a turn behind what is in line.
func (l *load) turn() {
	l.t.Helper()
	if err := l.cores.Each(1, func(int) error { return nil }); err != nil {
		l.t.Error(err)
	}
}

// TestCoresInTurn: a worker without a place is asleep until it has one, and one loop
// is ended before the next is begun. Were workers to take places from each other
// between calls, all of them would be ready to run all the time.
func TestCoresInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, cores: new(Cores)}
		over := oneCore(t, l.cores)
		defer over()
		var calls []int // by one worker at a time
		for loop := range 3 {
			l.loop(5*piece, func(i int) {
				time.Sleep(100 * time.Microsecond)
				calls = append(calls, loop*1000+i/piece)
			})
		}
		time.Sleep(3 * time.Millisecond)
		commit := l.cores.Commit() // in the middle of a piece
		time.Sleep(time.Millisecond)
		commit()
		l.loops.Wait()
		var pieces []int
		for i := 0; i < len(calls); i += piece {
			if slices.ContainsFunc(calls[i:i+piece], func(c int) bool { return c != calls[i] }) {
				t.Fatalf("calls of different pieces in turn: %v", calls[i:i+piece])
			}
			pieces = append(pieces, calls[i])
		}
		if len(pieces) != 15 || !slices.IsSortedFunc(pieces, func(a, b int) int { return a/1000 - b/1000 }) {
			t.Errorf("a loop is begun before the one before it has ended: %v", pieces)
		}
	})
}

// TestCoresHold: a long loop lets others that have waited for long go on.
func TestCoresHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, cores: new(Cores)}
		over := oneCore(t, l.cores)
		defer over()
		calls := l.long(10, hold*2/5)
		l.turn()
		if n := calls.Load(); n != 3 {
			t.Errorf("after %d calls of a long loop another had its turn, want 3", n)
		}
		l.loops.Wait()
	})
}

// TestCoresHoldBesideCommits: commits that take the place from a long loop now and then
// do not make it go on for longer.
func TestCoresHoldBesideCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, cores: new(Cores)}
		over := oneCore(t, l.cores)
		defer over()
		calls := l.long(25, hold/10)
		l.loops.Go(func() {
			for range 10 {
				time.Sleep(hold * 2 / 5)
				commit := l.cores.Commit()
				time.Sleep(hold / 10)
				commit()
			}
		})
		l.turn()
		if n := calls.Load(); n > 11 {
			t.Errorf("after %d calls of a long loop another had its turn, want 11 at most", n)
		}
		l.loops.Wait()
	})
}

// TestCoresUrgent: what somebody waits for comes before the loops in line, also where that
// begins while it is in line itself; what nobody waits for does not. However much of it
// there is, loops go on beside it, and single requests keep their core.
func TestCoresUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, cores: new(Cores)}
		over := oneCore(t, l.cores)
		defer over()
		var waited atomic.Bool // whether somebody waits for what the tests do
		var order []string     // by one worker at a time
		do := func(what string, urgent func() bool) {
			l.loops.Go(func() {
				err := l.cores.Do(urgent, func() error {
					time.Sleep(10 * hold)
					order = append(order, what)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Microsecond)
		}
		loop := func(what string) {
			l.loop(1, func(int) {
				time.Sleep(hold / 2)
				order = append(order, what)
			})
		}
		loop("1")
		do("later", waited.Load)
		for _, what := range []string{"2", "3", "4"} {
			loop(what)
		}
		do("never", func() bool { return false })
		for range 2 {
			do("urgent", func() bool { return true })
		}
		loop("5")
		time.Sleep(hold) // within the first that is urgent
		waited.Store(true)
		l.loops.Wait()
		if want := []string{"1", "urgent", "2", "later", "3", "urgent", "4", "never", "5"}; !slices.Equal(order, want) {
			t.Errorf("the order is %v, want %v", order, want)
		}

		// Somebody always waits.
		begun := time.Now()
		var ended atomic.Bool
		for range 4 {
			l.loops.Go(func() {
				for n := 0; n < 100 && !ended.Load(); n++ { // for ever, were it in the way of loops
					err := l.cores.Do(func() bool { return true }, func() error { time.Sleep(10 * hold); return nil })
					if err != nil {
						t.Error(err)
					}
					l.cores.mu.Lock()
					if l.cores.working > 1 {
						t.Errorf("%d work beside a single request", l.cores.working)
					}
					l.cores.mu.Unlock()
				}
			})
		}
		time.Sleep(time.Microsecond)
		for range 10 {
			l.turn()
		}
		ended.Store(true)
		l.loops.Wait()
		if got, most := time.Since(begun), (10+1+4)*10*hold; got > most { // one more may be before the first, and all are ended
			t.Errorf("ten short loops and what somebody waits for beside them took %s, want %s at most", got, most)
		}
	})
}

// TestCoresCount: with any number of cores, workers and commits of batches together keep
// all but one of them busy beside single requests, at least one, from the call on that
// follows; a commit counts as one worker, and as none when it has ended, however often
// that is said.
func TestCoresCount(t *testing.T) {
	for n := 1; n <= 8; n++ {
		synctest.Test(t, func(t *testing.T) {
			cpus(t, n)
			l := &load{t: t, cores: new(Cores)}
			defer l.cores.Single()()
			var working atomic.Int32
			var stop atomic.Bool
			for range 3 {
				l.loop(1<<12, func(int) {
					working.Add(1)
					if !stop.Load() {
						time.Sleep(time.Millisecond)
					}
					working.Add(-1)
				})
			}
			want := func(commits int) {
				t.Helper()
				time.Sleep(10037 * time.Microsecond) // never when calls begin or end
				if got, want := int(working.Load()), max(0, max(n-1, 1)-commits); got != want {
					t.Errorf("%d cores, %d commits: %d workers, want %d", n, commits, got, want)
				}
			}
			var commits []func()
			for want(0); len(commits) < n+2; want(len(commits)) {
				commits = append(commits, l.cores.Commit())
			}
			for len(commits) > 0 {
				for range 2 {
					commits[0]()
				}
				commits = commits[1:]
				want(len(commits))
			}
			stop.Store(true)
			l.loops.Wait()
		})
	}
}

// TestCoresAfterSingles: workers have the cores again when no single request is
// expected any more, though nothing that works or commits ends.
func TestCoresAfterSingles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := new(Cores)
		over := oneCore(t, cores)
		release := make(chan struct{})
		var loops sync.WaitGroup
		for range 2 {
			loops.Go(func() {
				if err := cores.Each(1, func(int) error { <-release; return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		over()
		time.Sleep(lately + time.Millisecond)
		synctest.Wait()
		if cores.working != 2 {
			t.Errorf("%d work, want 2", cores.working)
		}
		close(release)
		loops.Wait()
	})
}

// TestCoresMeanwhile: a loop has fewer workers from the call on that follows a single
// request, and all of them again when no more is expected.
func TestCoresMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpus(t, 2)
		cores := new(Cores)
		l := &load{t: t, cores: cores}
		l.loop(20*piece, func(int) { time.Sleep(time.Millisecond) })
		want := func(when string, n int) {
			t.Helper()
			time.Sleep(10 * time.Millisecond)
			cores.mu.Lock()
			defer cores.mu.Unlock()
			if cores.working != n {
				t.Errorf("%s: %d workers, want %d", when, cores.working, n)
			}
		}
		want("alone", 3)
		over := cores.Single()
		want("beside a single request", 1)
		commit := cores.Commit()
		want("beside a commit, too", 0)
		commit()
		want("after the commit", 1)
		over()
		want("just after the single request", 1)
		time.Sleep(lately)
		want("alone again", 3)
		l.loops.Wait()
	})
}
