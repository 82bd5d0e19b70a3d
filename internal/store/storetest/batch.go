package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

const chunkSize = 3

// upload makes a batch of full chunks and ends its upload.
func (f *fixture) upload(chunks int, next batch.State) *batch.Batch {
	f.Helper()
	b, existed, err := f.CreateBatch(f.ctx, f.newBatch(), f.event(acme, "batch.create"))
	f.ok(err)
	f.same(existed, false)
	for no := range chunks {
		f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(no)))
	}
	f.ok(f.EndUpload(f.ctx, acme, b.ID, int64(chunks*chunkSize), batch.Every{}, hash("file"), next, f.now, f.event(acme, "batch.upload")))
	return f.batch(b.ID)
}

func (f *fixture) newBatch() *batch.Batch {
	f.later(time.Millisecond) // so that ids are in order
	return &batch.Batch{ID: pki.BatchID(pki.NewID(f.now)), Tenant: acme, Endpoint: "line-1", Profile: f.profile, Authority: f.authority.ID,
		Defaults: pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}, State: batch.Uploading, By: "token:0abc", Created: f.now,
		Scopes: []access.Scope{{ProductLine: "a,b+c"}, {Authority: "issuing", Site: "north"}}}
}

func (f *fixture) chunk(no int) *batch.Chunk {
	return &batch.Chunk{No: no, First: int64(no*chunkSize) + 1, Count: chunkSize, Rows: fmt.Append(nil, "rows of chunk ", no)}
}

func (f *fixture) batch(id pki.BatchID) *batch.Batch {
	f.Helper()
	b, err := f.Batch(f.ctx, acme, id)
	f.ok(err)
	return b
}

// chunkIntent returns an intent for the given rows of a chunk.
func (f *fixture) chunkIntent(id pki.BatchID, chunk int, rows ...int64) *issuance.Intent {
	in := f.intent()
	in.Batch, in.Chunk = id, chunk
	for _, row := range rows {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", row)))
		it.Row = row
		in.Items = append(in.Items, it)
	}
	return in
}

// ends returns the results after a row as text.
func (f *fixture) ends(id pki.BatchID, after int64, limit int) []string {
	f.Helper()
	results, err := f.Results(f.ctx, acme, id, after, limit)
	f.ok(err)
	var all []string
	for _, r := range results {
		switch {
		case r.Certificate != nil && r.Device != "":
			all = append(all, fmt.Sprintf("%d issued", r.Row))
		case r.Refusal != nil && r.Refusal.Row == r.Row && r.Refusal.Device == r.Device:
			all = append(all, fmt.Sprintf("%d %s", r.Row, r.Refusal.Kind))
		case r.Archive != "" && r.Certificate == nil && r.Device == "":
			all = append(all, fmt.Sprintf("%d archived in %s", r.Row, r.Archive))
		case r.Cancelled && r.Device == "":
			all = append(all, fmt.Sprintf("%d cancelled", r.Row))
		default:
			all = append(all, fmt.Sprintf("%d unclear: %+v", r.Row, r))
		}
	}
	return all
}

// issued returns what the results say of a certificate.
func issued(c *pki.Certificate) *batch.Issued {
	return &batch.Issued{Issuer: c.Issuer, Serial: c.Serial, DER: c.DER}
}

// counts reports an error unless a batch's counts are as given.
func (f *fixture) counts(id pki.BatchID, checked, issued, refused, cancelled int64) {
	f.Helper()
	b := f.batch(id)
	f.same([]int64{b.Checked, b.Issued, b.Refused, b.Cancelled}, []int64{checked, issued, refused, cancelled})
}

func (f *fixture) pending(id pki.BatchID, from int) []int {
	f.Helper()
	chunks, err := f.PendingChunks(f.ctx, acme, id, from, 100)
	f.ok(err)
	var numbers []int
	for _, c := range chunks {
		f.same(c, f.chunk(c.No))
		numbers = append(numbers, c.No)
	}
	return numbers
}

func (f *fixture) move(id pki.BatchID, to batch.State, from ...batch.State) error {
	return f.SetState(f.ctx, acme, id, from, to, f.now, f.event(acme, "batch."+string(to)))
}

func testBatch(f *fixture) {
	b := f.upload(3, batch.Running)
	f.same(f.pending(b.ID, 0), []int{0, 1, 2})
	f.same(f.pending(b.ID, 1), []int{1, 2})
	first, second := f.chunkIntent(b.ID, 0, 1, 3), f.chunkIntent(b.ID, 1, 4, 5, 6)
	first.Refusals = []issuance.Refusal{{Row: 2, Device: "meter-2", Kind: pki.BadKey, Reason: "the key is weak"}}
	f.intend(second)
	f.intend(first)
	f.same(f.pending(b.ID, 0), []int{2})
	f.same(len(f.ends(b.ID, 0, 100)), 0)
	f.counts(b.ID, 0, 0, 0, 0)

	sign(second.Items...)
	f.record(second)
	f.same(f.ends(b.ID, 0, 100), []string{"4 issued", "5 issued", "6 issued"})
	sign(first.Items...)
	f.record(first)
	all := []string{"1 issued", "2 bad-key", "3 issued", "4 issued", "5 issued", "6 issued"}
	f.same(f.ends(b.ID, 0, 100), all)
	for after := range all {
		f.same(f.ends(b.ID, int64(after), 2), all[after:min(after+2, len(all))])
	}
	f.counts(b.ID, 0, 5, 1, 0)
	results, err := f.Results(f.ctx, acme, b.ID, 1, 2)
	f.ok(err)
	f.same(results[0], batch.Result{Row: 2, Device: "meter-2", Refusal: &first.Refusals[0]})
	f.same(results[1], batch.Result{Row: 3, Device: "meter-3", Certificate: issued(f.certificate(first, 1))})

	f.is(pki.NotReady, f.move(b.ID, batch.Done, batch.Running))
	why := f.event(acme, "batch.pause")
	why.Target, why.Detail = "batch:"+string(b.ID), "the authority is retired"
	f.ok(f.SetState(f.ctx, acme, b.ID, []batch.State{batch.Running}, batch.Paused, f.now, why))
	f.same([]string{f.batch(b.ID).StoppedBy, f.batch(b.ID).Why}, []string{why.Actor, why.Detail})
	third := f.chunkIntent(b.ID, 2, 7, 8, 9)
	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{third}))
	f.is(pki.Conflict, third.Err)
	f.isOpen(third, false)
	f.later(time.Hour)
	f.ok(f.move(b.ID, batch.Running, batch.Paused))
	f.intend(third)
	sign(third.Items...)
	f.record(third)
	f.ok(f.move(b.ID, batch.Done, batch.Running))
	f.is(pki.Conflict, f.move(b.ID, batch.Running, batch.Paused))

	got := f.batch(b.ID)
	want := *b
	want.State, want.Issued, want.Refused, want.Finished = batch.Done, 8, 1, f.now
	f.same(got, &want)
	f.same(got.Started.Equal(b.Created), true) // the first time stays
	want.Issued, want.Refused = 0, 0
	head, err := f.BatchHead(f.ctx, acme, b.ID)
	f.ok(err)
	f.same(head, &want)

	f.strangerBatch(b.ID)
}

// strangerBatch calls every method as a tenant that does not have the batch.
func (f *fixture) strangerBatch(id pki.BatchID) {
	f.Helper()
	e := f.event(stranger, "batch.meddle")
	_, batchErr := f.Batch(f.ctx, stranger, id)
	_, headErr := f.BatchHead(f.ctx, stranger, id)
	_, resultsErr := f.Results(f.ctx, stranger, id, 0, 10)
	_, pendingErr := f.PendingChunks(f.ctx, stranger, id, 0, 10)
	_, chunkErr := f.ChunkOf(f.ctx, stranger, id, 1)
	_, retryErr := f.Retryable(f.ctx, stranger, id, nil, 0, 10)
	for _, err := range []error{batchErr, headErr, resultsErr, pendingErr, chunkErr, retryErr,
		f.RestartUpload(f.ctx, stranger, id, nil),
		f.DropRetry(f.ctx, stranger, id, e),
		f.AddChunks(f.ctx, stranger, id, f.chunk(9)),
		f.EndUpload(f.ctx, stranger, id, 1, batch.Every{}, hash("x"), batch.Running, f.now, e),
		f.SetState(f.ctx, stranger, id, []batch.State{batch.Uploading, batch.Done}, batch.Cancelled, f.now, e),
		f.PutCheck(f.ctx, stranger, id, 0, nil),
	} {
		f.is(pki.NotFound, err)
	}
	none, err := f.Batches(f.ctx, stranger, "", 10)
	f.ok(err)
	f.same(len(none), 0)
	f.same(f.actions(stranger), []string{"tenant.create"})
}

func testBatchAgain(f *fixture) {
	b := f.newBatch()
	b.Idempotency = "work order 7"
	first, existed, err := f.CreateBatch(f.ctx, b, f.event(acme, "batch.create"))
	f.ok(err)
	f.same(existed, false)
	f.same(first, b)
	again := f.newBatch()
	again.Idempotency = b.Idempotency
	got, existed, err := f.CreateBatch(f.ctx, again, f.event(acme, "batch.create"))
	f.ok(err)
	f.same(existed, true)
	f.same(got, first)
	got, err = f.BatchByKey(f.ctx, acme, b.Idempotency)
	f.ok(err)
	f.same(got, first)
	theirs := f.newBatch()
	_, err = f.BatchByKey(f.ctx, partner, b.Idempotency)
	f.is(pki.NotFound, err)
	theirs.Tenant, theirs.Idempotency = partner, b.Idempotency
	_, existed, err = f.CreateBatch(f.ctx, theirs, f.event(partner, "batch.create"))
	f.ok(err)
	f.same(existed, false)

	var ids []pki.BatchID
	for range 3 {
		ids = append(ids, f.upload(1, batch.Running).ID)
	}
	_, err = f.BatchByKey(f.ctx, acme, "")
	f.is(pki.NotFound, err)
	page, err := f.Batches(f.ctx, acme, "", 2)
	f.ok(err)
	rest, err := f.Batches(f.ctx, acme, page[1].ID, 10)
	f.ok(err)
	var listed []pki.BatchID
	for _, b := range append(page, rest...) {
		listed = append(listed, b.ID)
	}
	f.same(listed, []pki.BatchID{ids[2], ids[1], ids[0], b.ID})

	active, err := f.Active(f.ctx, batch.Running, batch.Uploading)
	f.ok(err)
	listed = nil
	for _, b := range active {
		listed = append(listed, b.ID)
	}
	f.same(listed, []pki.BatchID{b.ID, theirs.ID, ids[0], ids[1], ids[2]})
	active, err = f.Active(f.ctx, batch.Paused)
	f.ok(err)
	f.same(len(active), 0)
}

// restartCancelled has an upload begin again that was cancelled: if it was not
// complete.
func (f *fixture) restartCancelled() {
	for _, rows := range []int64{0, 3} {
		b, _, err := f.CreateBatch(f.ctx, f.newBatch(), f.event(acme, "batch.create"))
		f.ok(err)
		f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(0)))
		if rows > 0 {
			f.ok(f.EndUpload(f.ctx, acme, b.ID, rows, batch.Every{}, hash("file"), batch.Checking, f.now, f.event(acme, "batch.upload")))
		}
		f.ok(f.SetState(f.ctx, acme, b.ID, []batch.State{batch.Uploading, batch.Checking}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
		if rows > 0 {
			f.is(pki.Conflict, f.RestartUpload(f.ctx, acme, b.ID, b.Scopes))
			continue
		}
		b.Scopes = []access.Scope{{Site: "south"}} // what its submitter has by now
		f.ok(f.RestartUpload(f.ctx, acme, b.ID, b.Scopes))
		f.same(f.batch(b.ID), b)
		f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(0)))
	}
}

func testUpload(f *fixture) {
	b, _, err := f.CreateBatch(f.ctx, f.newBatch(), f.event(acme, "batch.create"))
	f.ok(err)
	for no := range 2 {
		f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(no)))
	}
	f.is(pki.Conflict, f.AddChunks(f.ctx, acme, b.ID, f.chunk(1)))
	f.is(pki.Conflict, f.AddChunks(f.ctx, acme, b.ID, f.chunk(2), f.chunk(1)))
	f.same(len(f.pending(b.ID, 0)), 2)
	f.strangerBatch(b.ID)
	f.ok(f.RestartUpload(f.ctx, acme, b.ID, b.Scopes))
	f.same(len(f.pending(b.ID, 0)), 0)
	f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(0), f.chunk(1)))
	f.ok(f.EndUpload(f.ctx, acme, b.ID, 6, batch.Every{}, hash("file"), batch.Checking, f.now, f.event(acme, "batch.upload")))
	f.is(pki.Conflict, f.EndUpload(f.ctx, acme, b.ID, 6, batch.Every{}, hash("file"), batch.Checking, f.now, f.event(acme, "batch.upload")))
	f.is(pki.Conflict, f.AddChunks(f.ctx, acme, b.ID, f.chunk(2)))
	f.is(pki.Conflict, f.RestartUpload(f.ctx, acme, b.ID, b.Scopes))
	f.restartCancelled()
	want := *b
	want.State, want.Rows, want.Digest = batch.Checking, 6, hash("file")
	f.same(f.batch(b.ID), &want)

	for row, no := range map[int64]int{1: 0, 3: 0, 4: 1, 6: 1} {
		c, err := f.ChunkOf(f.ctx, acme, b.ID, row)
		f.ok(err)
		f.same(c, f.chunk(no))
	}
	for _, row := range []int64{0, 7} {
		_, err := f.ChunkOf(f.ctx, acme, b.ID, row)
		f.is(pki.NotFound, err)
	}
}

func testDryRun(f *fixture) {
	b := f.upload(2, batch.Checking)
	f.same(b.Started.IsZero(), true)
	refusals := []issuance.Refusal{{Row: 2, Device: "meter-2", Kind: pki.BadProof, Reason: "the signature is wrong"}}
	f.ok(f.PutCheck(f.ctx, acme, b.ID, 0, refusals))
	f.ok(f.PutCheck(f.ctx, acme, b.ID, 0, refusals)) // a worker that was killed does it again
	f.same(f.pending(b.ID, 0), []int{0, 1})
	f.counts(b.ID, 3, 0, 1, 0)
	f.ok(f.PutCheck(f.ctx, acme, b.ID, 1, nil))
	f.is(pki.NotFound, f.PutCheck(f.ctx, acme, b.ID, 2, nil))
	f.ok(f.move(b.ID, batch.Checked, batch.Checking))
	f.same(f.ends(b.ID, 0, 10), []string{"2 bad-proof"})
	f.counts(b.ID, 6, 0, 1, 0)
	f.is(pki.Conflict, f.PutCheck(f.ctx, acme, b.ID, 0, refusals))

	in := f.chunkIntent(b.ID, 0, 1, 2, 3)
	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in}))
	f.is(pki.Conflict, in.Err)
	f.later(time.Minute)
	f.ok(f.move(b.ID, batch.Running, batch.Checked))
	f.same(f.batch(b.ID).Started, f.now)
	f.same(len(f.ends(b.ID, 0, 10)), 0)
	f.intend(in)
	sign(in.Items...)
	f.record(in)
	f.counts(b.ID, 6, 3, 0, 0)
}

// testChunkOnce lets many claim each chunk at once.
func testChunkOnce(f *fixture) {
	const chunks, racers = 10, 8
	b := f.upload(chunks, batch.Running)
	for no := range chunks {
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range racers {
			in := f.chunkIntent(b.ID, no, int64(no*chunkSize)+1, int64(no*chunkSize)+2, int64(no*chunkSize)+3)
			wg.Go(func() {
				if err := f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in}); err != nil {
					f.Error(err)
				}
				if in.Err != nil {
					if pki.KindOf(in.Err) != pki.Conflict {
						f.Error(in.Err)
					}
					return
				}
				taken.Add(1)
				sign(in.Items...)
				if err := f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil); err != nil || in.Err != nil {
					f.Error(err, in.Err)
				}
			})
		}
		wg.Wait()
		f.same(taken.Load(), int32(1))
	}
	f.counts(b.ID, 0, chunks*chunkSize, 0, 0)
	f.ok(f.move(b.ID, batch.Done, batch.Running))

	in := f.chunkIntent("unknown", 0, 1)
	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in}))
	f.is(pki.Conflict, in.Err)
}

// testBatchRefusals: rows that the store itself refuses end as refused, also
// where nothing is left of a chunk.
func testBatchRefusals(f *fixture) {
	used := f.item("meter-0")
	f.issue(used)
	b := f.upload(2, batch.Running)
	some, none := f.chunkIntent(b.ID, 0, 1, 2, 3), f.chunkIntent(b.ID, 1, 4, 5)
	some.Items[2].KeyHash = some.Items[0].KeyHash // within the batch
	none.Items[0].KeyHash, none.Items[1].KeyHash = used.KeyHash, used.KeyHash
	none.Refusals = []issuance.Refusal{{Row: 6, Device: "meter-6", Kind: pki.Malformed, Reason: "no CSR"}}
	f.intend(some, none)
	f.is(pki.DuplicateKey, some.Items[2].Refused)
	f.isOpen(none, false)
	f.same(f.ends(b.ID, 0, 10), []string{"4 duplicate-key", "5 duplicate-key", "6 malformed"})
	sign(some.Items[:2]...)
	f.record(some)
	f.same(f.ends(b.ID, 0, 3), []string{"1 issued", "2 issued", "3 duplicate-key"})
	f.counts(b.ID, 0, 2, 4, 0)
	f.ok(f.move(b.ID, batch.Done, batch.Running))
}

func testBatchVoid(f *fixture) {
	b := f.upload(2, batch.Running)
	part, whole := f.chunkIntent(b.ID, 0, 1, 2, 3), f.chunkIntent(b.ID, 1, 4, 6)
	whole.Refusals = []issuance.Refusal{{Row: 5, Device: "meter-5", Kind: pki.Malformed, Reason: "no CSR"}}
	f.intend(part, whole)
	sign(part.Items[0], part.Items[2])
	f.record(part, whole)
	f.same(f.ends(b.ID, 0, 10), []string{"1 issued", "2 unavailable", "3 issued"})
	f.counts(b.ID, 0, 2, 1, 0)
	f.same(f.pending(b.ID, 0), []int{1})

	again := f.chunkIntent(b.ID, 1, 4, 5, 6)
	again.Items[0].KeyHash = whole.Items[0].KeyHash
	f.intend(again)
	for _, it := range again.Items {
		f.ok(it.Refused)
	}
	sign(again.Items...)
	f.record(again)
	f.same(f.ends(b.ID, 3, 10), []string{"4 issued", "5 issued", "6 issued"})
	f.ok(f.move(b.ID, batch.Done, batch.Running))
}

func testBatchAdopted(f *fixture) {
	for _, test := range []struct {
		name     string
		change   func(*batch.Batch)
		complete bool
	}{
		{"running", func(*batch.Batch) {}, true},
		{"paused", func(b *batch.Batch) { f.ok(f.move(b.ID, batch.Paused, batch.Running)) }, false},
		{"authority retired", func(*batch.Batch) {
			f.ok(f.SetAuthorityState(f.ctx, acme, f.authority.ID, pki.AuthorityActive, pki.AuthorityRetired, f.event(acme, "authority.retire")))
		}, false},
	} {
		b := f.upload(1, batch.Running)
		in := f.chunkIntent(b.ID, 0, 1, 2, 3)
		f.intend(in)
		test.change(b)
		f.enter()
		got, err := f.Adopt(f.ctx, f.node, f.epoch, f.now, 10)
		f.ok(err)
		want := *in
		want.Epoch, want.Attempt, want.Complete = f.epoch, 2, test.complete
		if diff := cmp.Diff([]*issuance.Intent{&want}, got); diff != "" {
			f.Fatalf("%s: %s", test.name, diff)
		}
		if test.complete {
			sign(got[0].Items...)
		}
		f.record(got...)
		if test.complete {
			f.same(f.ends(b.ID, 0, 10), []string{"1 issued", "2 issued", "3 issued"})
		} else {
			f.same(f.pending(b.ID, 0), []int{0})
		}
	}
}

func testBatchCancelled(f *fixture) {
	b := f.upload(4, batch.Running)
	done, claimed := f.chunkIntent(b.ID, 1, 4, 6), f.chunkIntent(b.ID, 2, 7, 8, 9)
	done.Refusals = []issuance.Refusal{{Row: 5, Device: "meter-5", Kind: pki.Malformed, Reason: "no CSR"}}
	f.intend(done, claimed)
	sign(done.Items...)
	f.record(done)
	f.ok(f.move(b.ID, batch.Cancelled, batch.Running, batch.Paused))
	f.same(f.batch(b.ID).Finished, f.now)
	before := []string{"1 cancelled", "2 cancelled", "3 cancelled", "4 issued", "5 malformed", "6 issued"}
	after := []string{"10 cancelled", "11 cancelled", "12 cancelled"}
	f.same(f.ends(b.ID, 0, 100), append(append([]string{}, before...), after...)) // 7 to 9 have no end yet
	f.counts(b.ID, 0, 2, 1, 6)
	f.same(f.ends(b.ID, 1, 4), []string{"2 cancelled", "3 cancelled", "4 issued", "5 malformed"})

	// What was signed when the order to stop came is still recorded.
	sign(claimed.Items[0])
	f.record(claimed)
	f.same(f.ends(b.ID, 6, 4), []string{"7 issued", "8 unavailable", "9 unavailable", "10 cancelled"})
	f.counts(b.ID, 0, 3, 3, 6)

	// A dry run's findings are not the end of a row that is cancelled.
	b = f.upload(1, batch.Checking)
	f.ok(f.PutCheck(f.ctx, acme, b.ID, 0, []issuance.Refusal{{Row: 2, Device: "meter-2", Kind: pki.BadKey, Reason: "weak"}}))
	f.ok(f.move(b.ID, batch.Cancelled, batch.Checking))
	f.same(f.ends(b.ID, 0, 10), []string{"1 cancelled", "2 cancelled", "3 cancelled"})
	f.counts(b.ID, 3, 0, 0, 3)
}
