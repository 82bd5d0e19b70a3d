package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// testExpiry: each certificate is counted once, for its owner, in the month in which
// it ends.
func testExpiry(f *fixture) {
	var items []*issuance.Item
	ends := []time.Time{
		time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	for _, at := range ends {
		it := f.item("meter-1")
		it.NotAfter = at
		items = append(items, it)
	}
	f.borrow(items[4])
	f.issue(items...)
	count := func(limit, want int) {
		f.Helper()
		n, err := f.CountExpiry(f.ctx, limit)
		f.ok(err)
		f.same(n, want)
	}
	count(3, 3)
	f.reopen()
	f.enter()
	count(3, 2)
	count(3, 0)
	later := f.item("meter-2")
	later.NotAfter = ends[0]
	f.issue(later)
	count(3, 1)

	got, err := f.ExpiryCounts(f.ctx, acme, 202612, 202701)
	f.ok(err)
	f.same(got, []expiry.Count{{Month: 202612, Profile: f.profile, Count: 2}, {Month: 202701, Profile: f.profile, Count: 2}})
	got, err = f.ExpiryCounts(f.ctx, acme, 202702, 999912)
	f.ok(err)
	f.same(got, []expiry.Count{{Month: 999912, Profile: f.profile, Count: 1}})
	got, err = f.ExpiryCounts(f.ctx, partner, 202612, 999912)
	f.ok(err)
	f.same(got, []expiry.Count{{Month: 202701, Profile: f.profile, Count: 1}})
	got, err = f.ExpiryCounts(f.ctx, stranger, 0, 999912)
	f.ok(err)
	f.same(len(got), 0)

	for _, of := range []struct {
		tenant pki.TenantID
		now    time.Time
		want   int64
	}{{acme, ends[0], 5}, {acme, ends[1], 3}, {partner, ends[0], 1}, {stranger, ends[0], 0}} {
		n, err := f.InForce(f.ctx, of.tenant, of.now)
		f.ok(err)
		f.same(n, of.want)
	}

	want := &keystore.Credential{Tenant: acme, Name: "listener:a", Source: "x", Key: "software:1", Issuer: f.issuer.ID, Chain: [][]byte{{1, 2}}}
	f.ok(f.PutCredential(f.ctx, want))
	credentials, err := f.Credentials(f.ctx, acme)
	f.ok(err)
	f.same(credentials, []*keystore.Credential{want})
	credentials, err = f.Credentials(f.ctx, stranger)
	f.ok(err)
	f.same(len(credentials), 0)
}
