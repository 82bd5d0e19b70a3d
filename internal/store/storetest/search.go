package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// certificates returns a page of a tenant's certificates, of one device or all.
func (f *fixture) certificates(tenant pki.TenantID, device pki.DeviceID, after []byte, limit int) ([]*pki.Certificate, []byte) {
	f.Helper()
	found, next, _, err := f.SearchCertificates(f.ctx, tenant, registry.Query{Device: device}, f.now, after, limit)
	f.ok(err)
	var all []*pki.Certificate
	for _, x := range found {
		all = append(all, x.Certificate)
	}
	return all, next
}

// search returns the devices of the certificates that a search finds, page by
// page, and how many pages there were.
func (f *fixture) search(tenant pki.TenantID, q registry.Query, limit int) (devices []pki.DeviceID, pages int) {
	f.Helper()
	devices = []pki.DeviceID{}
	for after := []byte(nil); ; pages++ {
		found, next, _, err := f.SearchCertificates(f.ctx, tenant, q, f.now, after, limit)
		f.ok(err)
		if len(found) > limit {
			f.Fatalf("a page of %d", len(found))
		}
		for _, x := range found {
			devices = append(devices, x.Device)
		}
		if next == nil {
			return devices, pages + 1
		}
		after = next
	}
}

func testSearch(f *fixture) {
	place := func(it *issuance.Item, line, lot string) *issuance.Item {
		it.Placement = pki.Placement{ProductLine: line, Lot: lot}
		return it
	}
	a, b := place(f.item("a"), "meters", "lot-1"), place(f.item("b"), "meters", "lot-2")
	c, d := place(f.item("c"), "gateways", "lot-3"), place(f.item("d"), "meters", "lot-1")
	e := place(f.item("e"), "meters", "lot-1")
	c.NotAfter, d.NotAfter = f.now.Add(time.Hour), f.now.AddDate(1, 0, 0)
	d.Profile.Name = "other"
	f.issue(a, b, c, d, e)
	theirs := f.item("theirs") // of acme's issuer, owned by partner
	f.borrow(theirs)
	f.issue(theirs)
	job := f.upload(1, batch.Running)
	chunk := f.chunkIntent(job.ID, 0, 1, 2, 3)
	f.intend(chunk)
	sign(chunk.Items...)
	f.record(chunk)
	f.ok(f.revoke(f.entry(acme, a, pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, b, pki.KeyCompromise)))
	f.ok(f.revoke(f.entry(acme, e, pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, e, pki.RemoveFromCRL)))
	f.later(2 * time.Hour)
	year := f.now.AddDate(1, 0, 1)
	for _, test := range []struct {
		q    registry.Query
		want string
	}{
		{registry.Query{}, "[meter-3 meter-2 meter-1 theirs e d c b a]"},
		{registry.Query{Serial: b.Serial.String()}, "[b]"},
		{registry.Query{Serial: pki.NewSerial(pki.SerialLong, f.now).String()}, "[]"},
		{registry.Query{Device: "d"}, "[d]"},
		{registry.Query{Device: "theirs"}, "[theirs]"},
		{registry.Query{Device: "d", Lot: "lot-2"}, "[]"},
		{registry.Query{Lot: "lot-1", Status: registry.Good, Profile: f.profile.Name}, "[meter-3 meter-2 meter-1 e]"},
		{registry.Query{ProductLine: "meters", Status: registry.Held}, "[a]"},
		{registry.Query{ProductLine: "gateways"}, "[c]"},
		{registry.Query{ProductLine: "nothing"}, "[]"},
		{registry.Query{Batch: job.ID}, "[meter-1 meter-2 meter-3]"},
		{registry.Query{Batch: job.ID, Device: "meter-2"}, "[meter-2]"},
		{registry.Query{Batch: "nothing"}, "[]"},
		{registry.Query{Status: registry.Revoked}, "[b]"},
		{registry.Query{Status: registry.Held}, "[a]"},
		{registry.Query{Status: registry.Expired}, "[c]"},
		{registry.Query{Profile: "other"}, "[d]"},
		{registry.Query{Issuer: f.issuer.ID, Lot: "lot-2"}, "[b]"},
		{registry.Query{Lot: "lot-1", ExpiresTo: year}, "[d]"},
		{registry.Query{ProductLine: "meters", ExpiresFrom: year}, "[meter-3 meter-2 meter-1 e b a]"},
		{registry.Query{Lot: "lot-1", Fingerprint: print(d)}, "[d]"},
		{registry.Query{Device: "a", Fingerprint: print(d)}, "[]"},
	} {
		for _, limit := range []int{1, 2, 100} {
			got, _ := f.search(acme, test.q, limit)
			f.same(fmt.Sprintf("%+v %v", test.q, got), fmt.Sprintf("%+v %s", test.q, test.want))
		}
		if test.q.Issuer != "" {
			continue // of whom a stranger learns nothing, see below
		}
		got, _ := f.search(stranger, test.q, 100)
		f.same(len(got), 0)
	}
	got, _ := f.search(partner, registry.Query{}, 1)
	f.same(got, []pki.DeviceID{"theirs"})

	// By owner, a parent finds what it issued for its child, by nothing that is the
	// child's alone to know.
	for _, test := range []struct {
		tenant pki.TenantID
		q      registry.Query
		want   string
	}{
		{acme, registry.Query{Owner: partner}, "[theirs]"},
		{acme, registry.Query{Owner: acme}, "[meter-3 meter-2 meter-1 e d c b a]"},
		{acme, registry.Query{Owner: acme, Status: registry.Held}, "[a]"},
		{acme, registry.Query{Owner: acme, Device: "theirs"}, "[]"},
		{acme, registry.Query{Owner: partner, Device: "theirs"}, "[theirs]"},
		{acme, registry.Query{Owner: partner, Device: "a"}, "[]"},
		{acme, registry.Query{Owner: partner, Status: registry.Good, Profile: f.profile.Name}, "[theirs]"},
		{acme, registry.Query{Owner: partner, Status: registry.Revoked}, "[]"},
		{acme, registry.Query{Owner: partner, ExpiresFrom: year}, "[theirs]"},
		{acme, registry.Query{Owner: partner, Fingerprint: print(theirs)}, "[theirs]"},
		{acme, registry.Query{Owner: partner, Fingerprint: print(a)}, "[]"},
		{acme, registry.Query{Owner: partner, Lot: theirs.Placement.Lot}, "[]"},
		{acme, registry.Query{Device: "theirs", Lot: theirs.Placement.Lot}, "[]"},
		{acme, registry.Query{Serial: theirs.Serial.String(), ProductLine: theirs.Placement.ProductLine}, "[]"},
		{acme, registry.Query{Owner: stranger}, "[]"},
		{acme, registry.Query{Owner: "nobody"}, "[]"},
		{partner, registry.Query{Owner: partner}, "[theirs]"},
		{partner, registry.Query{Owner: partner, Lot: theirs.Placement.Lot}, "[theirs]"},
		{partner, registry.Query{Owner: acme}, "[]"},
		{stranger, registry.Query{Owner: stranger}, "[]"},
		{stranger, registry.Query{Owner: acme}, "[]"},
		{stranger, registry.Query{Owner: partner}, "[]"},
	} {
		for _, limit := range []int{1, 100} {
			got, pages := f.search(test.tenant, test.q, limit)
			f.same(fmt.Sprintf("%s %+v %v", test.tenant, test.q, got), fmt.Sprintf("%s %+v %s", test.tenant, test.q, test.want))
			if test.tenant == stranger && pages != 1 {
				f.Errorf("%+v: %d pages", test.q, pages)
			}
		}
	}
	for _, q := range []registry.Query{{Fingerprint: print(a)}, {Subject: "a"}, {ExpiresTo: year}} {
		_, _, _, err := f.SearchCertificates(f.ctx, acme, q, f.now, nil, 10)
		f.is(pki.NotReady, err)
	}
	// An issuer of a stranger's is as one that nobody has, and so is to a child one of its
	// parent's that was never lent to it.
	a2, other := f.newAuthority(partner, "theirs")
	f.ok(f.PutAuthority(f.ctx, a2, other, f.event(partner, "authority.create")))
	a3, withheld := f.newAuthority(acme, "withheld")
	f.ok(f.PutAuthority(f.ctx, a3, withheld, f.event(acme, "authority.create")))
	f.ok(f.TakeBack(f.ctx, acme, partner, "meters", f.event(acme, "child.take-back"))) // of f.authority
	for _, test := range []struct {
		tenant pki.TenantID
		q      registry.Query
	}{
		{acme, registry.Query{Issuer: "nothing"}},
		{acme, registry.Query{Issuer: pki.IssuerID(f.issuer.Authority), Device: "b"}},
		{acme, registry.Query{Issuer: other.ID}},
		{stranger, registry.Query{Issuer: "nothing"}},
		{stranger, registry.Query{Issuer: f.issuer.ID}},
		{stranger, registry.Query{Issuer: f.issuer.ID, Device: "b"}},
		{"nobody", registry.Query{Issuer: f.issuer.ID}},
		{partner, registry.Query{Issuer: "nothing"}},
		{partner, registry.Query{Issuer: withheld.ID}},
	} {
		_, _, _, err := f.SearchCertificates(f.ctx, test.tenant, test.q, f.now, nil, 10)
		f.is(pki.NotFound, err)
		f.same(pki.DetailOf(err), fmt.Sprintf("no issuer %q", test.q.Issuer))
		_, err = f.PlacesOf(f.ctx, test.tenant, revocation.Selection{Issuer: test.q.Issuer}, 10)
		f.is(pki.NotFound, err)
		f.same(pki.DetailOf(err), fmt.Sprintf("no issuer %q", test.q.Issuer))
	}
	for _, test := range []struct {
		issuer pki.IssuerID
		want   string
	}{{f.issuer.ID, "[theirs]"}, {other.ID, "[]"}} {
		got, _ := f.search(partner, registry.Query{Issuer: test.issuer}, 100)
		f.same(fmt.Sprintf("%v", got), test.want)
	}
	found, _, _, err := f.SearchCertificates(f.ctx, acme, registry.Query{Device: "b"}, f.now, nil, 10)
	f.ok(err)
	f.same([]any{found[0].Status, found[0].Revocation.Reason}, []any{registry.Revoked, pki.KeyCompromise})
}

// print returns the fingerprint of an item's certificate.
func print(it *issuance.Item) string {
	sum := sha256.Sum256(it.DER)
	return hex.EncodeToString(sum[:])
}

// testIndexes searches by what an authority keeps an index of. The subject is
// that of real certificates: package registry tests it.
func testIndexes(f *fixture) {
	plain := f.item("plain")
	f.issue(plain)
	a, i := f.newAuthority(acme, "indexed")
	a.Indexes = pki.SearchIndexes()
	f.ok(f.PutAuthority(f.ctx, a, i, f.event(acme, "authority.create")))
	f.ok(f.InstallIssuer(f.ctx, acme, i.ID, []byte("issuer certificate"), pki.RootLinks{}, f.now, f.now.AddDate(15, 0, 0), nil, f.event(acme, "authority.activate")))
	got, err := f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got.Indexes, pki.SearchIndexes())
	f.lendFrom(a, "indexed", f.profile.Name, 5)

	var all []*issuance.Item
	for n := range 5 {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", n)))
		it.NotAfter = f.now.AddDate(0, 5-n, 0)
		if n == 4 {
			it.Owner = partner
		}
		all = append(all, it)
	}
	in := f.intent(all...)
	in.Issuer = i.ID
	f.intend(in)
	sign(all...)
	f.record(in)
	months := func(n int) time.Time { return f.now.AddDate(0, n, 0) }
	for _, test := range []struct {
		tenant pki.TenantID
		q      registry.Query
		want   string
	}{
		{acme, registry.Query{Fingerprint: print(all[2])}, "[meter-2]"},
		{acme, registry.Query{Fingerprint: print(plain)}, "[]"},
		{acme, registry.Query{ExpiresTo: months(3)}, "[meter-4 meter-3 meter-2]"},
		{acme, registry.Query{ExpiresFrom: months(2), ExpiresTo: months(4)}, "[meter-3 meter-2 meter-1]"},
		{acme, registry.Query{ExpiresFrom: months(4), Issuer: i.ID}, "[meter-1 meter-0]"},
	} {
		for _, limit := range []int{1, 100} {
			got, _ := f.search(test.tenant, test.q, limit)
			f.same(fmt.Sprintf("%+v %v", test.q, got), fmt.Sprintf("%+v %s", test.q, test.want))
		}
		if test.q.Issuer != "" {
			continue // of whom a stranger learns nothing, see below
		}
		got, _ := f.search(stranger, test.q, 100)
		f.same(len(got), 0)
	}
	theirs, _ := f.search(partner, registry.Query{ExpiresTo: months(9)}, 10)
	f.same(theirs, []pki.DeviceID{"meter-4"})
	_, _, without, err := f.SearchCertificates(f.ctx, acme, registry.Query{ExpiresTo: months(9)}, f.now, nil, 10)
	f.ok(err)
	f.same(without, []string{"manufacturing"})
	_, _, _, err = f.SearchCertificates(f.ctx, acme, registry.Query{ExpiresTo: months(9), Issuer: f.issuer.ID}, f.now, nil, 10)
	f.is(pki.NotReady, err)
}

// testSearchBound looks for one certificate among fifty thousand: no page looks
// at more than its bound, and the search comes to an end.
func testSearchBound(f *fixture) {
	const total, group, bound = 15_000, 1000, 5000
	var oldest *issuance.Item
	for n := 0; n < total; n += group {
		items := make([]*issuance.Item, group)
		for i := range items {
			items[i] = f.item(pki.DeviceID(fmt.Sprint("meter-", n+i)))
		}
		f.issue(items...)
		if oldest == nil {
			oldest = items[0]
		}
	}
	f.ok(f.revoke(f.entry(acme, oldest, pki.KeyCompromise)))
	for _, q := range []registry.Query{
		{Lot: oldest.Placement.Lot, Status: registry.Revoked},
		{ProductLine: oldest.Placement.ProductLine, Status: registry.Revoked},
		{Issuer: f.issuer.ID, Lot: oldest.Placement.Lot, Status: registry.Revoked},
	} {
		got, pages := f.search(acme, q, 100)
		f.same(got, []pki.DeviceID{"meter-0"})
		if want := total/bound + 1; pages != want {
			f.Errorf("%+v: %d pages, want %d", q, pages, want)
		}
	}
	got, pages := f.search(acme, registry.Query{Status: registry.Revoked}, 100)
	f.same(got, []pki.DeviceID{"meter-0"})
	f.same(pages, 1)
	devices := 0
	for after, pages := []byte(nil), 0; ; pages++ {
		found, next, err := f.Devices(f.ctx, acme, registry.DeviceFilter{Placement: pki.Placement{Site: "nowhere"}}, after, 10)
		f.ok(err)
		if devices += len(found); next == nil {
			f.same([]int{devices, pages}, []int{0, total / bound})
			break
		}
		after = next
	}
}
