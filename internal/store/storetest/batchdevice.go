package storetest

import (
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// testBatchDevices: rows of one file that name one device get one certificate
// among them, in one chunk and in several, after the store was opened again, and
// from a retry of the file's rows; another file is another matter.
func testBatchDevices(f *fixture) {
	b := f.upload(4, batch.Running)
	first := f.chunkIntent(b.ID, 0, 1, 2, 3)
	first.Items[1].Device = "meter-1"
	f.intend(first)
	f.is(pki.Conflict, first.Items[1].Refused)
	f.says(first.Items[1].Refused, "row 2 names the same device as row 1:")
	sign(first.Items[0], first.Items[2])
	f.record(first)

	f.reopen()
	second := f.chunkIntent(b.ID, 1, 4, 5, 6)
	second.Items[0].Device, second.Items[0].SharedKey = "meter-3", true
	second.Items[1].Device, second.Items[1].KeyHash, second.Items[1].RenewSameKey = "meter-1", first.Items[0].KeyHash, true
	f.intend(second)
	f.says(second.Items[0].Refused, "row 4 names the same device as row 3:")
	f.says(second.Items[1].Refused, "row 5 names the same device as row 1:")
	f.ok(second.Items[2].Refused)

	// What a row claimed that got nothing is free again, also for the chunk itself.
	f.record(second)
	f.same(f.pending(b.ID, 1), []int{1, 2, 3})
	second = f.chunkIntent(b.ID, 1, 4, 5, 6)
	f.intend(second)
	sign(second.Items...)
	f.record(second)

	// A row that is refused for its key takes no device. The key comes first: with that of
	// the device's other row, too, it is the key that a row is refused for.
	third := f.chunkIntent(b.ID, 2, 7, 8, 9)
	third.Items[2].Device, third.Items[2].KeyHash = "meter-1", first.Items[0].KeyHash
	third.Items[0].Device, third.Items[0].KeyHash = "meter-8", first.Items[0].KeyHash
	f.intend(third)
	f.is(pki.DuplicateKey, third.Items[0].Refused)
	f.ok(third.Items[1].Refused)
	f.is(pki.DuplicateKey, third.Items[2].Refused)
	sign(third.Items[1])
	f.record(third)

	fourth := f.chunkIntent(b.ID, 3, 10)
	fourth.Refusals = []issuance.Refusal{{Row: 11, Device: "meter-11", Kind: pki.Unavailable, Reason: "not signed"}, {Row: 12, Device: "meter-12", Kind: pki.Unavailable, Reason: "not signed"}}
	f.intend(fourth)
	sign(fourth.Items...)
	f.record(fourth)
	f.ok(f.move(b.ID, batch.Done, batch.Running))

	// A retry, and one of it, is of the same file.
	for no := range 4 {
		f.purge(b.ID, no, f.now.Add(time.Second), 1)
	}
	retry := f.newRetry(b, "")
	f.ok(f.AddChunks(f.ctx, acme, retry.ID, &batch.Chunk{First: 1, Count: 3, Rows: []byte("rows"),
		Retries: []batch.Retry{{Row: 2, Origin: 2}, {Row: 11, Origin: 11}, {Row: 12, Origin: 12}}}))
	f.ok(f.EndUpload(f.ctx, acme, retry.ID, 3, batch.Every{}, hash("rows"), batch.Running, f.now, f.event(acme, "batch.retry")))
	in := f.chunkIntent(retry.ID, 0, 1, 2, 3)
	in.Items[1].Device, in.Items[2].Device = "meter-11", "meter-11"
	f.intend(in)
	f.says(in.Items[0].Refused, "row 1 names the same device as row 1 of batch "+string(b.ID)+":")
	f.says(in.Items[2].Refused, "row 3 names the same device as row 2:")
	sign(in.Items[1])
	f.record(in)
	f.ok(f.move(retry.ID, batch.Done, batch.Running))
	again := f.newRetry(retry, "")
	f.ok(f.AddChunks(f.ctx, acme, again.ID, &batch.Chunk{First: 1, Count: 2, Rows: []byte("rows"),
		Retries: []batch.Retry{{Row: 1, Origin: 2}, {Row: 3, Origin: 12}}}))
	f.ok(f.EndUpload(f.ctx, acme, again.ID, 2, batch.Every{}, hash("rows"), batch.Running, f.now, f.event(acme, "batch.retry")))
	in = f.chunkIntent(again.ID, 0, 1, 2)
	in.Items[1].Device = "meter-11"
	f.intend(in)
	f.says(in.Items[0].Refused, "as row 1 of batch "+string(b.ID)+":")
	f.says(in.Items[1].Refused, "as row 2 of batch "+string(retry.ID)+":")
	f.isOpen(in, false)

	other := f.upload(1, batch.Running)
	in = f.chunkIntent(other.ID, 0, 1)
	f.intend(in)
	f.ok(in.Items[0].Refused)
}

func (f *fixture) says(err error, text string) {
	f.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		f.Errorf("got %v, want %q", err, text)
	}
}
