package issuance

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// While single requests are under way, a commit takes one chunk of a batch at most,
// after two that took none; without them it takes several.
func TestTakeTurns(t *testing.T) {
	s := &Service{guard: newGuard(time.Now, nil, time.Time{}), open: map[pki.IntentID]chan struct{}{}, live: map[pki.TenantID]int{}}
	c := newCommitter(s)
	line := new(Line)
	chunk := func() *group {
		in := s.newIntent(line)
		in.Batch = "batch"
		return &group{line: line, intent: in, intended: make(chan error, 1), recorded: make(chan struct{})}
	}
	for range 20 {
		c.addGroup(chunk())
		c.addRecord(chunk())
	}
	take := func() (single, batch int) {
		records, fresh, singles := c.take()
		return len(singles), len(records) + len(fresh) - min(len(singles), 1) // of the singles there is a group
	}
	leave, ok := s.enter("acme")
	if !ok {
		t.Fatal("no room")
	}
	var got []int
	for range 7 {
		c.addSingle(&single{ctx: t.Context(), line: line, items: []*Item{{Owner: "acme"}}, intended: make(chan error, 1)})
		singles, batches := take()
		if singles != 1 {
			t.Errorf("%d single requests in a commit", singles)
		}
		got = append(got, batches)
	}
	if want := []int{0, 0, 1, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("chunks of a batch by commit: %v, want %v", got, want)
	}
	if _, batches := take(); batches != 1 { // a single request is at its signature
		t.Errorf("%d chunks where no single request waits", batches)
	}
	leave()
	if _, batches := take(); batches != 2*maxGroups {
		t.Errorf("%d chunks without single requests", batches)
	}
}

// Where only chunks of batches wait, a commit waits for several as long as one is being
// worked on, but not for ever, and not while a single request waits.
func TestGatherChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{guard: newGuard(time.Now, nil, time.Time{}), open: map[pki.IntentID]chan struct{}{}, live: map[pki.TenantID]int{}}
		c := newCommitter(s)
		s.commit = c
		line := new(Line)
		chunk := func() {
			in := s.newIntent(line)
			in.Batch = "batch"
			c.addGroup(&group{line: line, intent: in, intended: make(chan error, 1), recorded: make(chan struct{})})
		}
		gathered := func() <-chan struct{} {
			over := make(chan struct{})
			go func() {
				defer close(over)
				c.gather(t.Context())
			}()
			synctest.Wait()
			return over
		}
		waits := func(over <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-over:
				return false
			default:
				return true
			}
		}
		chunk()
		if waits(gathered()) {
			t.Error("it waits while nobody works")
		}
		work := make(chan struct{})
		defer close(work)
		go s.cores.Each(1, func(int) error { <-work; return nil })
		synctest.Wait()
		over := gathered()
		for n := 1; n < together; n++ {
			if !waits(over) {
				t.Errorf("it does not wait with %d chunks", n)
			}
			chunk()
		}
		if waits(over) {
			t.Errorf("it waits with %d chunks", together)
		}
		c.take()
		chunk()
		over = gathered()
		c.addSingle(&single{ctx: t.Context(), line: line, items: []*Item{{Owner: "acme"}}, intended: make(chan error, 1)})
		if waits(over) {
			t.Error("a single request waits for chunks")
		}
		c.take()
		begun := time.Now()
		<-gathered()
		if got := time.Since(begun); got != longestLull {
			t.Errorf("it waits for %s", got)
		}
	})
}

// A storeAt is a store that does nothing but call during while it commits.
type storeAt struct {
	Store
	during func()
}

func (s storeAt) Commit(context.Context, time.Time, []*Intent, []*Intent) error {
	s.during()
	return nil
}

// TestCommitCounts: beside a single request, a commit with something of a batch, its
// intent or its record, counts as one of the batch's workers for as long as it lasts; one
// of single requests does not.
func TestCommitCounts(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // one of which is left to single requests
	for _, test := range []struct {
		name  string
		fresh bool
		batch pki.BatchID
	}{
		{"a chunk's intent", true, "batch"},
		{"a chunk's record", false, "batch"},
		{"a single request's intent", true, ""},
		{"a single request's record", false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Service{guard: newGuard(time.Now, nil, time.Time{}), open: map[pki.IntentID]chan struct{}{}, live: map[pki.TenantID]int{}}
			c := newCommitter(s)
			defer s.cores.Single()()
			in := s.newIntent(new(Line))
			in.Batch = test.batch
			var records, fresh []*group
			if g := []*group{{intent: in}}; test.fresh {
				fresh = g
			} else {
				records = g
			}
			worked := make(chan struct{})
			works := func() bool {
				synctest.Wait()
				select {
				case <-worked:
					return true
				default:
					return false
				}
			}
			s.cfg.Store = storeAt{during: func() {
				go s.cores.Each(1, func(int) error { close(worked); return nil })
				if got, want := works(), test.batch == ""; got != want {
					t.Errorf("%s is stored, and a worker works: %t, want %t", test.name, got, want)
				}
			}}
			if err := c.store(t.Context(), records, fresh); err != nil {
				t.Fatal(err)
			}
			if !works() {
				t.Errorf("%s is stored, and no worker works after it", test.name)
			}
		})
	}
}
