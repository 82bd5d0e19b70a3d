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
	if cores.working != 0 {
		t.Errorf("%d work still", cores.working)
	}
}

// oneCore has batches work on one core for the test: the other of two is left to a
// single request.
func oneCore(t *testing.T, c *Cores) (over func()) {
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	return c.Single()
}

// TestCoresInTurn: a worker without a place is asleep until it has one, and one loop
// is ended before the next is begun. Were workers to take places from each other
// between calls, all of them would be ready to run all the time.
func TestCoresInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := new(Cores)
		over := oneCore(t, cores)
		defer over()
		var calls []int // by one worker at a time
		var loops sync.WaitGroup
		for loop := range 3 {
			loops.Go(func() {
				err := cores.Each(5*piece, func(i int) error {
					time.Sleep(100 * time.Microsecond)
					calls = append(calls, loop*1000+i/piece)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Microsecond) // so that they are in line in this order
		}
		time.Sleep(3 * time.Millisecond)
		commit := cores.Commit() // in the middle of a piece
		time.Sleep(time.Millisecond)
		commit()
		loops.Wait()
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
		cores := new(Cores)
		over := oneCore(t, cores)
		defer over()
		calls := 0
		var long sync.WaitGroup
		long.Go(func() {
			err := cores.Each(10, func(int) error {
				time.Sleep(hold * 2 / 5)
				calls++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Microsecond)
		before := 0
		if err := cores.Each(1, func(int) error { before = calls; return nil }); err != nil {
			t.Error(err)
		}
		if before != 3 {
			t.Errorf("after %d calls of a long loop another had its turn, want 3", before)
		}
		long.Wait()
	})
}

// TestCoresHoldBesideCommits: commits that take the place from a long loop now and then
// do not make it go on for longer.
func TestCoresHoldBesideCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := new(Cores)
		over := oneCore(t, cores)
		defer over()
		calls := 0
		var long sync.WaitGroup
		long.Go(func() {
			err := cores.Each(25, func(int) error {
				time.Sleep(hold / 10)
				calls++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		long.Go(func() {
			for range 10 {
				time.Sleep(hold * 2 / 5)
				commit := cores.Commit()
				time.Sleep(hold / 10)
				commit()
			}
		})
		time.Sleep(time.Microsecond)
		before := 0
		if err := cores.Each(1, func(int) error { before = calls; return nil }); err != nil {
			t.Error(err)
		}
		if before > 11 {
			t.Errorf("after %d calls of a long loop another had its turn, want 11 at most", before)
		}
		long.Wait()
	})
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
		before := runtime.GOMAXPROCS(2)
		defer runtime.GOMAXPROCS(before)
		cores := new(Cores)
		var loop sync.WaitGroup
		loop.Go(func() {
			err := cores.Each(20*piece, func(int) error {
				time.Sleep(time.Millisecond)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
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
		loop.Wait()
	})
}
