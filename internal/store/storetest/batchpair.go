package storetest

import (
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
)

// pairBatch makes a running batch of pairs of two chunks with four rows each.
func (f *fixture) pairBatch() *batch.Batch {
	f.Helper()
	n := f.newBatch()
	n.PairEndpoint, n.PairProfile = "line-2", pki.ProfileRef{Tenant: acme, Name: "other", Version: 3}
	b, _, err := f.CreateBatch(f.ctx, n, f.event(acme, "batch.create"))
	f.ok(err)
	for no := range 2 {
		f.ok(f.AddChunks(f.ctx, acme, b.ID, &batch.Chunk{No: no, First: int64(4*no) + 1, Count: 4, Rows: []byte("rows")}))
	}
	f.ok(f.EndUpload(f.ctx, acme, b.ID, 8, batch.Every{}, hash("file"), batch.Running, f.now, f.event(acme, "batch.upload")))
	got := f.batch(b.ID)
	f.same([]any{got.PairEndpoint, got.PairProfile}, []any{n.PairEndpoint, n.PairProfile})
	head, err := f.BatchHead(f.ctx, acme, b.ID)
	f.ok(err)
	f.same([]any{head.PairEndpoint, head.PairProfile}, []any{n.PairEndpoint, n.PairProfile})
	return got
}

// pairIntent is chunkIntent for the pairs of devices.
func (f *fixture) pairIntent(id pki.BatchID, chunk int, devices ...pki.DeviceID) *issuance.Intent {
	in := f.chunkIntent(id, chunk)
	for i, device := range devices {
		a, b := f.item(device), f.item(device)
		a.With, b.With = b, a
		a.Row = int64(4*chunk + 2*i + 1)
		b.Row = a.Row + 1
		in.Items = append(in.Items, a, b)
	}
	return in
}

// testBatchPairs: the rows of a pair are both in an intent or both refused, each with its
// own reason, and a file gives a device one pair, after the store was opened again and
// after one came to nothing, too.
func testBatchPairs(f *fixture) {
	b := f.pairBatch()
	taken := f.item("another")
	holder := f.intent(taken)
	f.intend(holder)
	sign(taken)
	f.record(holder)

	first := f.pairIntent(b.ID, 0, "meter-1", "meter-2")
	first.Items[3].KeyHash = taken.KeyHash
	f.intend(first)
	one, two := first.Items[0], first.Items[1]
	f.ok(one.Refused)
	f.ok(two.Refused)
	f.is(pki.DuplicateKey, first.Items[2].Refused)
	f.says(first.Items[2].Refused, "the other of its pair, row 4, is refused: the key belongs to another device")
	f.is(pki.DuplicateKey, first.Items[3].Refused)
	f.says(first.Items[3].Refused, "the key belongs to another device")
	sign(one, two)
	f.record(first)
	f.same(f.ends(b.ID, 0, 10), []string{"1 issued", "2 issued", "3 duplicate-key", "4 duplicate-key"})
	for _, it := range []*issuance.Item{one, two} {
		c, err := f.Certificate(f.ctx, acme, first.Issuer, it.Serial)
		f.ok(err)
		f.same([]any{c.Device, c.Row}, []any{it.Device, it.Row})
	}

	f.reopen()
	second := f.pairIntent(b.ID, 1, "meter-1", "meter-3")
	f.intend(second)
	f.says(second.Items[0].Refused, "row 5 names the same device as row 1: a file gives a device one pair")
	f.says(second.Items[1].Refused, "row 6 names the same device as row 1:")
	f.ok(second.Items[2].Refused)
	f.ok(second.Items[3].Refused)

	// Nobody signs it: the chunk waits again, and the same device gets its pair then.
	f.record(second)
	f.same(f.ends(b.ID, 4, 10), []string(nil))
	second = f.pairIntent(b.ID, 1, "meter-3", "meter-3")
	f.intend(second)
	f.ok(second.Items[0].Refused)
	f.ok(second.Items[1].Refused)
	f.says(second.Items[2].Refused, "row 7 names the same device as row 5:")
	f.says(second.Items[3].Refused, "row 8 names the same device as row 5:")
	sign(second.Items[:2]...)
	f.record(second)
	f.same(f.ends(b.ID, 4, 10), []string{"5 issued", "6 issued", "7 conflict", "8 conflict"})
	f.ok(f.move(b.ID, batch.Done, batch.Running))
	f.counts(b.ID, 0, 4, 4, 0)
}

// testPairsOfLot: a lot counts devices: a pair is one, also where nobody can tell of which
// device it was.
func testPairsOfLot(f *fixture) {
	b := f.pairBatch()
	place := pki.Placement{Lot: "lot-pairs"}
	in := f.pairIntent(b.ID, 0, "meter-1")
	for _, it := range in.Items {
		it.Placement = place
	}
	refuse := func(row int64, device pki.DeviceID) issuance.Refusal {
		return issuance.Refusal{Row: row, Device: device, Placement: place, Kind: pki.BadKey, Reason: "weak"}
	}
	in.Refusals = []issuance.Refusal{refuse(3, "meter-2"), refuse(4, "meter-2")}
	f.intend(in)
	sign(in.Items...)
	f.record(in)
	rest := f.pairIntent(b.ID, 1)
	rest.Refusals = []issuance.Refusal{refuse(5, ""), refuse(6, ""), refuse(7, ""), refuse(8, "")}
	f.intend(rest)
	counts, err := f.LotCounts(f.ctx, acme, "lot-pairs", 100)
	f.ok(err)
	f.same(*counts, lotreport.Counts{Issued: 1, Refused: 3})
}
