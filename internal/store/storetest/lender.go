package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// testLenderHolds: what the issuer's tenant holds its borrower does not release, one by
// one, by a job, or by its device; it may end it for good. What the borrower holds both
// release.
func testLenderHolds(f *fixture) {
	theirs, jobs, own, gone := f.placed(partner, "b-1", "lot-1"), f.placed(partner, "b-2", "lot-1"), f.placed(partner, "b-3", "lot-1"), f.placed(partner, "b-4", "lot-2")
	f.issue(theirs, jobs, own, gone)
	f.ok(f.revoke(f.entry(acme, theirs, pki.CertificateHold)))
	f.advance(f.createJob(f.job(acme, revocation.ByIssuer, string(f.issuer.ID), pki.CertificateHold)), 1000)
	f.ok(f.revoke(f.entry(acme, own, pki.RemoveFromCRL)))
	f.ok(f.revoke(f.entry(partner, own, pki.CertificateHold)))

	for range 2 {
		err := f.revoke(f.entry(partner, theirs, pki.RemoveFromCRL))
		f.is(pki.Forbidden, err)
		f.same(pki.DetailOf(err), pki.DetailOf(revocation.HeldByLender(acme)))
		f.is(pki.Forbidden, f.revoke(f.entry(partner, jobs, pki.RemoveFromCRL)))
		f.is(pki.NotFound, f.revoke(f.entry(stranger, theirs, pki.RemoveFromCRL)))
		f.reopen()
	}
	dry := f.job(partner, revocation.ByLot, "lot-1", pki.RemoveFromCRL)
	dry.State = revocation.Counting
	counted, _ := f.advance(f.createJob(dry), 1000)
	f.same(counted.Counts, revocation.Counts{Held: 1, Suspended: 2})
	released, _ := f.advance(f.createJob(f.job(partner, revocation.ByLot, "lot-1", pki.RemoveFromCRL)), 1000)
	f.same(released.Counts, revocation.Counts{Held: 1, Suspended: 2})
	f.same([]string{f.statusOf(theirs), f.statusOf(jobs), f.statusOf(own)}, []string{"certificateHold after 1", "certificateHold after 1", "good after 4"})

	// Nor by suspending the device and resuming it.
	for _, act := range []registry.Act{registry.Suspend, registry.Resume} {
		_, err := f.ChangeDevice(f.ctx, registry.DeviceChange{Owner: partner, ID: "b-2", Act: act, Event: f.event(partner, "device.change")})
		f.ok(err)
	}
	f.same(f.statusOf(jobs), "certificateHold after 1")
	f.ok(f.revoke(f.entry(acme, jobs, pki.RemoveFromCRL)))
	f.ok(f.revoke(f.entry(partner, gone, pki.KeyCompromise)))

	// Who of the borrower's people did it stands in the borrower's log alone.
	done := f.entry(partner, own, pki.Superseded)
	done.Event.Tenant, done.Event.Actor = acme, "token:0abc (somebody)"
	f.ok(f.revoke(done))
	for tenant, actor := range map[pki.TenantID]string{acme: "tenant:" + string(partner), partner: "token:0abc (somebody)"} {
		events, _, err := f.Events(f.ctx, tenant, hierarchy.EventFilter{Action: "certificate.superseded"}, "", 10)
		f.ok(err)
		f.same(len(events), 1)
		f.same([]string{events[0].Actor, events[0].Target}, []string{actor, done.Event.Target})
	}
	f.sequence(f.sequencer())
	f.checkLog(acme)
}

// testLenderHoldsHeld: what a borrower holds its lender holds too, by itself or by a job,
// and once: from then on it is the lender's to release, which ends both.
func testLenderHoldsHeld(f *fixture) {
	one, job, own := f.placed(partner, "b-1", "lot-1"), f.placed(partner, "b-2", "lot-1"), f.placed(acme, "a-1", "lot-1")
	f.issue(one, job, own)
	for _, it := range []*issuance.Item{one, job} {
		f.ok(f.revoke(f.entry(partner, it, pki.CertificateHold)))
		f.is(pki.Conflict, f.revoke(f.entry(partner, it, pki.CertificateHold)))
	}
	f.ok(f.revoke(f.entry(acme, own, pki.CertificateHold)))
	f.is(pki.Conflict, f.revoke(f.entry(acme, own, pki.CertificateHold)))
	f.is(pki.NotFound, f.revoke(f.entry(stranger, one, pki.CertificateHold)))

	f.ok(f.revoke(f.entry(acme, one, pki.CertificateHold)))
	done, _ := f.advance(f.createJob(f.job(acme, revocation.ByIssuer, string(f.issuer.ID), pki.CertificateHold)), 1000)
	f.same(done.Counts, revocation.Counts{Held: 3})
	for _, it := range []*issuance.Item{one, job} {
		f.same(f.statusOf(it), "certificateHold after 2")
		for _, tenant := range []pki.TenantID{acme, partner} {
			f.is(pki.Conflict, f.revoke(f.entry(tenant, it, pki.CertificateHold)))
		}
		f.is(pki.Forbidden, f.revoke(f.entry(partner, it, pki.RemoveFromCRL)))
	}
	f.same(f.statusOf(own), "certificateHold after 1")
	f.ok(f.revoke(f.entry(acme, one, pki.RemoveFromCRL)))
	f.ok(f.revoke(f.entry(partner, job, pki.KeyCompromise)))
	f.same([]string{f.statusOf(one), f.statusOf(job)}, []string{"good after 3", "keyCompromise after 3"})
	f.sequence(f.sequencer())
	f.checkLog(acme)
}

// testJobsAlone: what jobs change with nobody's approval adds up from a time on, and
// what others approved is counted once more.
func testJobsAlone(f *fixture) {
	for _, lot := range []string{"one", "two", "three"} {
		f.issue(f.placed(acme, pki.DeviceID("a-"+lot), lot), f.placed(acme, pki.DeviceID("b-"+lot), lot))
	}
	counted := func(lot string) *revocation.Job {
		j := f.job(acme, revocation.ByLot, lot, pki.Superseded)
		j.State, j.Started = revocation.Counting, time.Time{}
		f.advance(f.createJob(j), 1000)
		f.ok(f.MoveJob(f.ctx, acme, j.ID, revocation.JobMove{From: []revocation.JobState{revocation.Counting}, To: revocation.Counted, At: f.now}, f.event(acme, "revocation.counted")))
		return j
	}
	run := func(j *revocation.Job, alone *revocation.Alone) error {
		return f.MoveJob(f.ctx, j.Tenant, j.ID, revocation.JobMove{From: []revocation.JobState{revocation.Counted}, To: revocation.Running, At: f.now, Alone: alone}, f.event(j.Tenant, "revocation.start"))
	}
	one, two, three := counted("one"), counted("two"), counted("three")
	day := &revocation.Alone{Since: f.now.Add(-time.Hour), Most: 3}
	f.ok(run(one, day))
	f.same(run(two, day), revocation.ErrShare) // before the first has changed anything
	f.advance(one, 1000)
	f.same(run(two, day), revocation.ErrShare)
	f.ok(run(two, &revocation.Alone{Since: f.now.Add(-time.Hour), Most: 4}))
	f.later(2 * time.Hour)
	f.ok(run(three, &revocation.Alone{Since: f.now.Add(-time.Hour), Most: 2}))

	again := counted("one") // finds two that are revoked
	f.ok(f.MoveJob(f.ctx, acme, again.ID, revocation.JobMove{From: []revocation.JobState{revocation.Counted}, To: revocation.Counting, At: f.now, Approved: 7}, f.event(acme, "revocation.count")))
	got, err := f.Job(f.ctx, acme, again.ID)
	f.ok(err)
	f.same(got.Approved, int64(7))
	f.same(got.Counts, revocation.Counts{})
	got, _ = f.advance(got, 1000)
	f.same(got.Counts, revocation.Counts{Revoked: 2})
	f.ok(f.MoveJob(f.ctx, acme, again.ID, revocation.JobMove{From: []revocation.JobState{revocation.Counting}, To: revocation.Running, At: f.now}, f.event(acme, "revocation.start")))
	got, err = f.Job(f.ctx, acme, again.ID)
	f.ok(err)
	f.same(got.Approved, int64(0))
}
