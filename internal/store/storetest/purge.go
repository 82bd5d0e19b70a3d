package storetest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// purgeable returns the numbers of the chunks of a batch whose rows can be dropped.
func (f *fixture) purgeable(id pki.BatchID, before time.Time) (numbers []int) {
	f.Helper()
	chunks, err := f.PurgeableRows(f.ctx, before, batch.ChunkID{}, 100)
	f.ok(err)
	for _, p := range chunks {
		f.same([]any{p.Tenant, p.Batch, &p.Chunk}, []any{acme, id, f.chunk(p.Chunk.No)})
		numbers = append(numbers, p.Chunk.No)
	}
	return numbers
}

// purge drops the rows of a chunk where it may, and keeps requests.
func (f *fixture) purge(id pki.BatchID, no int, before time.Time, want int, requests ...[]byte) {
	f.Helper()
	n, err := f.PurgeRows(f.ctx, before, &batch.Purge{Tenant: acme, Batch: id, Chunk: *f.chunk(no), Requests: requests})
	f.ok(err)
	f.same(n, want)
}

// testPurgeable: the chunks whose rows can be dropped come in the order of their names,
// those of all batches and tenants one after the other, from any place on.
func testPurgeable(f *fixture) {
	var all []batch.ChunkID
	for n := range 3 {
		b := f.upload(4, batch.Running)
		if n == 1 { // an intent has two of its chunks
			f.intend(f.chunkIntent(b.ID, 0, 1), f.chunkIntent(b.ID, 2, 7))
		}
		f.ok(f.SetState(f.ctx, acme, b.ID, []batch.State{batch.Running}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
		for no := range 4 {
			if n != 1 || no%2 == 1 {
				all = append(all, batch.ChunkID{Batch: b.ID, No: no})
			}
		}
	}
	slices.SortFunc(all, func(a, b batch.ChunkID) int {
		return cmp.Or(cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.No, b.No))
	})
	f.upload(1, batch.Running)
	for i := 0; i <= len(all); i++ {
		var after batch.ChunkID
		if i > 0 {
			after = all[i-1]
		}
		for _, limit := range []int{1, 3, 100} {
			got, err := f.PurgeableRows(f.ctx, f.now.Add(time.Second), after, limit)
			f.ok(err)
			names := make([]batch.ChunkID, len(got))
			for n, p := range got {
				names[n] = batch.ChunkID{Batch: p.Batch, No: p.Chunk.No}
			}
			f.same(names, all[i:min(i+limit, len(all))])
		}
	}
	got, err := f.PurgeableRows(f.ctx, f.now.Add(time.Second), batch.ChunkID{Batch: all[0].Batch, No: 9}, 1) // there is none of this name
	f.ok(err)
	f.same(got[0].Batch, all[4].Batch)
}

// keeps reports an error unless the requests of a chunk are kept, each of whose rows finds
// them; none is nothing.
func (f *fixture) keeps(id pki.BatchID, no int, requests ...[]byte) {
	f.Helper()
	for row := f.chunk(no).First; row < f.chunk(no).First+chunkSize; row++ {
		first, got, err := f.KeptRequests(f.ctx, acme, id, row)
		if requests == nil {
			f.is(pki.NotFound, err)
			continue
		}
		f.ok(err)
		f.same([]any{first, got}, []any{f.chunk(no).First, requests})
	}
	_, _, err := f.KeptRequests(f.ctx, stranger, id, f.chunk(no).First)
	f.is(pki.NotFound, err)
}

// testBatchPurge: what was uploaded goes a while after the batch has ended, and with it,
// in one transaction, the requests of what has a certificate are kept; what became of it
// stays, and batches that have not ended keep all.
func testBatchPurge(f *fixture) {
	ended, running := f.upload(3, batch.Running), f.upload(1, batch.Running)
	closed, open := f.chunkIntent(ended.ID, 0, 1, 3), f.chunkIntent(ended.ID, 1, 4, 5, 6)
	f.intend(closed, open)
	sign(closed.Items...)
	f.record(closed)
	f.ok(f.SetState(f.ctx, acme, ended.ID, []batch.State{batch.Running}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
	ends := f.ends(ended.ID, 0, 100)
	later := f.now.Add(time.Second)
	long := bytes.Repeat([]byte("a request that is as long as the longest "), 1600) // longer than a delta may be
	requests := [][]byte{[]byte("the request of row 1"), nil, []byte("the request of row 3")}

	f.same(f.purgeable(ended.ID, f.now), []int{}) // it ended now, not before
	f.purge(ended.ID, 0, f.now, 0, requests...)
	f.same(f.purgeable(ended.ID, later), []int{0, 2}) // an intent has the chunk 1
	f.purge(ended.ID, 1, later, 0, requests...)
	f.purge(running.ID, 0, later, 0, requests...)
	f.purge(ended.ID, 9, later, 0, requests...)
	f.keeps(ended.ID, 0)
	f.keeps(ended.ID, 1)

	f.purge(ended.ID, 0, later, 1, requests...)
	f.purge(ended.ID, 0, later, 0, []byte("another"), nil, nil) // who comes second changes nothing
	f.keeps(ended.ID, 0, requests...)
	f.purge(ended.ID, 2, later, 1, requests...) // it has no certificate
	f.keeps(ended.ID, 2)
	f.same(f.purgeable(ended.ID, later), []int{})
	_, err := f.ChunkOf(f.ctx, acme, ended.ID, 1)
	f.is(pki.NotFound, err)
	f.same(f.ends(ended.ID, 0, 100), ends)
	f.same(f.batch(ended.ID).State, batch.Cancelled)
	f.same(len(f.pending(running.ID, 0)), 1)

	sign(open.Items...)
	f.record(open)
	f.purge(ended.ID, 1, later, 1, long, []byte("short"), long[1:])
	f.reopen()
	f.keeps(ended.ID, 0, requests...)
	f.keeps(ended.ID, 1, long, []byte("short"), long[1:])

	kept, err := f.ScanRequests(f.ctx, 0, 1)
	f.ok(err)
	f.same([]any{len(kept), kept[0].Batch, kept[0].Chunk, kept[0].Damaged}, []any{1, ended.ID, 0, false})
	kept, err = f.ScanRequests(f.ctx, kept[0].ID, 10)
	f.ok(err)
	f.same([]any{len(kept), kept[0].Batch, kept[0].Chunk, kept[0].Damaged}, []any{1, ended.ID, 1, false})
}

// testArchivedRequests: the requests that are kept of a chunk go with the last of its
// certificates, and none are kept of one that has no certificate any more.
func testArchivedRequests(f *fixture) {
	end := f.now.Add(time.Hour)
	b := f.upload(2, batch.Running)
	for no := range 2 {
		in := f.chunkIntent(b.ID, no, int64(3*no+1), int64(3*no+2))
		for _, it := range in.Items {
			it.NotAfter, it.Placement = end, pki.Placement{}
		}
		f.intend(in)
		sign(in.Items...)
		f.record(in)
	}
	f.ok(f.SetState(f.ctx, acme, b.ID, []batch.State{batch.Running}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
	f.issue(f.item("last"))
	f.anchorAll()
	f.later(2 * time.Hour)
	requests := [][]byte{[]byte("the request of row 1"), []byte("the request of row 2"), nil}
	f.purge(b.ID, 0, f.now, 1, requests...)

	entries, _ := f.expired(acme, end.Add(time.Microsecond))
	f.same(len(entries), 4)
	a := &retention.Archive{ID: "a1", Tenant: acme, Created: f.now, Before: end.Add(time.Microsecond), FirstRow: entries[0].Row, LastRow: entries[3].Row,
		Manifest: retention.Manifest{Object: "acme/a1", Certificates: 4, FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[3].Leaf.Serial}}
	f.ok(f.PutArchive(f.ctx, a))
	f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.remove(a, entries[:1], 0)
	f.keeps(b.ID, 0, requests...)
	f.remove(a, entries, 0)
	f.keeps(b.ID, 0)
	f.purge(b.ID, 1, f.now, 1, requests...)
	f.keeps(b.ID, 1)
	kept, err := f.ScanRequests(f.ctx, 0, 10)
	f.ok(err)
	f.same(len(kept), 0)
}
