package storetest

import (
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// refusedBatch makes a batch of two chunks that is done, with rows 2, 3 and 5
// refused.
func (f *fixture) refusedBatch() *batch.Batch {
	f.Helper()
	b := f.upload(2, batch.Running)
	first, second := f.chunkIntent(b.ID, 0, 1), f.chunkIntent(b.ID, 1, 4, 6)
	place := pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}
	first.Refusals = []issuance.Refusal{
		{Row: 2, Device: "meter-2", Placement: place, Kind: pki.BadKey, Reason: "weak"},
		{Row: 3, Device: "meter-3", Placement: place, Kind: pki.Unavailable, Reason: "not signed"},
	}
	second.Refusals = []issuance.Refusal{{Row: 5, Device: "meter-5", Placement: pki.Placement{Lot: "lot-2"}, Kind: pki.Unavailable, Reason: "not signed"}}
	for _, in := range []*issuance.Intent{first, second} {
		f.intend(in)
		sign(in.Items...)
		f.record(in)
	}
	f.ok(f.move(b.ID, batch.Done, batch.Running))
	return f.batch(b.ID)
}

func (f *fixture) newRetry(of *batch.Batch, kinds string) *batch.Batch {
	f.Helper()
	b := f.newBatch()
	b.RetryOf, b.RetryKinds = of.ID, kinds
	b, _, err := f.CreateBatch(f.ctx, b, f.event(acme, "batch.create"))
	f.ok(err)
	f.same([]string{string(b.RetryOf), b.RetryKinds}, []string{string(of.ID), kinds})
	return b
}

func (f *fixture) retryable(id pki.BatchID, after int64, limit int, kinds ...pki.Kind) []batch.Retry {
	f.Helper()
	rows, err := f.Retryable(f.ctx, acme, id, kinds, after, limit)
	f.ok(err)
	return rows
}

// testBatchRetry: a refused row has one retry, and knows where it stood at first.
func testBatchRetry(f *fixture) {
	b := f.refusedBatch()
	two, three, five := batch.Retry{Row: 2, Origin: 2}, batch.Retry{Row: 3, Origin: 3}, batch.Retry{Row: 5, Origin: 5}
	f.same(f.retryable(b.ID, 0, 10), []batch.Retry{two, three, five})
	f.same(f.retryable(b.ID, 2, 1), []batch.Retry{three})
	f.same(f.retryable(b.ID, 0, 10, pki.Unavailable), []batch.Retry{three, five})
	f.same(f.retryable(b.ID, 0, 10, pki.Unavailable, pki.BadKey), []batch.Retry{two, three, five})
	f.same(len(f.retryable(b.ID, 0, 10, pki.DuplicateKey)), 0)
	results, err := f.Results(f.ctx, acme, b.ID, 1, 2)
	f.ok(err)
	f.same(results[0].Refusal.Placement, pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"})
	f.same(results[0].Origin, int64(0))

	// Begun anew and cancelled, a retry gives the rows back.
	again := f.newRetry(b, "unavailable")
	chunk := &batch.Chunk{First: 1, Count: 2, Rows: []byte("rows"), Retries: []batch.Retry{three, five}}
	for _, undo := range []func() error{
		func() error { return f.RestartUpload(f.ctx, acme, again.ID, nil) },
		func() error { return f.move(again.ID, batch.Cancelled, batch.Uploading) },
	} {
		f.ok(f.AddChunks(f.ctx, acme, again.ID, chunk))
		f.same(f.retryable(b.ID, 0, 10), []batch.Retry{two})
		f.ok(undo())
		f.same(f.retryable(b.ID, 0, 10), []batch.Retry{two, three, five})
	}

	// Dropped, it is as if it had never been; what is no retry, or has begun, stays.
	f.ok(f.RestartUpload(f.ctx, acme, again.ID, nil))
	f.ok(f.AddChunks(f.ctx, acme, again.ID, chunk))
	f.ok(f.DropRetry(f.ctx, acme, again.ID, f.event(acme, "batch.drop")))
	f.same(f.retryable(b.ID, 0, 10), []batch.Retry{two, three, five})
	f.is(pki.NotFound, f.DropRetry(f.ctx, acme, again.ID, f.event(acme, "batch.drop")))
	_, err = f.Batch(f.ctx, acme, again.ID)
	f.is(pki.NotFound, err)
	_, err = f.ChunkOf(f.ctx, acme, again.ID, 1)
	f.is(pki.NotFound, err)
	upload, _, err := f.CreateBatch(f.ctx, f.newBatch(), f.event(acme, "batch.create"))
	f.ok(err)
	for _, id := range []pki.BatchID{b.ID, upload.ID} {
		f.is(pki.Conflict, f.DropRetry(f.ctx, acme, id, f.event(acme, "batch.drop")))
	}
	f.same(f.actions(acme)[:2], []string{"batch.create", "batch.drop"})

	// Two retries do not get one row; the one that is too late stores nothing.
	again, other := f.newRetry(b, ""), f.newRetry(b, "")
	f.ok(f.AddChunks(f.ctx, acme, again.ID, chunk))
	f.is(pki.Conflict, f.AddChunks(f.ctx, acme, other.ID, &batch.Chunk{First: 1, Count: 2, Rows: []byte("rows"), Retries: []batch.Retry{two, five}}))
	f.same(f.retryable(b.ID, 0, 10), []batch.Retry{two})
	f.ok(f.EndUpload(f.ctx, acme, again.ID, 2, batch.Every{}, hash("rows"), batch.Running, f.now, f.event(acme, "batch.retry")))

	// Results of a retry, and of a retry of it, name the rows of the first file.
	in := f.chunkIntent(again.ID, 0, 1)
	in.Items[0].Device = "meter-3"
	in.Refusals = []issuance.Refusal{{Row: 2, Device: "meter-5", Kind: pki.Unavailable, Reason: "not signed"}}
	f.intend(in)
	sign(in.Items...)
	f.record(in)
	f.ok(f.move(again.ID, batch.Done, batch.Running))
	results, err = f.Results(f.ctx, acme, again.ID, 0, 10)
	f.ok(err)
	f.same([]int64{results[0].Row, results[0].Origin, results[1].Row, results[1].Origin}, []int64{1, 3, 2, 5})
	f.same(f.retryable(again.ID, 0, 10), []batch.Retry{{Row: 2, Origin: 5}})
	f.strangerBatch(again.ID)
}
