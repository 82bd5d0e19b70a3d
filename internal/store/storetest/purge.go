package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// testBatchPurge: what was uploaded goes a while after the batch has ended; what
// became of it stays, and batches that have not ended keep all.
func testBatchPurge(f *fixture) {
	ended, running := f.upload(2, batch.Running), f.upload(1, batch.Running)
	f.intend(f.chunkIntent(ended.ID, 0, 1))
	f.ok(f.SetState(f.ctx, acme, ended.ID, []batch.State{batch.Running}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
	ends := f.ends(ended.ID, 0, 100)
	purge := func(before time.Time, limit, want int) {
		f.Helper()
		n, err := f.PurgeBatchRows(f.ctx, before, limit)
		f.ok(err)
		f.same(n, want)
	}
	purge(f.now, 10, 0) // it ended now, not before
	purge(f.now.Add(time.Second), 1, 1)
	purge(f.now.Add(time.Second), 10, 1)
	purge(f.now.Add(time.Second), 10, 0)
	_, err := f.ChunkOf(f.ctx, acme, ended.ID, 1)
	f.is(pki.NotFound, err)
	f.same(f.ends(ended.ID, 0, 100), ends)
	f.same(f.batch(ended.ID).State, batch.Cancelled)
	f.same(len(f.pending(running.ID, 0)), 1)
}
