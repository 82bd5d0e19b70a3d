package parallel

import (
	"errors"
	"runtime"
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
		if got := cores.most(); got != max(cpus-2, 0) {
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
		if cores.most() != max(cpus-1, 1) {
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
