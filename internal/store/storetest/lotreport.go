package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// testLotReport: a lot is closed once, when its batches are at their end; its
// figures are those of its devices, each counted once; its report is kept.
func testLotReport(f *fixture) {
	running := f.upload(1, batch.Running)
	in := f.chunkIntent(running.ID, 0, 1, 2, 3)
	f.intend(in) // registers the lot
	sign(in.Items...)
	f.record(in)
	var naming []pki.BatchID
	closeLot := func() (*lotreport.Closing, error) {
		return f.CloseLot(f.ctx, acme, "lot-1", naming, 2, f.now, f.event(acme, "lot.close"))
	}
	_, err := closeLot()
	f.is(pki.NotReady, err)
	f.same(pki.DetailOf(err), fmt.Sprintf("1 batch of the lot is not at its end: %s (running); wait for it or cancel it", running.ID))
	var more []*batch.Batch
	for range 5 {
		b := f.upload(1, batch.Running)
		f.ok(f.move(b.ID, batch.Paused, batch.Running))
		more = append(more, b)
	}
	_, err = closeLot()
	f.is(pki.NotReady, err)
	f.same(pki.DetailOf(err), fmt.Sprintf("6 batches of the lot are not at their end: %s (running), %s (paused), %s (paused), %s (paused), %s (paused) and 1 more; wait for them or cancel them",
		running.ID, more[0].ID, more[1].ID, more[2].ID, more[3].ID))
	for _, b := range more {
		f.ok(f.move(b.ID, batch.Cancelled, batch.Paused))
	}
	f.ok(f.move(running.ID, batch.Done, batch.Running))

	// A dry run, uploading, checking or checked, does not.
	for _, state := range []batch.State{batch.Uploading, batch.Checking, batch.Checked} {
		b := f.newBatch()
		b.DryRun = true
		_, _, err = f.CreateBatch(f.ctx, b, f.event(acme, "batch.create"))
		f.ok(err)
		if state != batch.Uploading {
			f.ok(f.AddChunks(f.ctx, acme, b.ID, f.chunk(0)))
			f.ok(f.EndUpload(f.ctx, acme, b.ID, chunkSize, batch.Every{}, hash("dry"), state, f.now, f.event(acme, "batch.upload")))
		}
	}

	// One of another lot holds it up where its rows name this one, and until its end.
	other := f.newBatch()
	other.Defaults.Lot = "lot-9"
	_, _, err = f.CreateBatch(f.ctx, other, f.event(acme, "batch.create"))
	f.ok(err)
	naming = []pki.BatchID{running.ID, other.ID}
	_, err = closeLot()
	f.is(pki.NotReady, err)
	f.same(pki.DetailOf(err), fmt.Sprintf("1 batch of the lot is not at its end: %s (uploading); wait for it or cancel it", other.ID))
	f.ok(f.move(other.ID, batch.Cancelled, batch.Uploading))

	// Rows that were refused: of a device that has a certificate, of one that has
	// none twice, of none that is known, and of one that is retried.
	place := pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}
	refuse := func(rows ...string) *batch.Batch {
		b := f.upload(1, batch.Running)
		in := f.chunkIntent(b.ID, 0)
		for i, device := range rows {
			in.Refusals = append(in.Refusals, issuance.Refusal{Row: int64(i + 1), Device: pki.DeviceID(device), Placement: place, Kind: pki.BadKey, Reason: "weak"})
		}
		f.intend(in)
		f.ok(f.move(b.ID, batch.Done, batch.Running))
		return b
	}
	first := refuse("meter-1", "meter-8", "")
	second := refuse("meter-8", "meter-9", "meter-3")
	retry := f.newRetry(second, "")
	f.ok(f.AddChunks(f.ctx, acme, retry.ID, &batch.Chunk{First: 1, Count: 1, Rows: []byte("rows"), Retries: []batch.Retry{{Row: 2, Origin: 2}}}))
	f.ok(f.move(retry.ID, batch.Cancelled, batch.Uploading))
	dry := f.newBatch()
	dry.DryRun = true
	_, _, err = f.CreateBatch(f.ctx, dry, f.event(acme, "batch.create"))
	f.ok(err)
	f.ok(f.AddChunks(f.ctx, acme, dry.ID, f.chunk(0)))
	f.ok(f.EndUpload(f.ctx, acme, dry.ID, chunkSize, batch.Every{}, hash("dry"), batch.Checking, f.now, f.event(acme, "batch.upload")))
	f.ok(f.PutCheck(f.ctx, acme, dry.ID, 0, []issuance.Refusal{{Row: 1, Device: "meter-30", Placement: place, Kind: pki.BadKey, Reason: "weak"}}))
	f.ok(f.move(dry.ID, batch.Cancelled, batch.Checking))
	_, err = f.ChangeDevice(f.ctx, registry.DeviceChange{Owner: acme, ID: "meter-2", Act: registry.Decommission, Event: f.event(acme, "device.decommission")})
	f.ok(err)

	// An open lot is counted, too, and no further than it is asked for.
	counts, err := f.LotCounts(f.ctx, acme, "lot-1", 100)
	f.ok(err)
	f.same(*counts, lotreport.Counts{Issued: 2, Refused: 3, Scrapped: 1})
	counts, err = f.LotCounts(f.ctx, acme, "lot-1", 2)
	f.ok(err)
	f.same([]any{counts.AtLeast, counts.Issued + counts.Scrapped}, []any{true, int64(2)})

	// An intent that is open when the lot is closed is waited for.
	late := f.intent()
	item := f.item("meter-20")
	late.Items = append(late.Items, item)
	f.intend(late)
	c, err := closeLot()
	f.ok(err)
	f.same(*c, lotreport.Closing{Actor: f.event(acme, "").Actor, Scrapped: 2})
	sign(late.Items...)
	f.record(late)
	c, err = f.Closing(f.ctx, acme, "lot-1")
	f.ok(err)
	f.same(c.Settled, true)
	again, err := f.CloseLot(f.ctx, acme, "lot-1", nil, 7, f.now, f.event(acme, "lot.close"))
	f.ok(err)
	f.same(again.Scrapped, int64(2))

	// Nothing is enrolled in it any more.
	refused := f.intent()
	refused.Items = append(refused.Items, f.item("meter-21"))
	refused.Items[0].Placement = place
	f.intend(refused)
	f.is(pki.Conflict, refused.Items[0].Refused)

	r, err := f.Figures(f.ctx, acme, "lot-1")
	f.ok(err)
	var list []string
	for _, it := range append(in.Items, late.Items...) {
		list = append(list, fmt.Sprintf("%s\t%s\n", it.Device, it.Serial))
	}
	slices.Sort(list)
	sum := sha256.New()
	for _, line := range list {
		sum.Write([]byte(line))
	}
	f.same(r.Digest, hex.EncodeToString(sum.Sum(nil)))
	f.same([]int64{r.Certificates, r.Issued, r.Refused, r.Scrapped, r.ScrappedIssued, r.ScrappedReported}, []int64{4, 3, 3, 3, 1, 2})
	counts, err = f.LotCounts(f.ctx, acme, "lot-1", 100)
	f.ok(err)
	f.same(*counts, r.Counts())
	f.same(r.Places, []lotreport.Place{{ProductLine: "meters", Site: "north", Issued: 3, Refused: 3, Scrapped: 1}})
	var batches []string
	for _, b := range r.Batches {
		batches = append(batches, fmt.Sprintf("%s %s %t %d %d", b.ID, b.State, b.DryRun, b.Issued, b.Refused))
	}
	f.same(batches, []string{fmt.Sprintf("%s done false 3 0", running.ID), fmt.Sprintf("%s done false 0 3", first.ID),
		fmt.Sprintf("%s done false 0 3", second.ID), fmt.Sprintf("%s cancelled true 0 0", dry.ID)})

	kept, err := f.PutReport(f.ctx, acme, "lot-1", "the report", f.event(acme, "lot.report"))
	f.ok(err)
	f.same(kept, "the report")
	kept, err = f.PutReport(f.ctx, acme, "lot-1", "another", f.event(acme, "lot.report"))
	f.ok(err)
	f.same(kept, "the report")

	_, err = f.ReportKey(f.ctx, acme)
	f.is(pki.NotFound, err)
	for _, uri := range []pki.KeyURI{"software:one", "software:two"} {
		got, err := f.PutReportKey(f.ctx, acme, uri, f.now, f.event(acme, "lot-report-key.create"))
		f.ok(err)
		f.same(got, pki.KeyURI("software:one"))
	}

	_, closeErr := f.CloseLot(f.ctx, stranger, "lot-1", nil, 0, f.now, f.event(stranger, "lot.close"))
	_, closingErr := f.Closing(f.ctx, stranger, "lot-1")
	_, countsErr := f.LotCounts(f.ctx, stranger, "lot-1", 100)
	_, figuresErr := f.Figures(f.ctx, stranger, "lot-1")
	_, putErr := f.PutReport(f.ctx, stranger, "lot-1", "theirs", f.event(stranger, "lot.report"))
	_, keyErr := f.ReportKey(f.ctx, stranger)
	for _, err := range []error{closeErr, closingErr, countsErr, figuresErr, putErr, keyErr} {
		f.is(pki.NotFound, err)
	}
}
