package batch

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// turns says which batch goes on next, where there are more than workers: one of
// the tenant that has waited longest, and of its batches the one that has. Its
// methods are safe for concurrent use.
type turns struct {
	mu      sync.Mutex // guards the rest
	now     uint64     // counts the turns that began
	tenants map[pki.TenantID]uint64
	batches map[pki.BatchID]*standing
	waiting int
}

// A standing is what a process remembers of a batch from one turn to the next.
type standing struct {
	last    uint64    // its latest turn
	failed  int       // chunks that could not be issued since one could
	restful time.Time // it does not go on before
	dryRun  *dryRun   // its owner is the worker that has the batch
}

// A dryRun is how far a dry run has come.
type dryRun struct {
	from int // the next chunk
	seen enroll.Seen
}

func newTurns() *turns {
	return &turns{tenants: make(map[pki.TenantID]uint64), batches: make(map[pki.BatchID]*standing)}
}

// order returns the batches that may go on, the next one first, and forgets those
// that are not active any more.
func (t *turns) order(active []*Batch) []*Batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenants, batches := t.tenants, t.batches
	t.tenants, t.batches = make(map[pki.TenantID]uint64), make(map[pki.BatchID]*standing)
	for _, b := range active {
		t.tenants[b.Tenant] = tenants[b.Tenant]
		if t.batches[b.ID] = batches[b.ID]; t.batches[b.ID] == nil {
			t.batches[b.ID] = new(standing)
		}
	}
	now := time.Now()
	ready := slices.DeleteFunc(slices.Clone(active), func(b *Batch) bool { return now.Before(t.batches[b.ID].restful) })
	slices.SortStableFunc(ready, func(x, y *Batch) int {
		return cmp.Or(cmp.Compare(t.tenants[x.Tenant], t.tenants[y.Tenant]), cmp.Compare(t.batches[x.ID].last, t.batches[y.ID].last))
	})
	return ready
}

// of returns what is remembered of a batch. It needs mu.
func (t *turns) of(id pki.BatchID) *standing {
	if t.batches[id] == nil {
		t.batches[id] = new(standing)
	}
	return t.batches[id]
}

// begin notes that a batch has its turn.
func (t *turns) begin(b *Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now++
	t.tenants[b.Tenant], t.of(b.ID).last = t.now, t.now
}

// setWaiting says how many batches have no worker, othersWait whether there are any.
func (t *turns) setWaiting(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = n
}

func (t *turns) othersWait() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting > 0
}

// note counts the chunks of a batch that could not be issued since one could.
func (t *turns) note(id pki.BatchID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.of(id); pki.KindOf(err) == pki.Unavailable {
		b.failed++
	} else {
		b.failed = 0
	}
}

// rest puts a batch off, for longer the more of its chunks failed.
func (t *turns) rest(id pki.BatchID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.of(id)
	b.restful = time.Now().Add(min(retryPause<<min(b.failed/inFlight, 10), maxPause))
}

// dryRun returns how far a batch's dry run has come.
func (t *turns) dryRun(id pki.BatchID) *dryRun {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.of(id)
	if b.dryRun == nil {
		b.dryRun = new(dryRun)
	}
	return b.dryRun
}
