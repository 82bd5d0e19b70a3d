package storetest

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// index goes on with the indexes of an authority, some certificates at a time, and
// returns how many steps it took.
func (f *fixture) index(a *pki.Authority, limit int) (steps int) {
	f.Helper()
	for steps = 1; ; steps++ {
		_, done, err := f.AdvanceIndexing(f.ctx, acme, a.ID, limit, f.event(acme, "authority.indexed"))
		f.ok(err)
		if done {
			return steps
		}
	}
}

// testAddIndexes adds indexes to an authority that has issued: to its own tenant's
// devices and to a child's, before, while they are made, and after.
func testAddIndexes(f *fixture) {
	a, err := f.Authority(f.ctx, acme, f.issuer.Authority)
	f.ok(err)
	issue := func(n int) {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", n)))
		it.NotAfter = f.now.AddDate(0, n, 0)
		f.issue(it)
	}
	for n := range 7 {
		issue(n)
	}
	of := f.item("theirs")
	f.borrow(of)
	f.issue(of)
	first := f.item("by print")
	f.issue(first)
	soon := registry.Query{ExpiresTo: f.now.AddDate(0, 3, 0)}
	refused := func() {
		f.Helper()
		_, _, _, err := f.SearchCertificates(f.ctx, acme, soon, f.now, nil, 10)
		f.is(pki.NotReady, err)
	}
	refused()

	_, _, err = f.AdvanceIndexing(f.ctx, acme, a.ID, 10, f.event(acme, "authority.indexed"))
	f.is(pki.Conflict, err)
	add := []pki.SearchIndex{pki.IndexExpiry, pki.IndexFingerprint}
	f.is(pki.NotFound, f.AddIndexes(f.ctx, stranger, a.ID, add, f.event(stranger, "authority.index")))
	f.ok(f.AddIndexes(f.ctx, acme, a.ID, add, f.event(acme, "authority.index")))
	f.is(pki.Conflict, f.AddIndexes(f.ctx, acme, a.ID, []pki.SearchIndex{pki.IndexSubject}, f.event(acme, "authority.index")))
	made, err := f.Indexings(f.ctx)
	f.ok(err)
	f.same(len(made), 1)
	f.same(made[0].Indexing, &pki.Indexing{Indexes: add})
	issue(2) // between the order and its beginning
	refused()

	step := func(want int) { // is not the last, and looks at so many certificates
		f.Helper()
		seen, done, err := f.AdvanceIndexing(f.ctx, acme, a.ID, 3, f.event(acme, "authority.indexed"))
		f.ok(err)
		f.same(done, false)
		f.same(seen, want)
	}
	step(0) // it begins
	got, err := f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same([]int64{got.Indexing.Done, got.Indexing.Total}, []int64{0, 10})
	issue(1)
	step(3)
	got, err = f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same([]int64{got.Indexing.Done, got.Indexing.Total}, []int64{3, 10})
	f.same(len(got.Indexes), 0)
	refused()
	f.same(f.index(a, 3), 3)

	got, err = f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got.Indexes, add)
	if got.Indexing != nil {
		f.Errorf("still %+v", got.Indexing)
	}
	made, err = f.Indexings(f.ctx)
	f.ok(err)
	f.same(len(made), 0)
	_, _, err = f.AdvanceIndexing(f.ctx, acme, a.ID, 10, f.event(acme, "authority.indexed"))
	f.is(pki.Conflict, err)
	f.is(pki.Conflict, f.AddIndexes(f.ctx, acme, a.ID, add[:1], f.event(acme, "authority.index")))
	issue(0)

	devices, _ := f.search(acme, soon, 100)
	f.same(devices, []pki.DeviceID{"meter-0", "meter-0", "meter-1", "meter-1", "meter-2", "meter-2", "meter-3"})
	devices, _ = f.search(acme, registry.Query{Fingerprint: print(first)}, 10)
	f.same(devices, []pki.DeviceID{"by print"})
	theirs, _ := f.search(partner, registry.Query{ExpiresFrom: f.now.Add(-time.Hour)}, 10)
	f.same(theirs, []pki.DeviceID{"theirs"})

	// One index more, where others are there.
	f.ok(f.AddIndexes(f.ctx, acme, a.ID, []pki.SearchIndex{pki.IndexSubject}, f.event(acme, "authority.index")))
	devices, _ = f.search(acme, soon, 100)
	f.same(len(devices), 7)
	f.index(a, 100)
	got, err = f.Authority(f.ctx, acme, a.ID)
	f.ok(err)
	f.same(got.Indexes, pki.SearchIndexes())

	// One without certificates has them at once.
	empty, i := f.newAuthority(acme, "empty")
	f.ok(f.PutAuthority(f.ctx, empty, i, f.event(acme, "authority.create")))
	f.ok(f.AddIndexes(f.ctx, acme, empty.ID, add, f.event(acme, "authority.index")))
	f.index(empty, 100)
}
