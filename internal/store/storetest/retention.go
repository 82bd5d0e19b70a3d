package storetest

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
)

// anchorAll has an anchor take a checkpoint of all of acme's log.
func (f *fixture) anchorAll() {
	f.Helper()
	h := f.sequencer()
	f.addLogs(h)
	f.sequence(h)
	l, err := f.Log(f.ctx, acme)
	f.ok(err)
	f.ok(f.PutCheckpoint(f.ctx, h, acme, l.Size, "note"))
	f.ok(f.KeepCheckpoint(f.ctx, h, acme, auditlog.Kept{Size: l.Size, At: f.now, Note: "note"}))
	f.ok(f.Anchored(f.ctx, h, acme, l.Size, f.now))
}

// expired returns the devices of what can be archived.
func (f *fixture) expired(tenant pki.TenantID, before time.Time) (entries []retention.Entry, devices []pki.DeviceID) {
	f.Helper()
	last, err := f.LastRow(f.ctx)
	f.ok(err)
	entries, err = f.Expired(f.ctx, retention.Search{Tenant: tenant, Before: before, Through: last})
	f.ok(err)
	for _, e := range entries {
		devices = append(devices, e.Leaf.Device)
	}
	return entries, devices
}

// testRetention: a tenant's setting is changed from what it was, with its event.
func testRetention(f *fixture) {
	keep, err := f.Keep(f.ctx, acme)
	f.ok(err)
	f.same(keep, time.Duration(0))
	f.ok(f.SetKeep(f.ctx, acme, 0, time.Hour, f.event(acme, "retention.change")))
	f.is(pki.Conflict, f.SetKeep(f.ctx, acme, 0, time.Minute, f.event(acme, "retention.change")))
	keep, err = f.Keep(f.ctx, acme)
	f.ok(err)
	f.same(keep, time.Hour)
	keep, err = f.Keep(f.ctx, stranger)
	f.ok(err)
	f.same(keep, time.Duration(0))
	_, err = f.Keep(f.ctx, "nobody")
	f.is(pki.NotFound, err)
	f.same(f.actions(acme)[0], "retention.change")
}

// testExpired: what can be archived is what expired, is anchored, and is needed for
// nothing more.
func testExpired(f *fixture) {
	end := f.now.Add(time.Hour)
	add := func(device pki.DeviceID, lot string, end time.Time) *issuance.Item {
		it := f.placed(acme, device, lot)
		it.NotAfter = end
		f.issue(it)
		return it
	}
	gone := add("gone", "", end)
	add("stays", "", end.Add(time.Hour))
	held := add("held", "", end)
	add("open", "lot-1", end)
	lent := f.item("lent")
	lent.NotAfter = end
	f.borrow(lent)
	f.issue(lent)
	add("last", "", end)
	f.ok(f.revoke(f.entry(acme, held, pki.CertificateHold)))

	_, devices := f.expired(acme, end.Add(time.Microsecond))
	f.same(len(devices), 0) // nothing is anchored
	due, err := f.CountDue(f.ctx, acme, end.Add(time.Microsecond))
	f.ok(err)
	f.same(due, retention.Due{Expired: 4, InOpenLots: 1, Unanchored: 4})
	f.anchorAll()
	_, devices = f.expired(acme, end)
	f.same(len(devices), 0) // none has expired before
	entries, devices := f.expired(acme, end.Add(time.Microsecond))
	f.same(devices, []pki.DeviceID{"gone"})
	f.same(entries[0].DER, gone.DER)
	leaves, err := f.Leaves(f.ctx, acme, entries[0].Index, 1)
	f.ok(err)
	f.same(leaves[0], &audit.Leaf{Certificate: &entries[0].Leaf})
	due, err = f.CountDue(f.ctx, acme, end.Add(time.Microsecond))
	f.ok(err)
	f.same(due, retention.Due{Expired: 4, InOpenLots: 1})
	for _, other := range []pki.TenantID{stranger, partner} {
		_, devices = f.expired(other, end.Add(time.Microsecond))
		f.same(len(devices), 0)
		due, err = f.CountDue(f.ctx, other, end.Add(time.Microsecond))
		f.ok(err)
		f.same(due, retention.Due{})
	}

	// Once the lot has its report, its certificates are needed no more.
	_, err = f.CloseLot(f.ctx, acme, "lot-1", nil, 0, f.now, f.event(acme, "lot.close"))
	f.ok(err)
	_, devices = f.expired(acme, end.Add(time.Microsecond))
	f.same(devices, []pki.DeviceID{"gone"})
	_, err = f.PutReport(f.ctx, acme, "lot-1", "report", f.event(acme, "lot.report"))
	f.ok(err)
	_, devices = f.expired(acme, end.Add(time.Microsecond))
	f.same(devices, []pki.DeviceID{"gone", "open"})
}

// remove takes entries out of the store, but for so many that are on hold.
func (f *fixture) remove(a *retention.Archive, entries []retention.Entry, held int) {
	f.Helper()
	got, err := f.Remove(f.ctx, a, entries)
	f.ok(err)
	f.same(got, held)
}

// testArchiveHeld: a certificate that is put on hold after it was written to an archive
// stays until the hold is over; one that is archived is not put on hold.
func testArchiveHeld(f *fixture) {
	end := f.now.Add(time.Hour)
	held, gone := f.placed(acme, "m-1", ""), f.placed(acme, "m-2", "")
	held.NotAfter, gone.NotAfter = end, end
	f.issue(held, gone)
	f.issue(f.item("last"))
	f.anchorAll()
	entries, _ := f.expired(acme, end.Add(time.Microsecond))
	a := &retention.Archive{ID: "a1", Tenant: acme, Created: f.now, Before: end.Add(time.Microsecond), FirstRow: entries[0].Row, LastRow: entries[1].Row,
		Manifest: retention.Manifest{Object: "acme/a1", Certificates: 2, FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[1].Leaf.Serial}}
	f.ok(f.PutArchive(f.ctx, a))
	f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.ok(f.revoke(f.entry(acme, held, pki.CertificateHold)))
	f.remove(a, entries, 1)
	f.remove(a, entries, 1)
	f.is(pki.Conflict, f.ArchiveDone(f.ctx, a, f.now))
	_, err := f.Certificate(f.ctx, acme, f.issuer.ID, held.Serial)
	f.ok(err)
	for _, reason := range []pki.Reason{pki.CertificateHold, pki.RemoveFromCRL, pki.KeyCompromise} {
		err = f.revoke(f.entry(acme, gone, reason))
		f.is(pki.Conflict, err)
		f.same(pki.DetailOf(err), pki.DetailOf(f.Archived(f.ctx, acme, f.issuer.ID, gone.Serial)))
		f.is(pki.NotFound, f.revoke(f.entry(stranger, gone, reason)))
	}
	f.ok(f.revoke(f.entry(acme, held, pki.RemoveFromCRL)))
	f.remove(a, entries, 0)
	f.ok(f.ArchiveDone(f.ctx, a, f.now))
}

// testArchive takes certificates through the states of an archive.
func testArchive(f *fixture) {
	end := f.now.Add(time.Hour)
	first := f.placed(acme, "m-1", "")
	first.NotAfter = end
	second := f.placed(acme, "m-2", "")
	second.NotAfter = end
	f.issue(first, second)
	last := f.issue(f.item("last"))
	f.ok(f.revoke(f.entry(acme, second, pki.KeyCompromise)))
	f.anchorAll()
	entries, _ := f.expired(acme, end.Add(time.Microsecond))
	f.same(len(entries), 2)

	a := &retention.Archive{ID: "a1", Tenant: acme, State: retention.Planned, Created: f.now, Before: end.Add(time.Microsecond), FirstRow: entries[0].Row, LastRow: entries[1].Row}
	f.ok(f.PutArchive(f.ctx, a))
	f.ok(f.PutArchive(f.ctx, &retention.Archive{ID: "a2", Tenant: acme, Created: f.now, Before: f.now}))
	f.ok(f.DropArchive(f.ctx, &retention.Archive{ID: "a2", Tenant: stranger}))
	_, err := f.Archive(f.ctx, acme, "a2")
	f.ok(err)
	f.ok(f.DropArchive(f.ctx, &retention.Archive{ID: "a2", Tenant: acme}))
	_, err = f.Archive(f.ctx, acme, "a2")
	f.is(pki.NotFound, err)

	// Nothing is taken out for an archive that is not written.
	_, err = f.Remove(f.ctx, a, entries)
	f.is(pki.NotFound, err)
	a.Manifest = retention.Manifest{Object: "acme/a1.ndjson.gz", SHA256: hash("object"), Size: 7, Certificates: 2, FirstIndex: entries[0].Index, LastIndex: entries[1].Index,
		FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[1].Leaf.Serial}
	theirs := *a
	theirs.Tenant = stranger
	f.is(pki.Conflict, f.ArchiveWritten(f.ctx, &theirs, f.event(stranger, retention.EventAction)))
	f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.is(pki.Conflict, f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.ok(f.DropArchive(f.ctx, a)) // of a planned one alone
	_, err = f.Remove(f.ctx, &theirs, entries)
	f.is(pki.NotFound, err)
	f.remove(a, entries[:1], 0)
	f.is(pki.Conflict, f.ArchiveDone(f.ctx, a, f.now))

	f.reopen()
	f.enter()
	open, err := f.UnfinishedArchives(f.ctx, acme)
	f.ok(err)
	a.State, a.Removed = retention.Written, 1
	f.same(open, []*retention.Archive{a})
	open, err = f.UnfinishedArchives(f.ctx, stranger)
	f.ok(err)
	f.same(len(open), 0)
	f.remove(a, entries, 0)
	f.remove(a, entries, 0)
	f.is(pki.Conflict, f.ArchiveDone(f.ctx, &theirs, f.now))
	f.ok(f.ArchiveDone(f.ctx, a, f.now))
	a.State, a.Removed, a.Finished = retention.Done, 2, f.now
	got, err := f.Archive(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got, a)
	_, err = f.Archive(f.ctx, stranger, a.ID)
	f.is(pki.NotFound, err)
	for tenant, want := range map[pki.TenantID]int{acme: 1, stranger: 0} {
		all, err := f.Archives(f.ctx, tenant, "", 10)
		f.ok(err)
		f.same(len(all), want)
	}
	all, err := f.AllArchives(f.ctx, "", 10)
	f.ok(err)
	f.same(all, []*retention.Archive{a})
	stubs, err := f.ScanArchived(f.ctx, a.ID, entries[0].Row, 10)
	f.ok(err)
	f.same(stubs, []check.Stub{{ID: entries[1].Row, Issuer: f.issuer.ID, Serial: second.Serial, NotAfter: end}})
	stubs, err = f.ScanStray(f.ctx, 0, 10)
	f.ok(err)
	f.same(len(stubs), 0)

	// What stays: the serial, its status, where it is, its place in the log.
	for i, it := range []*issuance.Item{first, second} {
		_, err := f.Certificate(f.ctx, acme, f.issuer.ID, it.Serial)
		f.is(pki.NotFound, err)
		f.same(pki.DetailOf(err) == pki.DetailOf(f.Archived(f.ctx, acme, f.issuer.ID, it.Serial)), true)
		f.is(pki.NotFound, f.Archived(f.ctx, acme, "", it.Serial))
		f.ok(f.Archived(f.ctx, stranger, f.issuer.ID, it.Serial))
		status, err := f.Status(f.ctx, f.issuer.ID, it.Serial)
		f.ok(err)
		f.same([]bool{status.Known, status.Revocation != nil, status.NotAfter.Equal(end)}, []bool{true, i == 1, true})
	}
	f.ok(f.Archived(f.ctx, acme, f.issuer.ID, pki.Serial{0x41}))
	where, err := f.ArchivedAt(f.ctx, acme, entries[0].Index, 1)
	f.ok(err)
	f.same(where, map[int64]retention.ID{entries[0].Index: a.ID})
	where, err = f.ArchivedAt(f.ctx, stranger, 0, 1000)
	f.ok(err)
	f.same(len(where), 0)
	leaves, err := f.Leaves(f.ctx, acme, entries[0].Index, 3)
	f.ok(err)
	f.same([]bool{leaves[0] == nil, leaves[1] == nil, leaves[2] == nil}, []bool{true, true, false})
	found, _, _, err := f.SearchCertificates(f.ctx, acme, registry.Query{Device: "m-1"}, f.now, nil, 10)
	f.ok(err)
	f.same(len(found), 0)
	f.have(last, 0)
	// A key belongs to its device for good.
	device, used, err := f.KeyUse(f.ctx, acme, first.KeyHash)
	f.ok(err)
	f.same([]any{device, used}, []any{first.Device, true})
}

// testArchivedDevices: a device whose certificate went into an archive gets no second one of
// the same file, of which rows are still to come: not of the batch, nor of a retry.
func testArchivedDevices(f *fixture) {
	b := f.upload(4, batch.Running)
	issue := func(of *batch.Batch, chunk int, rows ...int64) {
		f.Helper()
		in := f.chunkIntent(of.ID, chunk, rows...)
		for _, it := range in.Items {
			it.NotAfter, it.Placement = f.now.Add(time.Hour), pki.Placement{}
		}
		f.intend(in)
		sign(in.Items...)
		f.record(in)
	}
	archive := func(id retention.ID, want int) {
		f.Helper()
		for i := range 100 { // so that memory forgets the devices
			f.issue(f.item(pki.DeviceID(fmt.Sprint(id, "-", i))))
		}
		f.anchorAll()
		f.later(2 * time.Hour)
		entries, _ := f.expired(acme, f.now)
		f.same(len(entries), want)
		a := &retention.Archive{ID: id, Tenant: acme, Created: f.now, Before: f.now, FirstRow: entries[0].Row, LastRow: entries[want-1].Row,
			Manifest: retention.Manifest{Certificates: int64(want), FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[want-1].Leaf.Serial}}
		f.ok(f.PutArchive(f.ctx, a))
		f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
		f.remove(a, entries, 0)
	}
	issue(b, 0, 1, 2, 3)
	archive("a1", 3)
	for _, reopened := range []bool{false, true} {
		if reopened {
			f.reopen()
		}
		in := f.chunkIntent(b.ID, 1, 4, 5, 6)
		in.Items[0].Device, in.Items[2].Device = "meter-3", "meter-1"
		f.intend(in)
		f.says(in.Items[0].Refused, "row 4 names the same device as row 3:")
		f.ok(in.Items[1].Refused)
		f.says(in.Items[2].Refused, "row 6 names the same device as row 1:")
		f.record(in) // of nothing
	}

	// A retry has rows when those of the batch itself are dropped.
	b = f.upload(2, batch.Running)
	issue(b, 0, 1, 2, 3)
	in := f.chunkIntent(b.ID, 1, 5)
	in.Refusals = []issuance.Refusal{{Row: 4, Device: "meter-1", Kind: pki.Conflict, Reason: "the same device"}, {Row: 6, Device: "meter-6", Kind: pki.BadKey, Reason: "the key is weak"}}
	f.intend(in)
	sign(in.Items...)
	f.record(in)
	f.ok(f.move(b.ID, batch.Done, batch.Running))
	retry := f.newRetry(b, "")
	f.ok(f.AddChunks(f.ctx, acme, retry.ID, &batch.Chunk{First: 1, Count: 2, Rows: []byte("rows"), Retries: []batch.Retry{{Row: 4, Origin: 4}, {Row: 6, Origin: 6}}}))
	f.ok(f.EndUpload(f.ctx, acme, retry.ID, 2, batch.Every{}, hash("rows"), batch.Running, f.now, f.event(acme, "batch.retry")))
	for no := range 2 {
		f.purge(b.ID, no, f.now.Add(time.Second), 1)
	}
	archive("a2", 3)
	in = f.chunkIntent(retry.ID, 0, 1, 2)
	in.Items[1].Device = "meter-6"
	f.intend(in)
	f.says(in.Items[0].Refused, "row 1 names the same device as row 1 of batch "+string(b.ID)+":")
	f.ok(in.Items[1].Refused)

	other := f.upload(1, batch.Running) // another file is another matter
	in = f.chunkIntent(other.ID, 0, 1)
	f.intend(in)
	f.ok(in.Items[0].Refused)
}

// testArchivedBatch: the results of a batch say which of its certificates are
// archived.
func testArchivedBatch(f *fixture) {
	b := f.upload(1, batch.Running)
	in := f.chunkIntent(b.ID, 0, 1, 3)
	in.Refusals = []issuance.Refusal{{Row: 2, Device: "meter-2", Kind: pki.BadKey, Reason: "the key is weak"}}
	for _, it := range in.Items {
		it.Placement = pki.Placement{}
	}
	in.Items[0].NotAfter = f.now.Add(time.Hour)
	f.intend(in)
	sign(in.Items...)
	f.record(in)
	f.anchorAll()
	entries, _ := f.expired(acme, f.now.Add(2*time.Hour))
	f.same(len(entries), 1)
	a := &retention.Archive{ID: "a1", Tenant: acme, Created: f.now, Before: f.now, FirstRow: entries[0].Row, LastRow: entries[0].Row,
		Manifest: retention.Manifest{Certificates: 1, FirstSerial: entries[0].Leaf.Serial, LastSerial: entries[0].Leaf.Serial}}
	f.ok(f.PutArchive(f.ctx, a))
	f.ok(f.ArchiveWritten(f.ctx, a, f.event(acme, retention.EventAction)))
	f.remove(a, entries, 0)
	stubs, err := f.ScanArchived(f.ctx, a.ID, 0, 10)
	f.ok(err)
	f.same(stubs, []check.Stub{{ID: entries[0].Row, Issuer: f.issuer.ID, Serial: in.Items[0].Serial, NotAfter: in.Items[0].NotAfter, Batch: b.ID, Row: 1}})
	all := []string{"1 archived in a1", "2 bad-key", "3 issued"}
	f.same(f.ends(b.ID, 0, 100), all)
	f.same(f.ends(b.ID, 0, 1), all[:1])
	f.same(f.ends(b.ID, 1, 100), all[1:])
	f.counts(b.ID, 0, 2, 1, 0)
	_, err = f.Results(f.ctx, stranger, b.ID, 0, 10)
	f.is(pki.NotFound, err)

	// The last row stays, whatever its end: its number is not given again.
	_, devices := f.expired(acme, f.now.AddDate(1000, 0, 0))
	f.same(len(devices), 0)
}
