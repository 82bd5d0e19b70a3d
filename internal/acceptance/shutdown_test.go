//go:build system

package acceptance

import (
	"testing"
	"time"
)

// TestShutdown asks the server to end in the midst of a load, again and again. It
// must end in exit status 0 each time, with all that it answered in the store and
// nothing begun left open, and the load goes on after each restart.
func TestShutdown(t *testing.T) {
	stops, rows := 4, 10_000
	if testing.Short() {
		stops, rows = 2, 2000
	}
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	l := startLoad(t, h, rows)
	var longest time.Duration
	for range stops {
		time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(time.Second))))
		began := time.Now()
		h.stop(t)
		longest = max(longest, time.Since(began))
		h.check(t, l.acks.path)
		h.begin(t)
		h.ready(t)
	}
	after := l.end(t, h, before)
	if after.Voids != before.Voids {
		t.Errorf("orderly ends gave up %d serial numbers", after.Voids-before.Voids)
	}
	t.Logf("%d orderly ends, of %v at most; %d batches of %d rows and %d single certificates", stops, longest, l.batches, l.rows, len(l.singles))
}
