package batch

import (
	"sync/atomic"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/turns"
)

// batchTurns say which batch goes on next, where there are more than workers.
type batchTurns struct {
	*turns.Turns[*Batch, pki.BatchID, memory]
	waiting atomic.Int64 // how many batches have no worker
}

// A memory is what a process remembers of a batch from one turn to the next.
type memory struct {
	failed atomic.Int64 // chunks that could not be issued since one could
	dryRun dryRun       // its owner is the worker that has the batch
}

// A dryRun is how far a dry run has come.
type dryRun struct {
	from int // the next chunk
	seen enroll.Seen
}

func newTurns(family pki.FamilyOf) *batchTurns {
	return &batchTurns{Turns: turns.New[*Batch, pki.BatchID, memory](family, func(b *Batch) (pki.TenantID, pki.BatchID) { return b.Tenant, b.ID })}
}

func (t *batchTurns) othersWait() bool { return t.waiting.Load() > 0 }

// note counts the chunks of a batch that could not be issued since one could.
func (t *batchTurns) note(id pki.BatchID, err error) {
	if failed := &t.Memory(id).failed; pki.KindOf(err) == pki.Unavailable {
		failed.Add(1)
	} else {
		failed.Store(0)
	}
}

// rest puts a batch off, for longer the more of its chunks failed.
func (t *batchTurns) rest(id pki.BatchID) {
	t.Rest(id, turns.Backoff(retryPause, int(t.Memory(id).failed.Load())/inFlight, maxPause))
}
