package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// job returns a job of the tenant that runs.
func (f *fixture) job(tenant pki.TenantID, by revocation.Selector, name string, reason pki.Reason) *revocation.Job {
	return &revocation.Job{ID: revocation.JobID(pki.NewOpaqueID()), Tenant: tenant, Selection: revocation.Select(by, name), Reason: reason,
		State: revocation.Running, By: "token:0abc (test)", Created: f.now, Started: f.now}
}

// createJob stores a job, which must be new.
func (f *fixture) createJob(j *revocation.Job) *revocation.Job {
	f.Helper()
	got, existed, err := f.CreateJob(f.ctx, j, f.event(j.Tenant, "revocation.start"))
	f.ok(err)
	f.same(existed, false)
	return got
}

// advance takes a job to its last step, and returns it with how many steps it took.
func (f *fixture) advance(j *revocation.Job, limit int) (*revocation.Job, int) {
	f.Helper()
	for steps := 1; ; steps++ {
		last, err := f.AdvanceJob(f.ctx, j.Tenant, j.ID, f.now, limit)
		f.ok(err)
		if last {
			got, err := f.Job(f.ctx, j.Tenant, j.ID)
			f.ok(err)
			return got, steps
		}
	}
}

// placed returns an item for a device of the owner in a lot of a product line.
func (f *fixture) placed(owner pki.TenantID, device pki.DeviceID, lot string) *issuance.Item {
	it := f.item(device)
	if owner == partner {
		f.borrow(it)
	}
	it.Owner = owner
	it.Placement = pki.Placement{ProductLine: "line of " + lot, Lot: lot}
	return it
}

// statusOf returns the reason of an item's entry that holds, "good" where there is
// none, and how many entries there are.
func (f *fixture) statusOf(it *issuance.Item) string {
	f.Helper()
	got, err := f.Status(f.ctx, f.issuer.ID, it.Serial)
	f.ok(err)
	if got.Revocation == nil {
		return fmt.Sprintf("good after %d", got.Entries)
	}
	return fmt.Sprintf("%s after %d", got.Revocation.Reason, got.Entries)
}

// testJobSelection: each selector finds the tenant's own certificates, and no
// others.
func testJobSelection(f *fixture) {
	mine, other := f.placed(acme, "meter-1", "lot-1"), f.placed(acme, "meter-2", "lot-2")
	lent, namesake := f.placed(partner, "meter-3", "lot-3"), f.placed(partner, "meter-1", "lot-1")
	row := f.placed(acme, "meter-4", "lot-4")
	f.issue(mine, other, lent, namesake)
	b := f.upload(1, batch.Running)
	in := f.chunkIntent(b.ID, 0, 1)
	in.Items, row.Row = []*issuance.Item{row}, 1
	f.intend(in)
	sign(row)
	f.record(in)
	all := map[string]*issuance.Item{"mine": mine, "other": other, "lent": lent, "namesake": namesake, "row": row}

	for _, test := range []struct {
		tenant pki.TenantID
		by     revocation.Selector
		name   string
		want   []string // nil is NotFound
	}{
		{acme, revocation.ByDevice, "meter-1", []string{"mine"}},
		{partner, revocation.ByDevice, "meter-1", []string{"namesake"}},
		{acme, revocation.ByDevice, "meter-3", nil}, // acme issued it, and names no device of another
		{acme, revocation.ByLot, "lot-1", []string{"mine"}},
		{partner, revocation.ByLot, "lot-3", []string{"lent"}},
		{acme, revocation.ByLot, "lot-3", nil},
		{acme, revocation.ByProductLine, "line of lot-2", []string{"other"}},
		{partner, revocation.ByProductLine, "line of lot-2", nil},
		{acme, revocation.ByBatch, string(b.ID), []string{"row"}},
		{partner, revocation.ByBatch, string(b.ID), nil},
		{acme, revocation.ByIssuer, string(f.issuer.ID), []string{"lent", "mine", "namesake", "other", "row"}},
		{partner, revocation.ByIssuer, string(f.issuer.ID), []string{"lent", "namesake"}},
		{acme, revocation.ByIssuer, "unknown", nil},
	} {
		for _, tenant := range []pki.TenantID{stranger, test.tenant} {
			j := f.job(tenant, test.by, test.name, pki.CertificateHold)
			if tenant == stranger || test.want == nil {
				_, _, err := f.CreateJob(f.ctx, j, f.event(tenant, "revocation.start"))
				f.is(pki.NotFound, err)
				want := fmt.Sprintf("no certificate of %s", j.Selection)
				if test.by == revocation.ByIssuer {
					want = fmt.Sprintf("no %s that has signed certificates for this tenant", j.Selection)
				}
				f.same(pki.DetailOf(err), want)
				continue
			}
			got, _ := f.advance(f.createJob(j), 2)
			f.same(got.Counts, revocation.Counts{Good: int64(len(test.want))})
			var held []string
			for name, it := range all {
				if status, err := f.Status(f.ctx, f.issuer.ID, it.Serial); err != nil || status.Revocation != nil {
					held = append(held, name)
				}
			}
			slices.Sort(held)
			f.same(held, test.want)
			release, _ := f.advance(f.createJob(f.job(tenant, test.by, test.name, pki.RemoveFromCRL)), 2)
			f.same(release.Counts, revocation.Counts{Held: int64(len(test.want))})
		}
	}
}

// testJob takes jobs through certificates in every state.
func testJob(f *fixture) {
	const many = 240
	states := map[string]pki.Reason{"held": pki.CertificateHold, "revoked": pki.Superseded}
	items := map[string]*issuance.Item{}
	for _, name := range []string{"good", "held", "revoked", "expired", "released"} {
		items[name] = f.placed(acme, pki.DeviceID(name), "lot-1")
	}
	items["expired"].NotAfter = f.now.Add(time.Minute)
	bulk := make([]*issuance.Item, many)
	for i := range bulk {
		bulk[i] = f.placed(acme, "bulk", "lot-1")
	}
	f.issue(append(slices.Collect(maps.Values(items)), bulk...)...)
	for name, reason := range states {
		f.ok(f.revoke(f.entry(acme, items[name], reason)))
	}
	f.ok(f.revoke(f.entry(acme, items["released"], pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, items["released"], pki.RemoveFromCRL)))
	f.later(time.Hour)
	found := revocation.Counts{Good: many + 2, Held: 1, Revoked: 1, Expired: 1}

	// A dry run counts and changes nothing.
	dry := f.job(acme, revocation.ByLot, "lot-1", pki.KeyCompromise)
	dry.DryRun, dry.State, dry.Started, dry.Idempotency = true, revocation.Counting, time.Time{}, "order 17"
	dry = f.createJob(dry)
	f.same(dry.Total, found.Seen())
	counted, steps := f.advance(dry, 100)
	f.same(counted.Counts, found)
	f.same(steps, 3)
	f.same(f.statusOf(items["good"])+", "+f.statusOf(items["held"]), "good after 0, certificateHold after 1")
	byShard := func(j *revocation.Job) (sum revocation.Counts) {
		var after revocation.ShardCounts
		for {
			page, err := f.JobCounts(f.ctx, acme, j.ID, after, 3)
			f.ok(err)
			for _, c := range page {
				f.same(c.Issuer, f.issuer.ID)
				sum.Good, sum.Held, sum.Revoked, sum.Expired = sum.Good+c.Good, sum.Held+c.Held, sum.Revoked+c.Revoked, sum.Expired+c.Expired
			}
			if len(page) < 3 {
				return sum
			}
			after = page[len(page)-1]
		}
	}
	f.same(byShard(dry), found)
	_, err := f.JobCounts(f.ctx, stranger, dry.ID, revocation.ShardCounts{}, 3)
	f.is(pki.NotFound, err)
	f.ok(f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: []revocation.JobState{revocation.Counting}, To: revocation.Counted, At: f.now}, f.event(acme, "revocation.counted")))
	_, err = f.AdvanceJob(f.ctx, acme, dry.ID, f.now, 100)
	f.is(pki.Conflict, err)

	// What is issued after it was created does not belong to it.
	late := f.placed(acme, "late", "lot-1")
	f.issue(late)
	run := []revocation.JobState{revocation.Counted}
	f.is(pki.NotFound, f.MoveJob(f.ctx, stranger, dry.ID, revocation.JobMove{From: run, To: revocation.Running, At: f.now}, f.event(stranger, "revocation.start")))
	f.ok(f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: run, To: revocation.Running, At: f.now}, f.event(acme, "revocation.start")))
	f.is(pki.Conflict, f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: run, To: revocation.Running, At: f.now}, f.event(acme, "revocation.start")))

	// It stops and goes on, also in another process.
	_, err = f.AdvanceJob(f.ctx, stranger, dry.ID, f.now, 100)
	f.is(pki.NotFound, err)
	_, err = f.AdvanceJob(f.ctx, acme, dry.ID, f.now, 100)
	f.ok(err)
	running := []revocation.JobState{revocation.Running}
	f.ok(f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: running, To: revocation.Paused, At: f.now}, f.event(acme, "revocation.pause")))
	_, err = f.AdvanceJob(f.ctx, acme, dry.ID, f.now, 100)
	f.is(pki.Conflict, err)
	active, err := f.ActiveJobs(f.ctx)
	f.ok(err)
	f.same(len(active), 0)
	f.reopen()
	f.ok(f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: []revocation.JobState{revocation.Paused}, To: revocation.Running, At: f.now}, f.event(acme, "revocation.resume")))
	active, err = f.ActiveJobs(f.ctx)
	f.ok(err)
	f.same(len(active), 1)
	f.same(active[0].ID, dry.ID)
	done, _ := f.advance(dry, 100)
	f.same(done.Counts, found)
	f.same(byShard(done), found)
	f.ok(f.MoveJob(f.ctx, acme, dry.ID, revocation.JobMove{From: running, To: revocation.Done, At: f.now.Add(time.Second)}, f.event(acme, "revocation.done")))
	want := map[string]string{"good": "keyCompromise after 1", "held": "keyCompromise after 2", "revoked": "superseded after 1",
		"expired": "good after 0", "released": "keyCompromise after 3"}
	got := map[string]string{}
	for name, it := range items {
		got[name] = f.statusOf(it)
	}
	f.same(got, want)
	for _, it := range bulk {
		f.same(f.statusOf(it), "keyCompromise after 1")
	}
	f.same(f.statusOf(late), "good after 0")

	// The same request again is the same job; lists have it, but no stranger's.
	again := f.job(acme, revocation.ByLot, "lot-1", pki.KeyCompromise)
	again.Idempotency = dry.Idempotency
	same, existed, err := f.CreateJob(f.ctx, again, f.event(acme, "revocation.start"))
	f.ok(err)
	f.same(existed, true)
	f.same(same.ID, dry.ID)
	f.same(same.Finished, f.now.Add(time.Second))
	for tenant, n := range map[pki.TenantID]int{acme: 1, stranger: 0} {
		page, err := f.Jobs(f.ctx, tenant, "", 10)
		f.ok(err)
		f.same(len(page), n)
	}
	_, err = f.Job(f.ctx, stranger, dry.ID)
	f.is(pki.NotFound, err)

	// A hold, and the release of what it held: others are left as they are.
	hold, _ := f.advance(f.createJob(f.job(acme, revocation.ByLot, "lot-1", pki.CertificateHold)), 1000)
	f.same(hold.Counts, revocation.Counts{Good: 1, Revoked: many + 4, Expired: 1})
	f.same(f.statusOf(late), "certificateHold after 1")
	release, _ := f.advance(f.createJob(f.job(acme, revocation.ByProductLine, "line of lot-1", pki.RemoveFromCRL)), 1000)
	f.same(release.Counts, revocation.Counts{Held: 1, Revoked: many + 4, Expired: 1})
	f.same(f.statusOf(late), "good after 2")
}

// testJobsBounded: a tenant has so many open jobs, and room again when one is over.
func testJobsBounded(f *fixture) {
	f.issue(f.placed(acme, "meter", "lot-1"), f.placed(partner, "meter", "lot-1"))
	states := []revocation.JobState{revocation.Running, revocation.Counting, revocation.Counted, revocation.Paused}
	var first *revocation.Job
	for i := range revocation.MaxOpenJobs {
		j := f.job(acme, revocation.ByLot, "lot-1", pki.Superseded)
		j.State = states[i%len(states)]
		if i == 0 {
			first, j.Idempotency = j, "once"
		}
		f.createJob(j)
	}
	_, _, err := f.CreateJob(f.ctx, f.job(acme, revocation.ByLot, "lot-1", pki.Superseded), f.event(acme, "revocation.start"))
	f.is(pki.Conflict, err)
	again := f.job(acme, revocation.ByLot, "lot-1", pki.Superseded)
	again.Idempotency = "once"
	_, existed, err := f.CreateJob(f.ctx, again, f.event(acme, "revocation.start"))
	f.ok(err)
	f.same(existed, true)
	f.createJob(f.job(partner, revocation.ByLot, "lot-1", pki.Superseded)) // another's do not count
	f.ok(f.MoveJob(f.ctx, acme, first.ID, revocation.JobMove{From: []revocation.JobState{revocation.Running}, To: revocation.Cancelled, At: f.now}, f.event(acme, "revocation.cancel")))
	f.createJob(f.job(acme, revocation.ByLot, "lot-1", pki.Superseded))
}

// testJobRaced: two workers at one job, and single revocations meanwhile, give each
// certificate one entry.
func testJobRaced(f *fixture) {
	items := make([]*issuance.Item, 60)
	for i := range items {
		items[i] = f.placed(acme, "meter", "lot-1")
	}
	f.issue(items...)
	j := f.createJob(f.job(acme, revocation.ByLot, "lot-1", pki.Superseded))
	entries := make([]*revocation.Entry, len(items))
	for i, it := range items {
		entries[i] = f.entry(acme, it, pki.KeyCompromise)
	}
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for {
				last, err := f.AdvanceJob(f.ctx, acme, j.ID, f.now, 7)
				if err != nil && pki.KindOf(err) != pki.Conflict {
					f.Error(err)
				}
				if last || err != nil && pki.KindOf(err) != pki.Conflict {
					return
				}
			}
		})
	}
	running.Go(func() {
		for _, e := range entries {
			if err := f.Revoke(f.ctx, []*revocation.Entry{e}); err != nil {
				f.Error(err)
			}
		}
	})
	running.Wait()
	single := int64(0)
	for _, e := range entries {
		if e.Err == nil {
			single++
		}
	}
	got, err := f.Job(f.ctx, acme, j.ID)
	f.ok(err)
	f.same(got.Counts, revocation.Counts{Good: int64(len(items)) - single, Revoked: single})
	for _, it := range items {
		status, err := f.Status(f.ctx, f.issuer.ID, it.Serial)
		f.ok(err)
		f.same(status.Entries, 1)
	}
}

// testPlacesOf: where the certificates of a selection are, each place once: by the
// authority's name for its tenant alone, and by what else the owner calls its own.
func testPlacesOf(f *fixture) {
	mine, beside, other := f.placed(acme, "meter-1", "lot-1"), f.placed(acme, "meter-2", "lot-1"), f.placed(acme, "meter-1", "lot-2")
	other.Placement.Site = "berlin"
	lent := f.placed(partner, "meter-3", "lot-3")
	f.issue(mine, beside, lent)
	f.issue(other)
	b, row := f.upload(1, batch.Running), f.placed(acme, "meter-4", "lot-4")
	in := f.chunkIntent(b.ID, 0, 1)
	in.Items, row.Row = []*issuance.Item{row}, 1
	f.intend(in)
	sign(row)
	f.record(in)
	authority := f.authority.Name
	fourth := access.Scope{Authority: authority, ProductLine: "line of lot-4"}
	first := access.Scope{Authority: authority, ProductLine: "line of lot-1"}
	second := access.Scope{Authority: authority, ProductLine: "line of lot-2", Site: "berlin"}
	theirs := access.Scope{ProductLine: "line of lot-3"}
	for _, test := range []struct {
		tenant pki.TenantID
		by     revocation.Selector
		name   string
		want   []access.Scope
	}{
		{acme, revocation.ByDevice, "meter-1", []access.Scope{first, second}},
		{acme, revocation.ByDevice, "meter-3", nil},
		{acme, revocation.ByLot, "lot-1", []access.Scope{first}},
		{acme, revocation.ByLot, "lot-3", nil},
		{acme, revocation.ByProductLine, "line of lot-2", []access.Scope{second}},
		{acme, revocation.ByIssuer, string(f.issuer.ID), []access.Scope{{Authority: authority}, first, second, fourth}},
		{acme, revocation.ByBatch, string(b.ID), []access.Scope{fourth}},
		{partner, revocation.ByBatch, string(b.ID), nil},
		{partner, revocation.ByDevice, "meter-3", []access.Scope{theirs}},
		{partner, revocation.ByLot, "lot-1", nil},
		{partner, revocation.ByProductLine, "line of lot-3", []access.Scope{theirs}},
		{partner, revocation.ByIssuer, string(f.issuer.ID), []access.Scope{theirs}},
	} {
		for _, tenant := range []pki.TenantID{stranger, test.tenant} {
			want := test.want
			if tenant == stranger {
				want = nil
			}
			got, err := f.PlacesOf(f.ctx, tenant, revocation.Select(test.by, test.name), 10)
			if (test.by == revocation.ByBatch || test.by == revocation.ByIssuer) && want == nil {
				f.is(pki.NotFound, err)
				continue
			}
			f.ok(err)
			slices.SortFunc(got, func(a, b access.Scope) int { return cmp.Compare(a.String(), b.String()) })
			slices.SortFunc(want, func(a, b access.Scope) int { return cmp.Compare(a.String(), b.String()) })
			if !slices.Equal(got, want) {
				f.Errorf("%s: %s %q: %v, want %v", tenant, test.by, test.name, got, want)
			}
		}
	}
	got, err := f.PlacesOf(f.ctx, acme, revocation.Select(revocation.ByIssuer, string(f.issuer.ID)), 2)
	f.ok(err)
	f.same(len(got), 2)
}
