package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/stat"
)

// A keyCupboard holds the times of idempotency keys.
type keyCupboard struct {
	mu      sync.Mutex // guards all of it
	claimed []time.Time
	calls   int
	err     error // of the next call
}

// Purge is a purger.
func (c *keyCupboard) Purge(_ context.Context, before time.Time, limit int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if err := c.err; err != nil {
		c.err = nil
		return 0, err
	}
	var kept []time.Time
	purged := 0
	for _, at := range c.claimed {
		if at.Before(before) && purged < limit {
			purged++
			continue
		}
		kept = append(kept, at)
	}
	c.claimed = kept
	return purged, nil
}

func (c *keyCupboard) add(n int, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.claimed = append(c.claimed, at)
	}
}

func (c *keyCupboard) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func TestHousekeeping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		const life = 30 * 24 * time.Hour
		start := time.Now()
		keys, rows := &keyCupboard{}, &keyCupboard{}
		keys.add(2*purgeSlice+7, start.Add(-life-time.Second))
		keys.add(3, start.Add(-life+90*time.Minute)) // old enough in the second hour
		keys.add(5, start)
		rows.add(2, start.Add(-time.Hour))

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		h := &housekeeper{shelves: []shelf{
			{"keys", keys.Purge, life, purgeSlice, new(stat.Purges)}, {"rows", rows.Purge, 90 * time.Minute, purgeChunks, new(stat.Purges)},
		}, now: time.Now, log: slog.New(slog.NewTextHandler(&said, nil))}
		go func() { ended <- h.run(ctx) }()

		type round struct{ Left, Calls int }
		var rounds []round
		look := func() {
			synctest.Wait()
			keys.mu.Lock()
			defer keys.mu.Unlock()
			rounds = append(rounds, round{len(keys.claimed), keys.calls})
		}
		look()
		time.Sleep(housekeepingEvery)
		look()
		keys.fail(errors.New("the disk is full"))
		time.Sleep(housekeepingEvery)
		look()
		time.Sleep(housekeepingEvery)
		look()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}

		want := []round{
			{8, 3}, // at the start, in slices until none is left
			{8, 4},
			{8, 5}, // an error does not end it
			{5, 6},
		}
		if diff := cmp.Diff(want, rounds); diff != "" {
			t.Errorf("rounds (-want +got):\n%s", diff)
		}
		for i, want := range [][2]uint64{{2010, 1}, {2, 0}} {
			if got := h.shelves[i].count; got.Removed.Value() != want[0] || got.Failures.Value() != want[1] {
				t.Errorf("%s: %d counted, %d failures, want %d", h.shelves[i].what, got.Removed.Value(), got.Failures.Value(), want)
			}
		}
		for _, line := range []string{`what=keys count=2007`, `what=keys count=3`, `what=rows count=2`, `level=ERROR`, `the disk is full`} {
			if strings.Count(said.String(), line) != 1 {
				t.Errorf("not logged once: %s\n%s", line, said.String())
			}
		}
	})
}

// TestHousekeepingCounted: what a server removes of each kind is counted by itself.
func TestHousekeepingCounted(t *testing.T) {
	s := &Server{purged: newPurged()}
	counts := map[*stat.Purges]bool{}
	for _, shelf := range s.housekeeper().shelves {
		if shelf.count == nil || counts[shelf.count] {
			t.Errorf("%s has no count of its own", shelf.what)
		}
		counts[shelf.count] = true
	}
	if len(counts) != len(s.purged) {
		t.Errorf("%d counts, %d are shown", len(counts), len(s.purged))
	}
}

// TestHousekeepingEnds sees that the end of the server is no error in the log.
func TestHousekeepingEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var said strings.Builder
	h := &housekeeper{shelves: []shelf{{"keys", (&keyCupboard{err: ctx.Err()}).Purge, time.Hour, purgeSlice, new(stat.Purges)}}, now: time.Now, log: slog.New(slog.NewTextHandler(&said, nil))}
	if err := h.run(ctx); err != nil || said.Len() > 0 {
		t.Errorf("%v, and it logged %q", err, said.String())
	}
}
